from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from turncoat.agent import spool as module
from turncoat.agent.spool import Spool, Undelivered, read_report
from turncoat.scenarios.errors import RunError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite"


def fill(path: Path, rows: int = 3) -> list[str]:
    with closing(Spool(path)) as spool:
        keys = [spool.key(str(n), "clean", "alice") for n in range(rows)]
        for n, key in enumerate(keys):
            spool.put(key, {"n": n})
    return keys


def test_rows_come_back_in_order_after_reopening(path: Path) -> None:
    keys = fill(path)
    with closing(Spool(path)) as spool:
        seq, found = 0, []
        while parcel := spool.next_after(seq):
            seq = parcel.seq
            found.append((parcel.key, parcel.body()))
    assert found == list(zip(keys, [b'{"n":0}', b'{"n":1}', b'{"n":2}'], strict=True))


def test_the_same_key_twice_is_one_row_with_the_first_payload(path: Path) -> None:
    with closing(Spool(path)) as spool:
        key = spool.key("1", "v", "p")
        assert [spool.put(key, {"n": 1}), spool.put(key, {"n": 2})] == [True, False]
        parcel = spool.next_after(0)
        assert parcel is not None
        assert parcel.body() == b'{"n":1}'
        assert spool.queued == 1


def test_what_is_delivered_keeps_its_key_and_gives_up_its_payload(path: Path) -> None:
    keys = fill(path)
    with closing(Spool(path)) as spool:
        first, second = spool.next_after(0), spool.next_after(1)
        assert first is not None
        assert second is not None
        spool.mark(first, "delivered", 1)
        spool.mark(second, "undeliverable", 2, "answered\n400 \x1b[31mBad")
    with closing(Spool(path)) as spool:
        assert spool.put(keys[0], {"n": 0}) is False
        report = spool.report()
    with closing(sqlite3.connect(path)) as there:
        assert [row[0] for row in there.execute("SELECT payload FROM parcels")] == ["{}", '{"n":1}', '{"n":2}']
    assert (report.delivered, report.queued, report.undeliverable) == (1, 1, 1)
    assert report.undelivered == (
        Undelivered(keys[1], "undeliverable", 2, "answered 400 ?[31mBad"),
        Undelivered(keys[2], "queued", 0, ""),
    )
    assert read_report(path) == report


def test_tries_add_up_over_openings(path: Path) -> None:
    fill(path, 1)
    for _ in range(2):
        with closing(Spool(path)) as spool:
            parcel = spool.next_after(0)
            assert parcel is not None
            spool.mark(parcel, "queued", 6, "answered 503")
    report = read_report(path)
    assert report is not None
    assert (report.queued, report.undelivered[0].attempts) == (1, 12)


def test_a_row_that_was_settled_is_not_settled_again(path: Path) -> None:
    fill(path, 1)
    with closing(Spool(path)) as spool:
        parcel = spool.next_after(0)
        assert parcel is not None
        spool.mark(parcel, "delivered", 1)
        spool.mark(parcel, "undeliverable", 1)
        report = spool.report()
    assert (report.delivered, report.queued, report.undeliverable) == (1, 0, 0)


def test_keys_repeat_in_one_spool_and_differ_between_two(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "a")) as a, closing(Spool(tmp_path / "b")) as b:
        key = a.key("1", "v", "p")
        assert len(key) == 64
        assert key != b.key("1", "v", "p")
    with closing(Spool(tmp_path / "a")) as a:
        assert a.key("1", "v", "p") == key
        assert len({a.key("ab", "c", "d"), a.key("a", "bc", "d"), a.key("a", "b", "cd"), a.key("\ud800", "", "")}) == 4


def test_a_second_process_is_refused(path: Path) -> None:
    code = "import sys; from pathlib import Path; from turncoat.agent.spool import Spool; Spool(Path(sys.argv[1]))"
    with closing(Spool(path)):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{path}: database is locked; another process delivers from it" in done.stderr


def test_no_spool_has_no_report_and_none_is_made(path: Path) -> None:
    assert read_report(path) is None
    assert not path.exists()


def test_opening_and_closing_changes_no_byte(path: Path) -> None:
    fill(path)
    before = path.read_bytes()
    with closing(Spool(path)):
        pass
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["spool.sqlite"]


def test_what_a_killed_process_left_of_making_one_is_cleared_away(path: Path) -> None:
    (path.parent / ".spool.sqlite.part").write_bytes(b"half a")
    (path.parent / ".spool.sqlite.part-journal").write_bytes(b"journal")
    fill(path)
    assert [p.name for p in path.parent.iterdir()] == ["spool.sqlite"]


