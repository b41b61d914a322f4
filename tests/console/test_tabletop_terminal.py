"""One person plays the exercise in a terminal, with keys alone, on a small screen and on a large one."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import Occurrence
from turncoat.console.tabletop.desk.case import CasePane
from turncoat.console.tabletop.desk.deeds import BY_KIND, DEEDS, DeedForm, Field
from turncoat.console.tabletop.desk.held_clock import HeldClock
from turncoat.console.tabletop.desk.queue import Queue
from turncoat.console.tabletop.terminal import require_terminal, run_terminal
from turncoat.scenarios.errors import InputError

from ..agent.exercise.small_exercise import kinds, prepared
from ..command_line import uncontrolled
from .desk_play import LARGE, SMALL, Player, Watch, play


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small exercise, prepared once."""
    return prepared(tmp_path_factory.mktemp("ready") / "exercise")


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    """A copy of it to play with."""
    return Path(shutil.copytree(ready, tmp_path / "exercise"))


@pytest.fixture
def exercise(folder: Path) -> Iterator[Exercise]:
    """It, not yet begun."""
    with Exercise.open(folder) as opened:
        yield opened


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
def test_an_exercise_is_played_to_its_end(exercise: Exercise, tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(player: Player) -> None:
        assert "It is Monday." in player.seen()
        await player.begin()
        assert [role for role, _ in exercise.state.participants] == ["analyst", "lead", "executive"]
        await player.until_an_alert_is_handed_over()
        uid = player.desk.query_one(Queue).chosen
        assert uid is not None

        await player.press("enter")
        assert list(exercise.state.opened) == [uid]
        assert exercise.material.alerts[uid].title in player.seen()

        asked_at = exercise.now
        await player.press("a")
        assert "takes 2 s, done" in player.seen()
        await player.press("enter")
        (evidence,) = exercise.state.evidence[uid]
        assert evidence.tool == "directory"
        assert (exercise.now - asked_at).total_seconds() == 2.0
        assert evidence.answer[:30] in player.seen()

        await player.press("o")
        await player.press("down", "down", "enter")
        await player.type("their own laptop")
        await player.press("enter")
        assert (exercise.state.calls[uid].action, exercise.state.calls[uid].reason) == ("dismiss", "their own laptop")
        assert "their own laptop" in player.seen()

        await player.press("escape")
        while not player.desk.view.dismissed:
            await player.press("N")
            await player.read_all()
        await player.press("u")
        assert "takes 30 min" in player.seen()
        await player.press("enter")
        assert [work.kind for work in exercise.state.works.values()] == ["audit"]
        while exercise.state.works:
            await player.press("n")
            await player.read_all()
        assert exercise.state.audited
        assert "dismiss" in player.seen()

        await player.press("m")
        await player.type("it closes what it should not")
        await player.press("enter")
        assert player.desk.view.model == "being replaced"
        while exercise.state.swapped is None:
            await player.press("n")
            await player.read_all()
        assert "replaced" in player.seen()

        assert not any(word in player.seen() for word in ("poisoned", "clean"))
        await player.press("e", "enter")
        assert exercise.state.mode == "ended"
        for words in ("poisoned", "clean", "after-action.html", "Reads the share"):
            assert words in player.seen()

    play(exercise, script, size=size, report=lambda _: Path("after-action.html"))
    assert kinds(exercise.events())[-1] == "ended"


def test_a_notice_waits_until_it_is_read_and_stays_on_the_desk(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        while not exercise.state.given:
            await player.press("n")
        assert player.page == "Page"
        assert "For the SOC lead" in player.seen() or "For the Executive" in player.seen()
        at = exercise.now
        await player.let_pass(60)
        assert exercise.now == at
        text = player.desk.view.injects[0].text
        await player.press("enter")
        assert player.page == "DeskScreen"
        assert text in player.seen()
        await player.let_pass(1)
        assert exercise.now > at

    play(exercise, script)


def test_the_clock_pauses_changes_its_speed_and_stands_still_for_a_form(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        begun = exercise.now
        await player.let_pass(2)
        assert (exercise.now - begun).total_seconds() == pytest.approx(120, abs=0.1)
        await player.press("plus")
        assert exercise.state.speed == 120
        await player.press("minus", "minus")
        assert exercise.state.speed == 30
        await player.press("space")
        paused = exercise.now
        await player.let_pass(5)
        assert exercise.now == paused
        assert "paused" in player.seen()
        await player.press("space", "i")
        await player.let_pass(5)
        assert "held" in player.seen()
        await player.press("escape")
        assert exercise.now == paused
        await player.let_pass(1)
        assert (exercise.now - paused).total_seconds() == pytest.approx(30, abs=0.1)

    play(exercise, script)


def test_a_refusal_is_told_in_the_form_and_nothing_is_recorded(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        before = len(exercise.events())
        await player.press("d")
        await player.type("nobody")
        await player.press("tab")
        await player.type("suspicion")
        await player.press("enter")
        assert player.page == "Form"
        assert "user: unknown account 'nobody'" in " ".join(player.seen().split())
        assert len(exercise.events()) == before
        await player.press("home", *["delete"] * 6)
        await player.type("alice")
        await player.press("enter")
        assert player.page == "DeskScreen"
        assert [work.payload["user"] for work in exercise.state.works.values()] == ["alice"]

    play(exercise, script)


def test_every_deed_has_a_key_of_its_own_and_what_it_costs_stands_in_the_menu(exercise: Exercise) -> None:
    assert len({deed.key for deed in DEEDS}) == len(DEEDS)

    async def script(player: Player) -> None:
        await player.begin()
        await player.until_an_alert_is_handed_over()
        await player.press("x")
        shown = player.seen()
        for deed in DEEDS[1:]:
            assert deed.title in shown
        assert "3 min for each alert" in shown
        await player.press("escape")
        for deed in DEEDS[1:]:
            await player.press(deed.key)
            assert player.page == "Form"
            await player.press("escape")

    play(exercise, script)


def test_incident_call_evidence_and_note_are_recorded(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        await player.press("exclamation_mark", *"theft", "enter")
        assert "INCIDENT" in player.seen()
        await player.press("c", "enter", *"alice", "enter")
        await player.press("p", *"alice", "enter")
        await player.press("t", *"hello", "enter")
        await player.press("2")
        assert "Calls HR: alice" in player.seen()

    play(exercise, script)
    assert [e.kind for e in exercise.events() if e.source != "clock"][-4:] == ["declare", "call", "preserve", "note"]


def test_what_an_alert_says_stays_text(exercise: Exercise) -> None:
    hostile = "[red]Open[/red] [@click=app.exit]me[/] \x1b[2J\x1b]0;owned\x07\u202e$(id)"
    alerts = tuple(
        replace(a, title=hostile, activity=hostile, raw={hostile: hostile}) for a in exercise.material.stream.alerts
    )
    material = exercise.material
    exercise.material = replace(material, stream=replace(material.stream, alerts=alerts))

    async def script(player: Player) -> None:
        await player.begin()
        await player.until_an_alert_is_handed_over()
        await player.press("enter")
        assert player.seen().count("[red]Open[/red] [@click=app.exit]me[/] $(id)") >= 3
        await player.press("o")
        assert "[red]Open[/red]" in player.seen()
        await player.press("escape", "3")
        assert "[red]Open[/red]" in player.seen()
        assert uncontrolled(player.seen()) == []

    play(exercise, script)


def test_nothing_that_the_model_closed_is_on_the_desk_before_the_end(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        while "read" not in {exercise.material.outcomes["poisoned"][uid].step for uid in exercise.state.fates}:
            await player.press("n")
            await player.read_all()
        uid = exercise.material.uids["read"]
        assert exercise.state.fates[uid].fate == "dismiss"
        assert uid not in {alert.uid for alert in player.desk.view.alerts}
        assert not any(word in line.told for line in player.desk.view.log for word in ("dismiss", "poisoned"))

    play(exercise, script, size=LARGE)


def test_the_case_stays_open_when_the_window_changes_its_size(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        await player.until_an_alert_is_handed_over()
        await player.press("enter")
        case, queue = player.desk.query_one(CasePane), player.desk.query_one(Queue)
        assert case.display
        assert queue.display
        await player.resize(*SMALL)
        assert case.display
        assert not queue.display
        await player.press("escape")
        assert not case.display
        assert queue.display
        assert queue.has_focus
        await player.resize(50, 16)
        assert "Queue" in player.seen()

    play(exercise, script, size=LARGE)


def test_the_frame_shows_the_focus_without_colour(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(player: Player) -> None:
        await player.begin()
        queue, panel = player.desk.query_one(Queue), player.desk.query_one("#log")
        assert queue.styles.border_top[0] == "heavy"
        assert panel.styles.border_top[0] == "round"
        await player.press("3")
        assert queue.styles.border_top[0] == "round"
        assert panel.styles.border_top[0] == "heavy"
        assert "┏" in player.seen()
        assert player.app.no_color

    play(exercise, script)


def test_an_exercise_that_ended_by_its_clock_shows_its_last_page_and_takes_feedback(exercise: Exercise) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        while exercise.state.mode != "ended":
            await player.press("N")
            await player.read_all()
        assert "The exercise has ended" in player.seen()
        await player.press("enter", *"instructive", "enter")
        await player.press("a")
        assert player.page == "DeskScreen"

    async def come_back(player: Player) -> None:
        assert "The exercise has ended" in player.seen()

    play(exercise, script)
    assert exercise.events()[-1].kind == "feedback"
    assert exercise.events()[-1].payload == {"text": "instructive", "rating": 3}
    play(exercise, come_back)


class FullDisk(Exercise):
    """Cannot record what the team does."""

    def act(self, role: Any, kind: str, *rest: Any, **named: Any) -> list[Occurrence]:
        if kind == "note":
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().act(role, kind, *rest, **named)


def test_a_full_disk_ends_the_app_with_its_reason(folder: Path) -> None:
    async def script(player: Player) -> None:
        await player.begin()
        await player.press("t", *"hello", "enter")

    with FullDisk.open(folder) as exercise:
        app = play(exercise, script)
    assert isinstance(app.fault, OSError)
    assert app.fault.errno == errno.ENOSPC


def test_without_a_terminal_the_other_ways_to_play_are_named(exercise: Exercise) -> None:
    with pytest.raises(InputError, match=r"no terminal to play in; give --solo .* or --serve"):
        require_terminal()
    with pytest.raises(InputError):
        run_terminal(exercise)
    assert exercise.events() == []


def test_a_held_clock_counts_only_what_passes_between() -> None:
    watch = Watch()
    clock = HeldClock(watch)
    watch.now_s = 3.0
    assert clock() == 3.0
    clock.hold()
    clock.hold()
    watch.now_s = 10.0
    clock.release()
    assert clock.held
    assert clock() == 3.0
    clock.release()
    watch.now_s = 11.5
    assert clock() == 4.5


def test_a_name_that_was_cleaned_for_the_screen_is_sent_as_it_is() -> None:
    field = Field("host", "Host", "WS-1", names={"WS-1": "WS-\u200b1"})
    form = DeedForm(BY_KIND["isolate"], (field,), {})
    assert form.payload({"host": "WS-1"}) == {"host": "WS-\u200b1"}
    assert form.payload({"host": "WS-2"}) == {"host": "WS-2"}
