from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.scenarios.errors import InputError

from .small_exercise import START, at, frozen, kinds, opened, prepared


def test_nothing_happens_before_the_facilitator_starts(tmp_path: Path) -> None:
    with Exercise.open(prepared(tmp_path)) as exercise:
        exercise.advance(0.0)
        assert exercise.advance(3_600.0) == []
        assert exercise.now == START
        with pytest.raises(InputError, match="action: the exercise has not begun; wait for the facilitator"):
            exercise.act("lead", "audit")
        exercise.act("facilitator", "start")
        assert exercise.state.mode == "running"


def test_the_clock_runs_at_its_speed_and_stands_while_paused(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.advance(100.0)
        exercise.advance(102.0)
        assert exercise.now == START + timedelta(minutes=2)
        exercise.act("facilitator", "speed", {"speed": "600"})
        exercise.advance(103.0)
        assert exercise.now == START + timedelta(minutes=12)
        exercise.act("facilitator", "pause")
        exercise.advance(200.0)
        exercise.act("facilitator", "resume")
        exercise.advance(200.5)
        assert exercise.now == START + timedelta(minutes=17)


def test_a_pump_that_stood_still_loses_time_instead_of_leaping(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.advance(0.0)
        exercise.advance(3_600.0)
        assert exercise.now == START + timedelta(minutes=5)


def test_the_steps_of_the_pump_change_nothing_that_happens(tmp_path: Path) -> None:
    courses = []
    for name, stride in (("fine", timedelta(minutes=7)), ("coarse", timedelta(days=2))):
        with opened(tmp_path / name) as exercise:
            while exercise.state.mode != "ended":
                exercise.run_to(exercise.now + stride)
            courses.append([(e.at, e.kind, e.payload) for e in exercise.events() if e.kind != "tick"])
    assert courses[0] == courses[1]
    assert len(courses[0]) > 20


def test_the_team_is_handed_what_the_model_does_not_dismiss(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 11, 30))
        fates = {uid: passed.fate for uid, passed in exercise.state.fates.items()}
        assert fates[exercise.material.uids["read"]] == "dismiss"
        assert set(exercise.state.known) == {uid for uid, fate in fates.items() if fate != "dismiss"}


def test_a_tool_answers_after_the_time_that_it_costs(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        uid = _any_known(exercise)
        asked = exercise.now
        assert kinds(exercise.act("analyst", "ask", {"uid": uid, "tool": "mail_trace"}, "Kim")) == ["ask"]
        with pytest.raises(InputError, match="tool: mail_trace is being asked already"):
            exercise.act("analyst", "ask", {"uid": uid, "tool": "mail_trace"})
        assert "result" not in kinds(exercise.run_to(asked + timedelta(seconds=24)))
        (result,) = [e for e in exercise.run_to(asked + timedelta(seconds=25)) if e.kind == "result"]
        assert result.at == asked + timedelta(seconds=25)
        expected = exercise.material.toolbox.ask("mail_trace", exercise.material.alerts[uid])
        assert exercise.state.evidence[uid] == (expected,)


def test_somebody_who_plays_alone_may_wait_for_the_answer(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        uid = _any_known(exercise)
        exercise.act("facilitator", "pause")
        before = exercise.now
        happened = exercise.act("analyst", "ask", {"uid": uid, "tool": "directory"}, wait=True)
        assert kinds(happened)[0] == "ask"
        assert "result" in kinds(happened)
        assert exercise.now == before + timedelta(seconds=2)
        assert exercise.state.mode == "paused"


def test_a_question_about_something_else_stays_within_the_case(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        uid = _any_known(exercise)
        exercise.act("lead", "ask", {"uid": uid, "tool": "host_inventory", "value": "NO-SUCH-HOST"}, wait=True)
        (evidence,) = exercise.state.evidence[uid]
        assert (evidence.question, evidence.answer) == ("NO-SUCH-HOST", "unknown host")


def test_an_audit_brings_dismissed_alerts_before_the_team(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        read = exercise.material.uids["read"]
        exercise.act("lead", "audit", {"count": "5", "user": "alice"}, wait=True)
        assert read in exercise.state.known
        assert exercise.now == at(1, 12, 15)  # three minutes for each of five
        exercise.act("analyst", "override", {"uid": read, "action": "escalate", "reason": "she leaves on Friday"})
        assert exercise.state.calls[read].action == "escalate"


def test_a_disabled_account_can_do_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 9))
        exercise.act("lead", "disable", {"user": "alice", "reason": "to be sure"})
        exercise.run_to(at(2, 18))
        fates = exercise.state.fates
        assert fates[exercise.material.uids["copy"]].fate == "prevented"
        assert fates[exercise.material.uids["read"]].fate == "dismiss"
        assert {s.id: s.fate for s in exercise.view("facilitator").steps} == {  # type: ignore[union-attr]
            "read": "dismiss", "copy": "prevented", "gone": "prevented",
        }  # fmt: skip


def test_the_replacement_decides_about_what_comes_after_it(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 8))
        exercise.act("lead", "swap", {"reason": "we do not trust it"})
        assert exercise.view("lead").model == "being replaced"
        exercise.run_to(at(2, 12))
        assert exercise.view("lead").model == "replacement"
        assert exercise.state.fates[exercise.material.uids["read"]].fate == "dismiss"
        assert exercise.state.fates[exercise.material.uids["copy"]].fate == "escalate"
        with pytest.raises(InputError, match="replaced already"):
            exercise.act("lead", "swap", {"reason": "again"})


def test_injects_come_by_time_by_condition_and_by_branch(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 18))
        given = {e.payload["id"]: e.at for e in exercise.events() if e.kind == "inject"}
        decided = exercise.state.fates[exercise.material.uids["read"]].at
        assert given == {"question": at(1, 12), "rumour": decided, "nudge": at(1, 14), "press": at(2, 9)}


def test_a_branch_looks_at_what_the_team_has_done(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 13))
        exercise.act("lead", "audit")
        exercise.act("executive", "declare", {"summary": "something is wrong"})
        exercise.run_to(at(2, 18))
        assert set(exercise.state.given) == {"question", "rumour", "thanks"}
        standing = {x.id: x.standing for x in exercise.view("facilitator").expected}  # type: ignore[union-attr]
        assert standing == {"audit": "met", "declare": "met"}


