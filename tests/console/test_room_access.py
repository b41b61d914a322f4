"""Codes, sessions and the throttle: who enters the room, and what guessing costs."""

from __future__ import annotations

import json
import math
import re
import stat
from pathlib import Path

import pytest

from turncoat.console.tabletop.web.access import KEPT_FREE, SESSION_LASTS_S, SESSIONS, Access, RoomFull
from turncoat.console.tabletop.web.throttle import CLIENTS, FREE_TRIES, LONGEST_DELAY_S, Throttle
from turncoat.scenarios.errors import RunError

from ..full_disk import full_disk

ROLES = ("facilitator", "analyst")


class Clock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(folder: Path, now: Clock | None = None) -> Access:
    return Access(folder / "room.json", ROLES, now or Clock())


def test_a_code_has_at_least_sixty_bits_and_is_never_the_same(tmp_path: Path) -> None:
    access = opened(tmp_path)
    codes = {access.issue("analyst") for _ in range(50)}
    assert len(codes) == 50
    for code in codes:
        letters = re.fullmatch(r"([A-Z2-7]{4})-([A-Z2-7]{4})-([A-Z2-7]{4})-([A-Z2-7]{4})", code)
        assert letters, code
    assert 16 * math.log2(32) == 80


def test_a_code_seats_its_role_and_no_other(tmp_path: Path) -> None:
    access = opened(tmp_path)
    code, _ = access.issue("analyst"), access.issue("facilitator")
    admitted = access.admit(code, "Ada")
    assert admitted is not None
    assert (admitted.session.role, admitted.session.name) == ("analyst", "Ada")
    assert access.session(admitted.token, "analyst") == admitted.session
    assert access.session(admitted.token, "facilitator") is None


def test_a_code_may_be_typed_carelessly(tmp_path: Path) -> None:
    access = opened(tmp_path)
    code = access.issue("analyst")
    typed = f"  {code.lower().replace('-', ' ').replace('o', '0').replace('i', '1')} "
    assert access.admit(typed, "Ada") is not None


@pytest.mark.parametrize("wrong", ["", "AAAA-AAAA-AAAA-AAAA", "x" * 5000, "ünïcödé", "0" * 64])
def test_a_wrong_code_seats_nobody(tmp_path: Path, wrong: str) -> None:
    access = opened(tmp_path)
    access.issue("analyst")
    assert access.admit(wrong, "Eve") is None
    assert access.sessions() == ()


def test_a_renewed_code_ends_the_old_one_and_keeps_the_people(tmp_path: Path) -> None:
    access = opened(tmp_path)
    old = access.issue("analyst")
    admitted = access.admit(old, "Ada")
    assert admitted is not None
    new = access.issue("analyst")
    assert access.admit(old, "Eve") is None
    assert access.admit(new, "Bo") is not None
    assert access.session(admitted.token, "analyst") is not None


def test_a_revoked_code_opens_nothing(tmp_path: Path) -> None:
    access = opened(tmp_path)
    code = access.issue("analyst")
    access.revoke("analyst")
    for room in (access, opened(tmp_path)):
        assert room.open_roles() == ()
        assert room.admit(code, "Eve") is None


def test_people_and_codes_outlive_the_process_and_the_file_opens_no_door(tmp_path: Path) -> None:
    access = opened(tmp_path)
    code = access.issue("analyst")
    admitted = access.admit(code, "Ada")
    assert admitted is not None
    file = tmp_path / "room.json"
    written = file.read_text()
    assert code not in written
    assert code.replace("-", "") not in written
    assert admitted.token not in written
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    again = opened(tmp_path)
    assert again.known
    assert again.session(admitted.token, "analyst") == admitted.session
    assert again.admit(code, "Bo") is not None
    assert again.form_token("analyst") == access.form_token("analyst")


def test_a_session_ends_when_it_is_old_or_removed(tmp_path: Path) -> None:
    clock = Clock()
    access = opened(tmp_path, clock)
    code = access.issue("analyst")
    first, second = access.admit(code, "Ada"), access.admit(code, "Bo")
    assert first is not None
    assert second is not None
    assert access.remove(first.session.id) == first.session
    assert access.session(first.token, "analyst") is None
    assert access.remove(first.session.id) is None
    clock.now += SESSION_LASTS_S
    assert access.session(second.token, "analyst") is None


