"""What an exercise came to: times, ratings and coverage, worked out by hand on the small theft."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from turncoat.agent.exercise.after_action import AfterAction, after_action
from turncoat.agent.exercise.draft import proposed
from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.team import TEAM

from ...small_campaign import READ, small_campaign
from .small_exercise import GONE, at, opened, prepared


def looked_back(exercise: Exercise) -> AfterAction:
    return after_action(exercise.material, exercise.events())


def isolated(folder: Path) -> Exercise:
    """The second morning: the host of the attack's second step is off the network, and the third needs none."""
    script = """\
- id: script
  title: Runs a script
  technique: T1059.001
  at: D2 11:00
  alert: {family: encoded-powershell, severity: high, host: LT-ALICE}
  expect: {truth: malicious, escalate: true}
"""
    exercise = Exercise.open(prepared(folder, small_campaign(READ, script, GONE, per_day=8)))
    exercise.act("facilitator", "start")
    exercise.run_to(at(2, 8))
    host = exercise.material.alerts[exercise.material.uids["script"]].entities.host
    exercise.act("lead", "isolate", {"host": host, "reason": "odd"})
    return exercise


def test_a_team_that_looks_late_has_lost_the_time_in_between(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 8))
        exercise.act("lead", "audit", {"user": "alice", "count": 10})
        exercise.run_to(at(2, 9))
        exercise.act("lead", "disable", {"user": "alice", "reason": "she took the books"})
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
        read = exercise.material.outcome(exercise.material.uids["read"], "replacement")
    told = read.investigation.decision.simulated_time
    times = after.times
    assert times.begun == at(1, 11)
    assert times.reference_known == told
    assert times.known == at(2, 8, 30)  # ten alerts at three minutes each
    assert times.acted == at(2, 9)
    assert times.contained == at(2, 9, 5)
    assert times.lost == at(2, 8, 30) - told
    assert times.reference_contained == told + timedelta(minutes=35)
    assert (after.prevented, after.innocent) == (1, ())
    assert after.figures[TEAM].attack_alerts == 1
    assert [(m.step.id, m.step.fate, m.deployed, m.reference) for m in after.timeline] == [
        ("read", "dismiss", "dismiss", "escalate"),
        ("copy", "prevented", "dismiss", "escalate"),
        ("gone", "prevented", "", ""),
    ]


def test_a_team_that_never_looks_knows_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
    assert (after.times.known, after.times.acted, after.times.contained, after.times.lost) == (None, None, None, None)
    assert after.times.reference_known is not None
    assert after.decisions == ()
    (rated,) = after.objectives
    assert rated.proposed == "U"
    draft = proposed(after)
    assert "None of its alerts came before the team." in draft.summary
    assert "With the clean model you would have known on Monday 11:00." in draft.summary
    assert "It was not contained." in draft.summary
    assert [one.area for one in draft.improvements] == [
        "Not done: Audits.", "Not done: Declares.", "Nobody looks at what the model dismisses",
    ]  # fmt: skip


def test_a_measure_after_the_last_step_contains_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 16))
        exercise.act("lead", "disable", {"user": "alice", "reason": "too late"})
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
    assert after.times.acted == at(2, 16)
    assert after.times.contained is None


def test_a_measure_that_leaves_a_way_open_contains_nothing(tmp_path: Path) -> None:
    with isolated(tmp_path) as exercise:
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
    assert [m.step.fate for m in after.timeline] == ["dismiss", "prevented", "undetected"]
    assert after.times.contained is None


def test_what_closes_the_last_way_contains_it_and_not_the_measure_before(tmp_path: Path) -> None:
    with isolated(tmp_path) as exercise:
        exercise.run_to(at(2, 12))
        exercise.act("lead", "disable", {"user": "alice", "reason": "the rest"})
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
    assert [m.step.fate for m in after.timeline] == ["dismiss", "prevented", "prevented"]
    assert after.times.contained == at(2, 12, 5)


def test_switching_off_somebody_without_a_part_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        other = next(p.login for p in exercise.material.stream.world.people if p.login != "alice")
        exercise.act("lead", "disable", {"user": other, "reason": "a guess"})
        exercise.run_to(at(2, 18))
        after = looked_back(exercise)
    assert after.innocent == (other,)
    assert [(one.line.kind, one.sound) for one in after.decisions] == [("disable", False)]
    assert after.times.acted is None


def test_decisions_are_held_against_what_was_so(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 12))
        exercise.act("lead", "audit", {"count": 50}, wait=True)
        read = exercise.material.uids["read"]
        harmless = next(u for u in exercise.state.known if not exercise.material.outcome(u, "deployed").malicious)
        for uid, action in ((read, "escalate"), (read, "dismiss"), (harmless, "dismiss"), (harmless, "escalate")):
            exercise.act("lead", "override", {"uid": uid, "action": action, "reason": "so we think"})
        exercise.act("lead", "swap", {"reason": "we have seen enough"})
        after = looked_back(exercise)
    assert [one.sound for one in after.decisions] == [None, True, False, True, False, True]


def test_objectives_are_rated_by_what_was_done_in_time(tmp_path: Path) -> None:
    rated = {}
    for name, audit_at, declares in (("P", at(1, 13), True), ("S", at(1, 15), True), ("U", None, False)):
        with opened(tmp_path / name) as exercise:
            if audit_at:
                exercise.run_to(audit_at)
                exercise.act("lead", "audit")
            if declares:
                exercise.act("executive", "declare", {"summary": "something"})
            exercise.run_to(at(2, 18))
            (objective,) = looked_back(exercise).objectives
            rated[name] = objective.proposed
    assert rated == {"P": "P", "S": "S", "U": "U"}


def test_coverage_counts_who_saw_which_technique(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        exercise.act("lead", "audit", {"user": "alice", "count": 10})
        exercise.run_to(at(2, 18))
        rows = {row.technique: row for row in looked_back(exercise).coverage}
    share, stick = rows["T1039"], rows["T1052.001"]
    assert (share.steps, share.alerts, share.deployed, share.reference, share.known) == (1, 1, 0, 1, 1)
    assert (stick.steps, stick.alerts, stick.deployed, stick.reference, stick.known) == (2, 1, 0, 1, 0)
    assert share.name == "Data from Network Shared Drive"


def test_coverage_leaves_out_what_had_not_come_up(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        exercise.act("facilitator", "end")
        rows = {row.technique: row for row in looked_back(exercise).coverage}
    assert (rows["T1039"].alerts, rows["T1039"].reference) == (1, 1)
    assert (rows["T1052.001"].steps, rows["T1052.001"].alerts, rows["T1052.001"].reference) == (2, 0, 0)


def test_minutes_in_the_room_leave_out_the_night_in_which_it_was_closed(tmp_path: Path) -> None:
    wall = [datetime(2026, 11, 1, 9, tzinfo=UTC)]
    folder = prepared(tmp_path)

    def play(first: int, minutes: int) -> AfterAction:
        with Exercise.open(folder, wall=lambda: wall[0]) as exercise:
            if exercise.state.mode == "waiting":
                exercise.act("facilitator", "start")
            for minute in range(first, first + minutes):
                wall[0] += timedelta(minutes=1)
                exercise.run_to(at(1, 8) + timedelta(minutes=5 * minute + 5))
            return looked_back(exercise)

    assert play(0, 30).wall_minutes == 30
    wall[0] += timedelta(hours=20)
    assert play(30, 10).wall_minutes == 39  # the first minute after the night cannot be told from it
