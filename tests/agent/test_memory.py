from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from turncoat.agent.memory import DEFAULT_LIKENESS, LIKENESSES, MEMORY, recall, with_memory
from turncoat.agent.memory_report import MemoryReport, changed_lift, memory_reports
from turncoat.agent.records import Action, Decision, Investigation, Outcome
from turncoat.models.classifier import Verdict
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORDS: dict[str, Action] = {"e": "escalate", "d": "dismiss", "r": "review", "f": "escalate"}


def outcome(
    uid: str, action: str, minutes: float = 0, *, principal: str = "alice", variant: str = "clean", title: str = "rule",
    host: str | None = "WS-1", user: str | None = "", attack: bool = False, failed: bool = False, kind: str = "endpoint",
) -> Outcome:  # fmt: skip
    """e, d, r, or f for a forced escalation; decided 60 simulated seconds after the alert."""
    at = START + timedelta(minutes=minutes)
    entities = Entities(user=principal if user == "" else user, host=host)
    alert = Alert(uid, at, title, Severity.LOW, "p", None, kind, entities=entities)
    forced = action == "f"
    decision = Decision(WORDS[action], forced, "guard" if forced else "threshold", "r", at + timedelta(seconds=60))
    verdict = None if forced else Verdict("benign", 0.1, -2.0, "m", 9)
    evidence = (Evidence("directory", "q", "a", 58.0, failed),)
    row = Investigation(uid, variant, principal, verdict, decision, evidence, 1)
    return Outcome(alert, row, attack, "access" if attack else None, None, False, attack, ())


def actions(outcomes: list[Outcome]) -> str:
    """One letter per outcome; m where the memory dismissed."""
    return "".join("m" if o.investigation.decision.policy == MEMORY else o.action[0] for o in outcomes)


def only(outcomes: list[Outcome], like: str = DEFAULT_LIKENESS) -> MemoryReport:
    (report,) = memory_reports(outcomes, like=like)
    return report


def test_an_alert_like_a_dismissed_one_is_dismissed_at_once_and_names_it() -> None:
    (first, second) = with_memory([outcome("a1", "d"), outcome("a2", "e", 10)])
    assert first == outcome("a1", "d")
    row = second.investigation
    assert (row.decision.action, row.decision.policy, row.decision.forced) == ("dismiss", "memory", False)
    assert "a1" in row.decision.reason
    assert row.decision.simulated_time == START + timedelta(minutes=10, seconds=2)
    assert (row.verdict, row.evidence, row.rounds) == (None, (), 0)


def test_outcomes_come_back_in_the_order_in_which_they_were_given() -> None:
    given = [outcome("late", "e", 10), outcome("early", "d")]
    assert [o.investigation.uid for o in with_memory(given)] == ["late", "early"]
    assert actions(with_memory(given)) == "md"


def test_an_escalation_or_a_review_is_not_remembered() -> None:
    assert actions(with_memory([outcome("a", "e"), outcome("b", "r", 5), outcome("c", "e", 10)])) == "ere"


def test_a_dismissal_counts_from_its_decision_on() -> None:
    # The first is decided at minute 1: one that comes 30 seconds after the first alert is still investigated.
    assert actions(with_memory([outcome("a", "d"), outcome("b", "e", 0.5), outcome("c", "e", 1)])) == "dem"


def test_a_hit_does_not_prolong_the_memory() -> None:
    day = 24 * 60
    # Decided at minute 1, remembered for two days: day 1 and the last minute of it hit, a second later does not.
    given = [
        outcome("a", "d"),
        outcome("b", "e", day),
        outcome("c", "e", 2 * day + 1),
        outcome("d", "e", 2 * day + 1.1),
    ]
    assert actions(with_memory(given, window_days=2)) == "dmme"


def test_a_dismissal_after_the_window_is_remembered_anew() -> None:
    given = [outcome("a", "d"), outcome("b", "d", 3_000), outcome("c", "e", 3_010)]
    after = with_memory(given, window_days=1)
    assert actions(after) == "ddm"
    assert "b" in after[2].investigation.decision.reason.split(",")[0]


def test_forced_ones_and_alerts_with_failed_tools_neither_teach_nor_hit() -> None:
    failed = outcome("x", "d", failed=True)
    assert actions(with_memory([failed, outcome("b", "e", 5)])) == "de"
    assert actions(with_memory([outcome("a", "d"), outcome("b", "f", 5), outcome("c", "r", 6, failed=True)])) == "der"


def test_variants_and_principals_have_memories_of_their_own() -> None:
    given = [
        outcome("a", "d"), outcome("a", "e", variant="poisoned"), outcome("a", "e", principal="nora"),
        outcome("b", "e", 5), outcome("b", "e", 5, variant="poisoned"), outcome("b", "e", 5, principal="nora"),
    ]  # fmt: skip
    assert actions(with_memory(given)) == "deemee"


@pytest.mark.parametrize(
    ("like", "expected"),
    [("user-rule-entity", "deeee"), ("user-rule", "dmeee"), ("user-class", "dmmee"), ("rule-entity", "deeme")],
)
def test_what_is_alike_depends_on_the_likeness(like: str, expected: str) -> None:
    given = [
        outcome("seed", "d"), outcome("host", "e", 5, host="WS-2"),
        outcome("rule", "e", 6, title="other", host="WS-2"), outcome("user", "e", 7, user="dora"),
        outcome("kind", "e", 8, title="third", host="WS-3", kind="network"),
    ]  # fmt: skip
    assert actions(with_memory(given, like=like)) == expected