def change(statement: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as there:
            there.execute("PRAGMA ignore_check_constraints=ON")
            there.execute(statement)

    return apply


def linked(name: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        target = path.parent / "precious"
        target.write_bytes(b"keep me")
        link = path.with_name(name)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    return apply


HOSTILE = {
    "a link": (linked("spool.sqlite"), "a link"),
    "a dangling link": (lambda path: (path.unlink(), path.symlink_to(path.parent / "nowhere")), "a link"),
    "a link for the log": (linked("spool.sqlite-wal"), "a link"),
    "a rollback journal": (lambda path: Path(f"{path}-journal").write_bytes(b"\xd9\xd5"), "a rollback journal"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
    "no database": (lambda path: path.write_bytes(b"hello" * 999), "not a database; was the file changed by hand"),
    "an empty file": (lambda path: path.write_bytes(b""), "not a spool of turncoat"),
    "half a file": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "changed by hand|not a spool"),
    "a trigger": (
        change("CREATE TRIGGER t AFTER UPDATE ON parcels BEGIN DELETE FROM parcels; END"),
        "not a spool of turncoat",
    ),
    "a view": (change("CREATE VIEW v AS SELECT 1"), "not a spool of turncoat"),
    "another column": (change("ALTER TABLE parcels ADD COLUMN c TEXT"), "not a spool of turncoat"),
    "another maker": (change("PRAGMA application_id=7"), "not a spool of turncoat"),
    "a short key": (change("UPDATE parcels SET key = 'k' WHERE seq = 1"), "CHECK constraint.*changed by hand"),
    "a blob for a key": (change("UPDATE parcels SET key = x'00' WHERE seq = 1"), "CHECK constraint"),
    "a text of attempts": (change("UPDATE parcels SET attempts = 'many'"), "CHECK constraint"),
    "an unknown state": (change("UPDATE parcels SET state = 'lost'"), "CHECK constraint"),
    "a long error": (change("UPDATE parcels SET last_error = printf('%.*c', 999, 'x')"), "CHECK constraint"),
    "no identity": (change("DELETE FROM spool"), "no identity"),
    "two identities": (change("INSERT INTO spool SELECT identity FROM spool"), "no identity"),
    "a strange identity": (change("UPDATE spool SET identity = printf('%.*c', 32, '!')"), "no identity"),
}


@pytest.mark.parametrize("how", sorted(HOSTILE))
def test_a_spool_that_is_not_ours_is_refused_with_place_fault_and_cure(path: Path, how: str) -> None:
    fill(path)
    do, fault = HOSTILE[how]
    do(path)
    with pytest.raises(RunError, match=rf"^{path}(-wal|-journal)?: .*({fault})"):
        Spool(path)
    precious = path.parent / "precious"
    assert not precious.exists() or precious.read_bytes() == b"keep me"


def test_a_file_larger_than_any_of_ours_is_refused_unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path)
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 8000)
    with pytest.raises(RunError, match="larger than"):
        Spool(path)


def test_a_full_spool_says_so_and_can_still_be_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1 << 17)
    with closing(Spool(path)) as spool:
        for n in range(20):
            spool.put(spool.key(str(n), "v", "p"), {"text": "x" * 4000})
        with pytest.raises(RunError, match="full; free some space"):
            spool.put(spool.key("large", "v", "p"), {"text": "x" * 100_000})
    report = read_report(path)
    assert report is not None
    assert report.queued == 20


def test_a_payload_beyond_all_bounds_is_refused(path: Path) -> None:
    with closing(Spool(path)) as spool, pytest.raises(RunError, match="a payload of more than 4 MiB"):
        spool.put("0" * 64, {"text": "x" * (1 << 22)})


@pytest.mark.parametrize("payload", ["'[]'", "'{'", "'{\"a\": NaN}'", "CAST(x'ff' AS TEXT)"])
def test_a_payload_that_was_tampered_with_is_found_when_it_is_asked_for(path: Path, payload: str) -> None:
    fill(path, 1)
    change(f"UPDATE parcels SET payload = {payload}")(path)
    with closing(Spool(path)) as spool:
        parcel = spool.next_after(0)
        assert parcel is not None
        with pytest.raises(RunError, match=r"payload: .*changed by hand"):
            parcel.body()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"spool\.sqlite: .*choose another folder"):
        Spool(tmp_path / "none" / "spool.sqlite")
