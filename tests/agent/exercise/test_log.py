"""The log of an exercise: nothing recorded is lost, whatever ends the process, and one process writes at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.exercise import engine
from turncoat.agent.exercise.engine import Exercise, read_events
from turncoat.agent.exercise.folder import EVENTS_FILE, MANIFEST_FILE, PLAN_FILE, Lock
from turncoat.scenarios.errors import InputError, RunError, TurncoatError

from .small_exercise import at, frozen, opened, prepare_anew, prepared


def test_an_exercise_that_is_opened_again_is_where_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.act("facilitator", "speed", {"speed": 300})
        exercise.run_to(at(1, 12))
        exercise.act("lead", "audit", {"count": 4})
        state, views = exercise.state, [exercise.view(role) for role in ("analyst", "facilitator")]
    with Exercise.open(tmp_path, wall=frozen) as again:
        assert again.state == state
        assert [again.view(role) for role in ("analyst", "facilitator")] == views
        again.advance(50.0)
        assert again.now == state.now
        again.advance(51.0)
        assert (again.now - state.now).total_seconds() == 300


def test_the_same_actions_write_the_same_log(tmp_path: Path) -> None:
    logs = []
    for name in ("first", "second"):
        with opened(tmp_path / name) as exercise:
            exercise.run_to(at(1, 12))
            exercise.act("lead", "audit", {"count": 4}, "Sam")
            exercise.run_to(at(2, 18))
        logs.append((tmp_path / name / EVENTS_FILE).read_bytes())
    assert logs[0] == logs[1]


def test_a_torn_last_line_is_dropped_and_all_before_it_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        events = exercise.events()
    file = tmp_path / EVENTS_FILE
    file.write_bytes(file.read_bytes()[:-7])
    with Exercise.open(tmp_path, wall=frozen) as again:
        assert again.events() == events[:-1]
        again.run_to(at(1, 12))
        assert [(e.seq, e.at, e.kind, e.payload) for e in again.events()] == [
            (e.seq, e.at, e.kind, e.payload) for e in events
        ]


PLAY = """
import sys
from datetime import timedelta
from pathlib import Path
from turncoat.agent.exercise.engine import Exercise

exercise = Exercise.open(Path(sys.argv[1]))
exercise.subscribe(lambda event: print(event.seq, flush=True))
exercise.act("facilitator", "start")
while True:
    exercise.act("lead", "note", {"text": "still here"})
    exercise.run_to(exercise.now + timedelta(minutes=1))