def test_what_cannot_be_written_did_not_happen(tmp_path: Path) -> None:
    access = opened(tmp_path)
    codes = access.issue_each(ROLES)
    admitted = access.admit(codes["analyst"], "Ada")
    assert admitted is not None
    for deed in (
        lambda: access.admit(codes["analyst"], "Bo"),
        lambda: access.remove(admitted.session.id),
        lambda: access.revoke("analyst"),
        lambda: access.issue("analyst"),
    ):
        with full_disk(), pytest.raises(OSError, match="too large"):
            deed()
    for room in (access, opened(tmp_path)):
        assert room.sessions() == (admitted.session,)
        assert room.open_roles() == ROLES
    assert access.admit(codes["analyst"], "Bo") is not None


def test_a_full_room_takes_nobody_until_old_sessions_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # two hundred waits for the disk
    clock = Clock()
    access = opened(tmp_path, clock)
    code = access.issue("analyst")
    for number in range(SESSIONS - KEPT_FREE):
        access.admit(code, f"p{number}")
    assert access.admit(access.issue("facilitator"), "leader") is not None
    with pytest.raises(RoomFull):
        access.admit(code, "one too many")
    clock.now += SESSION_LASTS_S
    assert access.admit(code, "tomorrow") is not None


def test_form_tokens_differ_by_role(tmp_path: Path) -> None:
    access = opened(tmp_path)
    assert access.sealed("analyst", access.form_token("analyst"))
    assert not access.sealed("facilitator", access.form_token("analyst"))
    assert not access.sealed("analyst", "\u00e9")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}x", json.dumps({"format": 2}), json.dumps({"codes": {"king": "0" * 64}}), "x" * (2 << 20)]
)
def test_a_strange_file_is_refused_with_a_cure(tmp_path: Path, content: str) -> None:
    (tmp_path / "room.json").write_text(content)
    with pytest.raises(RunError, match=r"room\.json: .*; delete the file|room\.json: .*delete it"):
        opened(tmp_path)


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "room.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="no regular file"):
        opened(tmp_path)


def test_mistyping_costs_nothing_and_guessing_doubles_the_wait() -> None:
    throttle, now = Throttle(), 0.0
    waits = []
    for _ in range(FREE_TRIES + 4):
        throttle.failed("10.0.0.1", now)
        waits.append(throttle.wait_s("10.0.0.1", now))
        now += waits[-1]
    assert waits == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert throttle.wait_s("10.0.0.2", now) == 0.0


def test_a_wait_has_a_longest_and_ends_with_a_right_code() -> None:
    throttle = Throttle()
    for _ in range(60):
        throttle.failed("10.0.0.1", 0.0)
    assert throttle.wait_s("10.0.0.1", 100.0) == LONGEST_DELAY_S - 100.0
    throttle.succeeded("10.0.0.1")
    assert throttle.wait_s("10.0.0.1", 100.0) == 0.0


def test_guessers_however_many_keep_nobody_else_waiting() -> None:
    throttle = Throttle()
    for number in range(2_000):
        throttle.failed(f"10.0.{number >> 8}.{number & 255}", 0.0)
        throttle.failed("10.1.0.1", 0.0)
    assert throttle.wait_s("10.9.9.9", 0.0) == 0.0


def test_addresses_of_one_ipv6_network_are_one_client() -> None:
    throttle = Throttle()
    for last in range(FREE_TRIES):
        throttle.failed(f"2001:db8::{last:x}", 0.0)
    assert throttle.wait_s("2001:db8::ffff", 0.0) == 1.0
    assert throttle.wait_s("2001:db8:0:1::1", 0.0) == 0.0


def test_the_throttle_remembers_a_bounded_number_of_clients() -> None:
    throttle = Throttle()
    for number in range(CLIENTS + 50):
        throttle.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", float(number))
    assert len(throttle._clients) == CLIENTS
