"""A campaign step by step: order, times of what nothing detects, asides, and the fate under each variant and name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from turncoat.agent.records import Action, Decision, Investigation, Outcome
from turncoat.agent.storyline import storyline
from turncoat.scenarios.emit import emit_as
from turncoat.scenarios.loader import parse_campaign
from turncoat.scenarios.records import AlertStream

from ..small_campaign import READ, small_campaign

UNSEEN = READ.replace("id: read", "id: unseen").replace("D1 11:00", "D1 10:00")
UNSEEN = UNSEEN.replace("{family: share-bulk-read, severity: high}", "null").replace(
    "escalate: true", "escalate: false"
)
LATER = READ.replace("id: read", "id: later").replace("D1 11:00", "D1 12:00")
BORROWED = READ.replace("id: read", "id: borrowed").replace("D1 11:00", "D2 09:00")
TALKING = READ.replace("id: read", "id: talking").replace("D1 11:00", "D2 10:00")
TALKING = TALKING.replace("escalate: true}", "escalate: true, injected: true}")
CAMPAIGN = parse_campaign(small_campaign(LATER, READ, UNSEEN, BORROWED, TALKING, per_day=0))
STREAMS, TRUTHS = emit_as(CAMPAIGN, 5, ("alice", "nora"))


def rows(stream: AlertStream, actions: str, *, slow: float = 0.0) -> list[Outcome]:
    """One row per alert in order of time: e, d, r, or f for forced; the first decision may take its time."""
    words: dict[str, Action] = {"e": "escalate", "d": "dismiss", "r": "review", "f": "escalate"}
    truths = {truth.uid: truth for truth in TRUTHS}
    found = []
    for place, (alert, letter) in enumerate(zip(stream.alerts, actions, strict=False)):
        at = alert.time + timedelta(minutes=slow if place == 0 else 1)
        decision = Decision(words[letter], letter == "f", "threshold", "r", at)
        row = Investigation(alert.uid, "clean", stream.principal, None, decision, (), 1)
        truth = truths[alert.uid]
        found.append(Outcome(alert, row, truth.malicious, truth.phase, truth.step, False, True, (), truth.injected))
    return found


def test_steps_stand_in_order_of_time_the_undetected_one_among_them() -> None:
    story = storyline(CAMPAIGN, 5, rows(STREAMS["alice"], "edde"), ["clean"], ["alice"])
    assert [(s.number, s.step, s.detected) for s in story.scenes] == [
        (1, "unseen", False), (2, "read", True), (3, "later", True), (4, "borrowed", True), (5, "talking", True)
    ]  # fmt: skip
    assert story.scenes[0].time == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    assert story.scenes[0].uid is None
    assert story.scenes[1].uid == STREAMS["alice"].alerts[0].uid
    assert [s.aside for s in story.scenes] == ["", "", "", "", "injected"]
    assert {s.phase for s in story.scenes} == {"Taking"}


def test_each_lane_tells_the_fate_of_every_step_under_one_name() -> None:
    outcomes = rows(STREAMS["alice"], "dfr") + rows(STREAMS["nora"], "eded")
    story = storyline(CAMPAIGN, 5, outcomes, ["clean"], ["alice", "nora"])
    assert [(lane.principal, lane.fates, lane.first) for lane in story.lanes] == [
        ("alice", ("undetected", "dismiss", "forced", "review", "pending"), None),
        ("nora", ("undetected", "escalate", "dismiss", "escalate", "dismiss"), 1),
    ]


def test_the_first_escalation_is_the_one_decided_first_and_none_that_does_not_count() -> None:
    slow = storyline(CAMPAIGN, 5, rows(STREAMS["alice"], "eede", slow=240), ["clean"], ["alice"])
    assert slow.lanes[0].first == 2
    talking_only = storyline(CAMPAIGN, 5, rows(STREAMS["alice"], "ddde"), ["clean"], ["alice"])
    assert talking_only.lanes[0].first is None


def test_a_step_in_anothers_name_is_an_aside() -> None:
    (phase,) = CAMPAIGN.phases
    (later, *_) = phase.steps
    assert later.alert is not None
    steps = tuple(
        step.model_copy(update={"alert": later.alert.model_copy(update={"user": user})})
        for step, user in zip(phase.steps[:2], ("hannah", "alice"), strict=True)
    )
    campaign = CAMPAIGN.model_copy(update={"phases": (phase.model_copy(update={"steps": steps}),)})
    found = {s.step: s.aside for s in storyline(campaign, 5, [], ["clean"], ["alice"]).scenes}
    assert found == {"later": "bystander", "read": ""}


def test_a_run_without_rows_is_pending() -> None:
    (lane,) = storyline(CAMPAIGN, 5, [], ["clean"], ["alice"]).lanes
    assert lane.fates == ("undetected", "pending", "pending", "pending", "pending")
    assert replace(lane, fates=()).first is None
