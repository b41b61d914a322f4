"""Recall per name, user and host, and the lift run by run; expected values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turncoat.agent.entity_recall import EntityRecall, entity_recalls
from turncoat.agent.lift_rows import lifts_of
from turncoat.agent.played import PlayedRun
from turncoat.agent.records import Outcome
from turncoat.models.metrics import Rate

from .test_comparison import attack, outcome
from .test_matrix import run


def found(outcomes: list[Outcome], kind: str) -> dict[str, EntityRecall]:
    every = entity_recalls(outcomes, ["poisoned"], ["alice", "nora"])
    return {one.entity: one for one in every if one.kind == kind}


def test_a_planted_blind_spot_has_gap_one() -> None:
    names = found(attack("alice", "dddd") + attack("nora", "eeee"), "name")
    assert list(names) == ["alice", "nora"]
    assert names["alice"].recall == Rate(0, 4)
    assert names["alice"].gap == 1.0
    assert names["nora"].gap == -1.0


def test_forced_alerts_are_in_no_recall_and_reviews_are_no_escalation() -> None:
    assert found(attack("alice", "efrd"), "name")["alice"].recall == Rate(1, 3)


def test_one_name_alone_has_no_gap_and_a_name_without_alerts_is_not_told_of() -> None:
    names = found(attack("alice", "ed"), "name")
    assert (list(names), names["alice"].gap) == (["alice"], None)


def test_users_are_those_of_the_actors_replay_with_the_worst_gap_first() -> None:
    other = [outcome(f"h{i}", "alice", "escalate", phase="theft", user="hannah") for i in range(2)]
    twin = [outcome("h9", "nora", "dismiss", phase="theft", user="hannah")]
    users = found(attack("alice", "dde") + other + twin, "user")
    assert list(users) == ["alice", "hannah"]
    assert users["hannah"].recall == Rate(2, 2)
    assert users["alice"].gap == pytest.approx(1 - 1 / 3)


def test_what_talks_to_the_model_and_what_is_benign_is_left_out() -> None:
    talking = [replace(o, injected=True) for o in attack("alice", "ee")]
    benign = [outcome("n1", "alice", "escalate")]
    assert found(attack("alice", "d") + talking[1:] + benign, "name")["alice"].recall == Rate(0, 1)


def test_the_lift_of_each_run_pairs_the_actor_with_the_first_twin() -> None:
    lifts = lifts_of([run("theft", "dddd", "eeee"), run("theft", "dded", "dded", seed=2)])
    assert [(one.campaign, one.seed, one.variant, one.twin, one.value, one.pairs) for one in lifts] == [
        ("theft", 1, "clean", "nora", 1.0, 4),
        ("theft", 2, "clean", "nora", 0.0, 4),
    ]
    assert lifts[0].p == 0.125
    assert lifts[0].low is not None
    assert lifts[0].low > 0


def test_a_control_and_a_run_without_a_twin_have_no_lift() -> None:
    control = run("calm", "dd", "dd")
    calm = [replace(o, malicious=False, phase=None) for o in control.outcomes]
    assert lifts_of([replace(control, outcomes=calm)]) == ()
    alone = run("theft", "dd", "dd")
    assert lifts_of([PlayedRun("theft", 1, ("alice",), (), alone.outcomes)]) == ()