"""


def test_a_killed_process_has_recorded_all_that_it_told(tmp_path: Path) -> None:
    prepared(tmp_path)
    playing = subprocess.Popen((sys.executable, "-c", PLAY, tmp_path), stdout=subprocess.PIPE, text=True)
    assert playing.stdout is not None
    told = [int(next(playing.stdout)) for _ in range(40)]
    playing.send_signal(signal.SIGKILL)
    told += [int(line) for line in playing.stdout.read().split()]
    playing.wait()
    with Exercise.open(tmp_path) as again:
        assert [event.seq for event in again.events()][: len(told)] == told
        assert again.state.mode == "running"
        assert again.now == again.events()[-1].at


def test_two_processes_cannot_run_one_exercise(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        with pytest.raises(RunError, match="another process runs this exercise"):
            Exercise.open(tmp_path)
        exercise.run_to(at(1, 10))
    Exercise.open(tmp_path).close()


def test_reading_takes_no_hold_of_the_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 10))
        material, events = read_events(tmp_path)
        assert events == exercise.events()
        assert material.plan == exercise.material.plan


def _rows(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        file = folder / EVENTS_FILE
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        change(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return spoil


def _first_alert(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row["payload"] for row in rows if "uid" in row["payload"])


def _named(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(row["payload"] for row in rows if row["kind"] == kind)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a gap": (_rows(lambda rows: rows.pop(2)), "does not follow"),
    "backwards": (_rows(lambda rows: rows[-1].update(at="2020-01-01T00:00:00+00:00")), "does not follow"),
    "no time zone": (_rows(lambda rows: rows[1].update(at="2026-03-02T09:00:00")), "time zone"),
    "another kind": (_rows(lambda rows: rows[1].update(kind="x")), "not an event"),
    "nobody": (_rows(lambda rows: rows[1].update(source="ceo")), "nobody's event"),
    "after the end": (_rows(lambda rows: rows[-1].update(at="2900-12-31T23:59:59+00:00")), "the exercise ends at"),
    "work without end": (_rows(lambda rows: _named(rows, "ask").update(cost_s=1e300)), "validation error for"),
    "asked about another alert": (_rows(lambda rows: _named(rows, "ask").update(uid="ffff")), "no alert 'ffff'"),
    "another alert": (_rows(lambda rows: _first_alert(rows).update(uid="ffff")), "no alert 'ffff'"),
    "fate of its own": (_rows(lambda rows: _first_alert(rows).update(action="forget")), "validation error for"),
    "another field": (_rows(lambda rows: rows[0]["payload"].update(more=1)), "validation error for"),
    "field of another type": (
        _rows(lambda rows: _named(rows, "ask").update(cost_s="1")),
        "not what is recorded of 'ask'",
    ),
    "no such tool": (_rows(lambda rows: _named(rows, "ask").update(tool="gossip")), "no tool 'gossip'"),
    "result of nothing": (
        _rows(lambda rows: _named(rows, "result").update(kind="bribe")),
        "not what is recorded of 'result'",
    ),
    "result of no kind": (
        _rows(lambda rows: _named(rows, "result").update(kind=[])),
        "not what is recorded of 'result'",
    ),
    "no payload": (_rows(lambda rows: rows[1].update(payload=[])), "not an event"),
    "not JSON": (lambda folder: (folder / EVENTS_FILE).write_text("{\n"), "not a JSON object"),
    "no manifest": (lambda folder: (folder / MANIFEST_FILE).unlink(), "no exercise"),
    "manifest of another": (lambda folder: (folder / MANIFEST_FILE).write_text("{}"), "changed by hand"),
    "no decisions": (lambda folder: (folder / "decisions.jsonl").unlink(), "without a decision"),
    "plan with mistakes": (lambda folder: (folder / PLAN_FILE).write_text("schema: 1\n"), "is missing"),
    "log is a link": (lambda folder: _linked(folder / EVENTS_FILE), "a link"),
}


def _linked(file: Path) -> None:
    file.rename(file.with_suffix(".old"))
    file.symlink_to(file.with_suffix(".old"))


@pytest.mark.parametrize("how", SPOILT)
def test_a_folder_that_was_changed_is_refused_with_its_place(tmp_path: Path, how: str) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        exercise.act("lead", "audit", {"count": 3}, wait=True)
        exercise.act("lead", "ask", {"uid": next(iter(exercise.state.known)), "tool": "peers"})
    spoil, told = SPOILT[how]
    spoil(tmp_path)
    for read in (Exercise.open, read_events):
        with pytest.raises(TurncoatError, match=told) as refused:
            read(tmp_path)
        assert str(tmp_path) in str(refused.value)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(RunError, match=r"not empty and no exercise \(holds 'letters.txt'\)"):
        prepare_anew(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_two_processes_cannot_prepare_one_folder(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(RunError, match="another process runs this exercise"):
        prepare_anew(tmp_path)
    lock.release()
    prepare_anew(tmp_path)


def test_a_log_longer_than_any_of_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
    monkeypatch.setattr(engine, "MAX_EVENTS", 5)
    with pytest.raises(RunError, match=r"events\.jsonl:\d+: more than 5 events"):
        Exercise.open(tmp_path)


def test_a_full_log_takes_no_more_of_players_and_still_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_ACTS", 1)
    with opened(tmp_path) as exercise:
        with pytest.raises(InputError, match="the log holds 1 events"):
            exercise.act("lead", "note", {"text": "flood"})
        with pytest.raises(InputError, match="takes nobody else"):
            exercise.join("lead", "somebody new")
        exercise.run_to(at(2, 18))
        assert exercise.state.mode == "ended"


def test_what_a_killed_preparation_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "decisions.jsonl").write_text('{"uid": "half a li')
    (tmp_path / ".campaign.yaml.part").write_text("schema")
    prepare_anew(tmp_path)
    with Exercise.open(tmp_path) as exercise:
        assert exercise.state.seq == 0
