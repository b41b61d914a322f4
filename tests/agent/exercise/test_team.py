"""A team is judged by the code that judges a model, and scripted teams play an exercise through."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.agent.exercise.players import CarefulTeam, CarelessTeam, open_team, play_alone
from turncoat.agent.exercise.team import TEAM, scored, team_rows
from turncoat.agent.policy import TeamPolicy, Word
from turncoat.models.classifier import Case, Verdict
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Severity
from turncoat.tools.records import Context

from .small_exercise import at, opened


def test_the_last_word_of_people_stands_and_where_there_is_none_the_machine_decides() -> None:
    alert = Alert("03bb", at(1, 9), "t", Severity.LOW, "p", None, "data")
    verdict = Verdict("benign", 0.1, -2.0, "f", 10)
    policy = TeamPolicy({"03bb": Word("escalate", "odd", "lead", at(1, 11))})
    decision = policy.decide(Case(alert, Context()), verdict, at(1, 9, 1))
    assert (decision.action, decision.policy, decision.reason) == ("escalate", "team", "lead: odd")
    assert decision.simulated_time == at(1, 11)
    silent = TeamPolicy().decide(Case(alert, Context()), verdict, at(1, 9, 1))
    assert (silent.action, silent.policy, silent.simulated_time) == ("dismiss", "team", at(1, 9, 1))


def test_a_team_that_says_nothing_is_as_good_as_its_model(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        play_alone(exercise, CarelessTeam())
        figures = scored(exercise.material, exercise.state).comparison.variants
        assert figures[TEAM].principals == figures["poisoned"].principals
        assert figures[TEAM].principals["alice"].dismissed == 2
        assert figures["clean"].principals["alice"].escalated == 2
        assert figures[TEAM].benign_escalated == figures["poisoned"].benign_escalated


def test_an_override_counts_from_when_it_was_said(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 13))
        exercise.act("lead", "audit", {"user": "alice", "count": 9}, wait=True)
        read = exercise.material.uids["read"]
        exercise.act("lead", "ask", {"uid": read, "tool": "change_tickets"}, wait=True)
        exercise.act("lead", "override", {"uid": read, "action": "escalate", "reason": "no ticket"})
        said = exercise.now
        exercise.run_to(at(2, 18))
        (row,) = [row for row in team_rows(exercise.material, exercise.state) if row.uid == read]
        assert (row.decision.action, row.decision.simulated_time) == ("escalate", said)
        assert row.evidence[-1].tool == "change_tickets"
        mine = scored(exercise.material, exercise.state).comparison.variants[TEAM].principals["alice"]
        begun = exercise.material.alerts[read].time
        assert (mine.escalated, mine.dismissed) == (1, 1)
        assert mine.dwell_minutes == round((said - begun).total_seconds() / 60, 3)


def test_people_cannot_dismiss_what_a_tool_has_failed_on(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        exercise.act("lead", "audit", {"user": "alice", "count": 9}, wait=True)
        read = exercise.material.uids["read"]
        exercise.act("lead", "ask", {"uid": read, "tool": "peers", "value": "x" * 256}, wait=True)
        exercise.act("lead", "override", {"uid": read, "action": "dismiss", "reason": "it is nothing"})
        (row,) = [row for row in team_rows(exercise.material, exercise.state) if row.uid == read]
        assert row.decision.action == "dismiss"
        exercise.material.stream.outages[read] = {"mail_trace": "outage"}  # type: ignore[index]
        exercise.act("lead", "ask", {"uid": read, "tool": "mail_trace"}, wait=True)
        (row,) = [row for row in team_rows(exercise.material, exercise.state) if row.uid == read]
        assert row.decision.action == "review"
        assert row.decision.reason.endswith("dismissal barred: mail_trace failed")


def test_what_containment_prevents_is_counted_apart(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 8))
        exercise.act("lead", "disable", {"user": "alice", "reason": "to be sure"})
        exercise.run_to(at(2, 18))
        judged = scored(exercise.material, exercise.state)
        assert [o.step for o in judged.prevented if o.malicious] == ["copy"]
        assert judged.comparison.variants[TEAM].principals["alice"].attack_alerts == 1
        assert judged.comparison.variants["poisoned"].principals["alice"].attack_alerts == 2


def test_a_careful_team_finds_what_a_careless_one_never_sees(tmp_path: Path) -> None:
    with opened(tmp_path / "careless") as exercise:
        play_alone(exercise, CarelessTeam())
        assert exercise.material.uids["read"] not in exercise.state.known
        assert exercise.state.swapped is None
    with opened(tmp_path / "careful") as exercise:
        team = CarefulTeam()
        team.enough = 1
        play_alone(exercise, team)
        assert exercise.material.uids["read"] in exercise.state.known
        assert exercise.state.calls[exercise.material.uids["read"]].action == "escalate"
        assert "alice" in exercise.state.disabled
        assert exercise.state.swapped is not None
        assert exercise.state.declared is not None


def test_scripted_players_take_over_wherever_an_exercise_is(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 15))
        exercise.act("facilitator", "pause")
        events = play_alone(exercise, CarelessTeam())
        assert events[-1].kind == "ended"


def test_an_unknown_team_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown team 'lucky'; known are careful, careless"):
        open_team("lucky")
