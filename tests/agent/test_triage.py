"""Alerts from outside through the loop, and the figures over their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from turncoat.agent.triage import ScoredBefore, triage
from turncoat.agent.triage_report import decision_line, summary
from turncoat.agent.triage_score import roc_auc, score_triage
from turncoat.models.classifier import Case, Verdict
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.records import Alert, Severity

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def item(uid: str, severity: str, label: bool | None, stratum: str = "s", group: str = "") -> LabelledAlert:
    return LabelledAlert(
        Alert(uid, NOON, "t", Severity(severity), "P", None, "external"), label, group, stratum, f"f:{uid}"
    )


ITEMS: list[LabelledAlert | Mistake] = [
    item("a", "high", True),
    item("b", "low", True),
    Mistake("f:3", "not valid JSON", "mend it"),
    item("c", "high", False, "other"),
    item("d", "low", False),
    item("e", "low", None),
]
SEVERITY = {"scripted-severity": ScriptedClassifier("scripted-severity")}


def test_what_cannot_be_read_is_escalated_in_its_place_and_marked() -> None:
    decided = list(triage(ITEMS, SEVERITY))
    assert [(one.decision.action, one.decision.forced) for one in decided] == [
        ("escalate", False),
        ("dismiss", False),
        ("escalate", True),
        ("escalate", False),
        ("dismiss", False),
        ("dismiss", False),
    ]
    assert decided[2].decision.reason == "could not be read: not valid JSON"


def test_rates_leave_out_what_was_forced_and_what_has_no_label() -> None:
    (score,) = score_triage(list(triage(ITEMS, SEVERITY)))
    figures = score.overall
    assert (figures.alerts, figures.escalated, figures.dismissed, figures.forced) == (6, 2, 3, 1)
    assert (figures.accuracy.k, figures.accuracy.n) == (2, 4)
    assert (figures.recall.k, figures.recall.n) == (1, 2)
    assert (figures.near_miss_escalation.k, figures.near_miss_escalation.n) == (1, 2)
    assert figures.auc == 0.5
    assert {name: part.alerts for name, part in score.strata.items()} == {"s": 4, "other": 1}


class Failing:
    """A classifier that breaks on everything."""

    fingerprint = "failing"

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        raise RuntimeError("broken")


def test_a_broken_or_silent_classifier_forces_every_escalation() -> None:
    decided = list(triage(ITEMS[:2], {"broken": Failing(), "silent": ScoredBefore("x", {})}))
    assert [(one.variant, one.decision.action, one.decision.forced) for one in decided] == [
        ("broken", "escalate", True),
        ("silent", "escalate", True),
    ] * 2


def test_scores_made_before_decide_by_the_same_threshold() -> None:
    decided = triage([ITEMS[0], ITEMS[1]], {"s": ScoredBefore("x", {"a": 0.5, "b": 0.49})})
    assert [one.decision.action for one in decided] == ["escalate", "dismiss"]


def test_bulk_decides_as_one_at_a_time_does() -> None:
    many = [item(str(n), "high", None) for n in range(300)]
    hashes = {"h": ScriptedClassifier("scripted-hash")}
    together = [one.decision for one in triage(many, hashes)]
    some = range(0, 300, 30)  # on both sides of the border between two chunks
    assert [together[n] for n in some] == [one.decision for n in some for one in triage([many[n]], hashes)]


def test_lines_and_summary_are_plain_json_with_the_counts() -> None:
    decided = list(triage(ITEMS, SEVERITY))
    lines = [json.loads(json.dumps(decision_line(one), allow_nan=False)) for one in decided]
    assert [line["uid"] for line in lines] == ["a", "b", None, "c", "d", "e"]
    assert lines[2]["unreadable"] == "f:3: not valid JSON; mend it"
    found = summary(score_triage(decided), decided, SEVERITY, threshold=0.5, source={"path": "f", "format": "jsonl"})
    assert (found["alerts"], found["unreadable"], found["labelled"], found["malicious"]) == (5, 1, 4, 2)
    accuracy = found["variants"]["scripted-severity"]["accuracy"]
    assert found["intervals_by"] == "alert"
    assert accuracy == pytest.approx({"k": 2, "n": 4, "value": 0.5, "low": 0.1500, "high": 0.8500}, abs=1e-4)


def grouped(*groups: tuple[str, str]) -> dict[str, Any]:
    """The summary of malicious alerts, one per letter of a group: `h` is escalated and so a hit, `l` is not."""
    items = [item(f"{name}{i}", {"h": "high", "l": "low"}[letter], True, group=name)
             for name, letters in groups for i, letter in enumerate(letters)]  # fmt: skip
    decided = list(triage(items, SEVERITY))
    return summary(score_triage(decided), decided, SEVERITY, threshold=0.5, source={"path": "f", "format": "panther"})


def test_alerts_that_state_a_rule_have_intervals_by_rule() -> None:
    found = grouped(("sound", "h" * 40), ("blind", "l" * 40))
    recall = found["variants"]["scripted-severity"]["recall"]
    # Two rules: each is drawn alone once in four, so the interval is theirs; Wilson's over 80 events were .39 to .61.
    assert (found["intervals_by"], recall) == (
        "group", {"k": 40, "n": 80, "value": 0.5, "low": 0.0, "high": 1.0, "groups": 2},
    )  # fmt: skip
    assert found["variants"]["scripted-severity"]["strata"]["s"]["recall"] == recall
    assert found["variants"]["scripted-severity"]["near_miss_escalation"] is None


def test_one_rule_gives_no_interval_and_rules_that_agree_that_of_their_events() -> None:
    alone, agreed = (grouped(*groups)["variants"]["scripted-severity"]["recall"]
                     for groups in ([("a", "hl")], [("a", "hh"), ("b", "hh")]))  # fmt: skip
    assert alone == {"k": 1, "n": 2, "value": 0.5, "low": None, "high": None, "groups": 1}
    # Wilson over 4 of 4: 4 / (4 + 1.96^2).
    assert (agreed["low"], agreed["high"]) == (pytest.approx(4 / (4 + 1.959964**2)), 1.0)


def test_alerts_without_a_rule_beside_others_are_drawn_one_by_one() -> None:
    found = grouped(("", "hhhhhlllll"), ("rule", "hhhhhh"))
    assert found["variants"]["scripted-severity"]["recall"]["groups"] == 11


def test_progress_counts_everything_that_came_in() -> None:
    seen: list[tuple[int, int]] = []
    list(triage(ITEMS, SEVERITY, on_progress=lambda done, total: seen.append((done, total))))
    assert seen == [(6, 6)]
    assert list(triage([], SEVERITY)) == []


def test_auc_counts_ties_half_and_needs_both_labels() -> None:
    assert roc_auc([(0.9, True), (0.5, True), (0.5, False), (0.1, False)]) == 0.875
    assert roc_auc([(0.9, True)]) is None


def test_a_score_for_an_alert_that_was_cut_does_not_dismiss_it() -> None:
    long = item("a", "low", False)
    cut = replace(long, alert=replace(long.alert, activity="x" * 400))
    (decided,) = triage([cut], {"s": ScoredBefore("x", {"a": 0.1})})
    assert (decided.decision.action, decided.decision.forced) == ("escalate", True)
