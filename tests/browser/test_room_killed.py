"""A server that is killed without warning and started again: nothing recorded is lost, and open pages go on by themselves."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from ..command_line import process
from .conftest import copied
from .running_room import RunningRoom, live

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def recorded(folder: Path) -> list[dict[str, object]]:
    """The whole lines of the log."""
    lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


class Writer(threading.Thread):
    """A lead who writes one note after the other, and remembers which were taken."""

    def __init__(self, room: RunningRoom) -> None:
        super().__init__(daemon=True)
        self.taken: list[str] = []
        self.warm = threading.Event()
        self._room = room

    def run(self) -> None:
        headers = {"Origin": self._room.address, "HX-Request": "true"}
        with httpx.Client(base_url=self._room.address, headers=headers, timeout=60) as web:
            web.post("/join", data={"code": self._room.codes["lead"], "name": "Writer"})
            found = re.search(r'name="form-token" value="([0-9a-f]+)"', web.get("/lead/").text)
            assert found
            try:
                while True:
                    text = f"note {len(self.taken)}."
                    answer = web.post("/lead/do/note", data={"text": text, "form-token": found.group(1)})
                    assert answer.status_code == 200
                    self.taken.append(text)
                    if len(self.taken) >= 20:
                        self.warm.set()
            except httpx.HTTPError:
                return


def test_a_killed_server_goes_on_where_it_was(
    chromium: Browser, fresh_exercise: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from playwright.sync_api import expect

    folder = copied(fresh_exercise, tmp_path_factory)
    with RunningRoom(folder) as first:
        boss = first.seat(chromium, "facilitator", "Freya")
        lead = first.seat(chromium, "lead", "Grace")
        boss.get_by_role("button", name="Start the exercise").click()
        boss.get_by_role("button", name="+ 1 h").click()
        expect(boss.locator("#answer")).to_contain_text("moved on")
        boss.get_by_role("button", name="Pause").click()
        expect(lead.locator("#clock")).to_contain_text("Paused")
        clock = lead.inner_text("#clock")
        lead.get_by_text("Write a note for the team").click()
        lead.get_by_label("Note", exact=True).fill("typed, not sent")
        writer = Writer(first)
        writer.start()
        assert writer.warm.wait(60)
        first.kill()
        writer.join(60)
        lead.wait_for_selector("body[data-connection=lost]")
    taken = writer.taken
    before = recorded(folder)
    assert [event["seq"] for event in before] == list(range(1, len(before) + 1))

    with RunningRoom(folder, first.port) as second:
        assert second.codes == {}
        live(lead)
        live(boss)
        assert lead.inner_text("#clock") == clock
        assert lead.get_by_label("Note", exact=True).input_value() == "typed, not sent"
        expect(lead.locator("#log")).to_contain_text(taken[-1])
        lead.get_by_role("button", name="Write it down").click()
        expect(boss.locator("#log")).to_contain_text("typed, not sent")
        boss.get_by_role("button", name="Resume").click()
        expect(lead.locator("#clock")).to_contain_text("Running")
        second.codes |= first.codes  # those that stand on the whiteboard
        second.seat(chromium, "executive", "Erin").close()

    after = recorded(folder)
    assert after[: len(before)] == before
    notes = [event["payload"]["text"] for event in after if event["kind"] == "note"]  # type: ignore[index]
    assert notes[: len(taken)] == taken
    assert [event["seq"] for event in after] == list(range(1, len(after) + 1))


def test_a_second_server_for_the_same_exercise_is_refused(playing: RunningRoom, tmp_path: Path) -> None:
    other = process("tabletop", "--serve", "--quiet", "--out", str(playing.folder), "--port", "0", cwd=tmp_path)
    _, told = other.communicate(timeout=120)
    assert other.returncode == 2
    assert "another process runs this exercise" in told
    assert "Traceback" not in told