def test_an_inject_that_was_given_by_hand_does_not_come_again(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.act("facilitator", "inject", {"id": "question"})
        exercise.act("facilitator", "inject", {"to": ["analyst"], "text": "The lift is stuck."})
        exercise.run_to(at(1, 13))
        told = [(e.payload["id"], e.payload["by_hand"]) for e in exercise.events() if e.kind == "inject"]
        assert told[:2] == [("question", True), ("", True)]
        assert [id_ for id_, _ in told].count("question") == 1
        with pytest.raises(InputError, match="id: 'question' was given already"):
            exercise.act("facilitator", "inject", {"id": "question"})


def test_skipping_stops_at_what_a_player_can_see(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        before = exercise.now
        happened = exercise.act("facilitator", "skip")
        assert kinds(happened)[-1] == "skipped"
        seen = [kind for kind in kinds(happened) if kind not in ("dismissed", "branched")]
        assert seen[0] in ("handed", "inject")
        assert exercise.now > before
        exercise.act("facilitator", "skip", {"minutes": "90"})
        assert exercise.now == happened[-1].at + timedelta(minutes=90)


def test_the_exercise_ends_on_time_and_then_takes_only_what_is_said_afterwards(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(9, 0))
        assert (exercise.state.mode, exercise.now) == ("ended", at(2, 18))
        with pytest.raises(InputError, match="the exercise has ended"):
            exercise.act("lead", "note", {"text": "too late"})
        exercise.act("analyst", "feedback", {"text": "more coffee", "rating": 4})
        exercise.act("facilitator", "tick-expected", {"id": "audit", "note": "they talked about it"})
        assert exercise.view("facilitator").expected[0].met_at == at(2, 18)  # type: ignore[union-attr]


def test_the_facilitator_may_end_it_at_any_time(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 10))
        assert kinds(exercise.act("facilitator", "end")) == ["ended"]
        assert exercise.run_to(at(2, 18)) == []


def test_listeners_hear_every_event_once_until_they_leave(tmp_path: Path) -> None:
    heard: list[int] = []
    with opened(tmp_path) as exercise:
        leave = exercise.subscribe(lambda event: heard.append(event.seq))
        exercise.run_to(at(1, 12))
        last = exercise.state.seq
        leave()
        exercise.run_to(at(1, 14))
        assert heard == list(range(2, last + 1))
        assert [event.seq for event in exercise.events(after=last)] == list(range(last + 1, exercise.state.seq + 1))


def test_joining_twice_under_one_name_is_joining_once(tmp_path: Path) -> None:
    with Exercise.open(prepared(tmp_path), wall=frozen) as exercise:
        assert kinds(exercise.join("analyst", " Kim   B. ")) == ["joined"]
        assert exercise.join("analyst", "Kim B.") == []
        assert exercise.view("lead").participants == (("analyst", "Kim B."),)
        with pytest.raises(InputError, match="a name has 1 to 60 characters"):
            exercise.join("analyst", " ")


def _any_known(exercise: Exercise) -> str:
    while not exercise.state.known:
        exercise.run_to(exercise.now + timedelta(minutes=30))
    return next(iter(exercise.state.known))
