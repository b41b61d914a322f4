"""Whom a candidate is asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.vetting.directory import default_directory, read_directory, with_own

from .rules import probe


def test_the_default_directory_has_two_hundred_people_and_alice() -> None:
    directory = default_directory()
    logins = [user.login for user in directory.users]
    assert len(set(logins)) == len(logins) >= 200
    assert "alice" in logins
    assert len(directory.hosts) == len(directory.addresses) == 100
    assert {host for _, host in directory.owned} == set(directory.hosts)
    assert {login for login, _ in directory.owned} <= set(logins)


def test_a_file_names_users_with_what_it_has_and_other_entities_in_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("\ufeffLogin,Name,host\nbob,Bob Jones,PC-1\n,,PC-2\ncarol,,\nbob,Another,\n")
    directory = read_directory(path)
    assert [(u.login, u.name, u.mail) for u in directory.users] == [
        ("bob", "Bob Jones", "bob@company.example"),
        ("carol", "Carol", "carol@company.example"),
    ]
    assert directory.hosts == ("PC-1", "PC-2")
    assert directory.owned == (("bob", "PC-1"),)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no column `login`"),
        ("name,mail\nBob,b@x\n", "has no column `login`"),
        ("login,name\nbob,Bob\n,Ann\n", ":3: has a `name` but no `login`"),
        ("login,mail\n,ann@x.example\n", "has a `mail` but no `login`"),
        ("login,name\n", "names nobody"),
        ("login\n\n,\n", "names nobody"),
        ("login\n" + "a" * 300, "`login` is 300 letters long"),
        ('login\n"' + "a" * 200_000, "cannot be read as CSV"),
        (b"login\n\xff\xfe", "cannot be read as CSV"),
    ],
)
def test_a_file_that_names_nobody_is_refused(tmp_path: Path, text: str | bytes, fault: str) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=fault):
        read_directory(path)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InputError, match="is no regular file"):
            read_directory(path)


def test_own_alerts_add_those_whom_they_are_about() -> None:
    probes = [probe(0, host="PC-1", address="10.0.0.1"), probe(1)]
    directory = with_own(default_directory(), probes)
    assert [user.login for user in directory.users][-2:] == ["useraa", "userab"]
    assert (directory.hosts[-1], directory.addresses[-1]) == ("PC-1", "10.0.0.1")
    assert directory.owned[-1] == ("useraa", "PC-1")