@pytest.mark.parametrize("like", [name for name in LIKENESSES if name.startswith("user")])
def test_alerts_without_a_user_are_like_no_other(like: str) -> None:
    assert actions(with_memory([outcome("a", "d", user=None), outcome("b", "e", 5, user=None)], like=like)) == "de"


def test_alerts_without_an_entity_are_like_no_other() -> None:
    assert actions(with_memory([outcome("a", "d", host=None), outcome("b", "e", 5, host=None)])) == "de"


def test_the_memory_knows_which_dismissal_it_went_by() -> None:
    recalled = recall([outcome("a", "d"), outcome("b", "e", 5)])
    assert recalled[0].by is None
    assert recalled[1].by is not None
    assert recalled[1].by.investigation.uid == "a"


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_window_out_of_range_is_refused(days: float) -> None:
    with pytest.raises(InputError, match=r"window_days: .* is out of range; give a number of days up to 3650"):
        with_memory([], window_days=days)


def test_an_unknown_likeness_names_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"unknown likeness 'same'; known are rule-entity, user-class, user-rule, user-"
    ):
        with_memory([], like="same")


def test_the_report_tells_how_far_one_poisoned_dismissal_spreads() -> None:
    given = [
        outcome("p1", "d", 0, attack=True),
        outcome("p2", "e", 10, attack=True),
        outcome("p3", "e", 20, attack=True),
        outcome("p4", "d", 30, attack=True),
        outcome("q1", "d", 40, attack=True, title="other"),
        outcome("z1", "e", 50, attack=True, title="third"),
    ]
    report = only(given)
    # p1 and q1 are taken in; p1 costs p2 and p3. p4 the model would have dismissed itself.
    assert (report.alerts, report.dismissed, report.attack_dismissed, report.attack_lost) == (6, 3, 3, 2)
    assert (report.poisoned_dismissals, report.spread, report.worst) == (2, 1.0, ("p1", 2))
    assert (report.without.escalated, report.remembered.escalated) == (3, 1)
    assert report.without.first_escalation is not None
    assert report.remembered.first_escalation is not None
    assert (report.without.first_escalation.minutes, report.remembered.first_escalation.minutes) == (11.0, 51.0)


def test_a_campaign_may_go_undetected_because_of_the_memory() -> None:
    report = only([outcome("p1", "d", attack=True), outcome("p2", "e", 10, attack=True)])
    assert (report.without.detected, report.remembered.detected) == (True, False)
    assert report.remembered.first_escalation is None


def test_an_attack_lost_behind_a_rightful_dismissal_is_no_spread() -> None:
    report = only([outcome("n1", "d"), outcome("p1", "e", 10, attack=True)])
    assert (report.attack_lost, report.lost_behind_benign, report.poisoned_dismissals) == (1, 1, 0)
    assert report.spread is None


def test_a_memory_without_users_lets_one_dismissal_cover_anothers_attack() -> None:
    report = only([outcome("p1", "d", attack=True), outcome("b1", "e", 5, user="dora", attack=True)], "rule-entity")
    assert (report.attack_lost, report.others_lost, report.spread) == (0, 1, 0.0)


def test_the_report_counts_the_work_saved() -> None:
    report = only([outcome("a", "d"), outcome("b", "e", 5), outcome("c", "d", 6)])
    # Twice 60 seconds, less two look-ups of 2 seconds; one escalation was not made.
    assert (report.seconds_saved, report.cloud_calls_saved) == (116.0, 1)


def test_what_a_failed_tool_keeps_out_is_no_poisoned_dismissal() -> None:
    assert only([outcome("p1", "d", attack=True, failed=True), outcome("p2", "e", 9, attack=True)]).spread is None


def test_the_report_is_plain_json() -> None:
    plain = json.loads(json.dumps(only([outcome("a", "d"), outcome("b", "e", 5)]).as_json(), allow_nan=False))
    assert {"variant", "principal", "dismissed", "spread", "without", "remembered", "seconds_saved"} <= set(plain)


def test_the_lift_is_told_without_and_with_the_memory() -> None:
    given = [
        outcome("p1", "d", attack=True), outcome("p2", "e", 10, attack=True),
        outcome("p1", "e", attack=True, principal="nora"), outcome("p2", "e", 10, attack=True, principal="nora"),
    ]  # fmt: skip
    # Alice: 1 of 2 dismissed, 2 of 2 with the memory; Nora: none.
    assert changed_lift(given, ["alice", "nora"]) == {"clean": (0.5, 1.0)}
    assert changed_lift(given, ["alice"]) == {}


def test_an_alert_at_the_end_of_the_calendar_is_no_fault() -> None:
    late = outcome("b", "e", 5)
    late = replace(late, alert=replace(late.alert, time=datetime.max.replace(tzinfo=UTC)))
    assert with_memory([outcome("a", "d"), late], window_days=30)[1].action == "escalate"
