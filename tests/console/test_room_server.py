"""What the terminal shows of a room, and what it is refused for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import ROLES
from turncoat.console.tabletop.web import server
from turncoat.console.tabletop.web.access import Access
from turncoat.console.tabletop.web.server import Teller

from ..agent.exercise.small_exercise import opened, prepared
from ..command_line import Call, uncontrolled
from ..full_disk import full_disk
from .room_calls import rig


def access(folder: Path) -> Access:
    return Access(folder / "room.json", ROLES, lambda: 0.0)


def test_the_first_start_shows_a_code_per_role_and_the_next_none(tmp_path: Path) -> None:
    first = server._codes(access(tmp_path), new=False)
    assert sorted(first) == sorted(ROLES)
    assert len(set(first.values())) == 4
    assert server._codes(access(tmp_path), new=False) == {}
    assert access(tmp_path).admit(first["lead"], "Ada") is not None


def test_a_start_that_was_killed_before_it_had_all_codes_is_a_first_start_again(tmp_path: Path) -> None:
    killed = access(tmp_path).issue("lead")
    codes = server._codes(access(tmp_path), new=False)
    assert sorted(codes) == sorted(ROLES)
    assert access(tmp_path).admit(killed, "Eve") is None
    assert access(tmp_path).admit(codes["lead"], "Ada") is not None


def test_codes_of_a_first_start_that_cannot_be_written_are_none(tmp_path: Path) -> None:
    room = access(tmp_path)
    with full_disk(300), pytest.raises(OSError, match="too large"):  # room for a code, not for four
        server._codes(room, new=False)
    assert room.open_roles() == ()
    assert not (tmp_path / "room.json").exists()


def test_a_role_that_was_revoked_stays_closed_when_everybody_has_left(tmp_path: Path) -> None:
    room = access(tmp_path)
    server._codes(room, new=False)
    room.revoke("executive")
    again = access(tmp_path)
    assert server._codes(again, new=False) == {}
    assert "executive" not in again.open_roles()


def test_new_codes_end_those_of_an_earlier_start(tmp_path: Path) -> None:
    first = server._codes(access(tmp_path), new=False)
    second = server._codes(access(tmp_path), new=True)
    assert access(tmp_path).admit(first["lead"], "Eve") is None
    assert access(tmp_path).admit(second["lead"], "Ada") is not None


def test_the_terminal_names_address_codes_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    Teller(as_json=False).begin("http://127.0.0.1:8750", Path("exercise"), {"lead": "AAAA-BBBB-CCCC-DDDD"})
    shown = capsys.readouterr().out
    assert "http://127.0.0.1:8750" in shown
    assert "SOC lead" in shown
    assert "AAAA-BBBB-CCCC-DDDD" in shown
    assert "turncoat tabletop --serve --out exercise" in shown
    assert max(map(len, shown.splitlines())) <= 80
    Teller(as_json=False).begin("http://127.0.0.1:8750", Path("exercise"), {})
    assert "--new-codes" in capsys.readouterr().out


def test_as_json_every_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(as_json=True)
    teller.begin("http://127.0.0.1:8750", Path("x"), {"lead": "A"})
    teller.code("lead", "B")
    teller.trouble(OSError(28, "No space left"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(line) for line in lines] == [["address", "codes", "folder"], ["code", "role"], ["trouble"]]


def test_the_same_trouble_is_told_once_and_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(as_json=False)
    for _ in range(3):
        teller.trouble(OSError("\x1b[2Jfull\u202e [red]disk"))
    shown = capsys.readouterr().out
    assert shown.count("cannot be recorded") == 1
    assert "[red]disk" in shown
    assert uncontrolled(shown) == []


def test_the_pump_moves_the_clock_and_outlives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PUMP_S", 0.01)
    monkeypatch.setattr(server, "GATHER_S", 0.0)
    monkeypatch.setattr(server, "RETRY_S", 0.01)
    with opened(tmp_path / "exercise") as exercise:
        room = rig(exercise)
        begun, advance, calls = exercise.now, exercise.advance, list[float]()

        def sometimes_full(now_s: float) -> Any:
            calls.append(now_s)
            if len(calls) in (3, 4):
                raise OSError(28, "No space left on device")
            return advance(now_s)

        monkeypatch.setattr(exercise, "advance", sometimes_full)
        running: Any = SimpleNamespace(should_exit=False)

        async def play() -> None:
            pumping = asyncio.ensure_future(server._pump(running, room.room))
            while len(calls) < 12:
                await asyncio.sleep(0.01)
            running.should_exit = True
            await asyncio.wait_for(pumping, 10)

        asyncio.run(play())
        assert exercise.now > begun
    assert [str(fault) for fault in room.troubles] == ["[Errno 28] No space left on device"] * 2


def test_the_command_serves_nothing_beyond_this_machine_without_tls(turncoat: Call, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "exercise")
    ended = turncoat("tabletop", "--serve", "--quiet", "--out", str(folder), "--host", "0.0.0.0", "--port", "0")
    assert ended.code == 2
    assert "--host: 0.0.0.0 is reachable from other machines" in ended.stderr
    assert not (folder / "room.json").exists()
    with Exercise.open(folder):
        pass
