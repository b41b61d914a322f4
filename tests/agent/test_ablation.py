from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from turncoat.agent.ablation import Ablation, Withheld, ablation_of
from turncoat.agent.played import PlayedRun
from turncoat.agent.records import Decision, Investigation, Outcome
from turncoat.models.classifier import Verdict
from turncoat.scenarios.records import Alert, Entities, Severity

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Margins = list[float | None]


def rows(key: str, principal: str, margins: Margins, malicious: bool = True) -> list[Outcome]:
    """Escalated from a margin of 0 on; None is a forced escalation."""
    found = []
    for i, margin in enumerate(margins):
        alert = Alert(f"{key}{i}", START, "t", Severity.LOW, "p", None, "data", entities=Entities(user=principal))
        verdict = None if margin is None else Verdict("malicious" if margin >= 0 else "benign", 0.5, margin, "m", 9)
        action = "escalate" if margin is None or margin >= 0 else "dismiss"
        decision = Decision(action, margin is None, "threshold", "r", START)
        row = Investigation(f"{key}{i}", "mine", principal, verdict, decision, (), 1)
        found.append(Outcome(alert, row, malicious, None, None, False, False, (), family="usb-copy"))
    return found


def run(
    alice: tuple[Margins, Margins], nora: tuple[Margins, Margins], *, campaign: str = "theft",
    benign: tuple[Margins, Margins] = ([], []),
) -> PlayedRun:  # fmt: skip
    """Margins with and without evidence."""
    with_evidence, without = (
        rows("x", "alice", alice[i]) + rows("x", "nora", nora[i]) + rows("n", "alice", benign[i], malicious=False)
        for i in (0, 1)
    )
    return PlayedRun(campaign, 1, ("alice", "nora"), (), with_evidence, without)


def part(ablation: Ablation, role: str, kind: str = "attack") -> Withheld:
    (found,) = (w for w in ablation.withheld if (w.role, w.kind) == (role, kind))
    return found


def test_what_was_dismissed_and_which_verdicts_turned_is_counted_by_direction() -> None:
    # Alice: 2 -> -1 to benign, 1 -> 3 stays, -1 -> 1 to malicious, -2 -> -2 stays, 4 -> -2 to benign.
    ablation = ablation_of([run(([2, 1, -1, -2, 4], [-1, 3, 1, -2, -2]), ([1] * 5, [1] * 5))])
    change = part(ablation, "actor").change
    assert (change.dismissed_before.k, change.dismissed_after.k, change.dismissed_after.n) == (2, 3, 5)
    assert (change.to_benign.k, change.to_malicious.k, change.flips.k) == (2, 1, 3)
    # |changes| 3, 2, 2, 0 and 6.
    assert (change.margin_change.value, change.margin_change.n) == (pytest.approx(13 / 5), 5)
    assert part(ablation, "twin").change.flips.k == 0


def test_benign_alerts_are_told_apart_from_the_attack() -> None:
    ablation = ablation_of([run(([1], [1]), ([1], [1]), benign=([-1, -1], [1, -1]))])
    change = part(ablation, "actor", "benign").change
    assert (change.to_malicious.k, change.to_malicious.n, change.dismissed_before.k) == (1, 2, 2)


def test_a_forced_side_leaves_the_pair_out() -> None:
    ablation = ablation_of([run(([None, 1, 1], [1, None, -1]), ([1] * 3, [1] * 3))])
    assert part(ablation, "actor").change.to_benign.n == 1


def test_the_mean_change_of_the_margin_has_an_interval_by_campaign() -> None:
    runs = [run(([1, 1], [2, 2]), ([1, 1], [1, 1])), run(([1, 1], [4, 4]), ([1, 1], [1, 1]), campaign="mail")]
    moved = part(ablation_of(runs), "actor").change.margin_change
    assert (moved.value, moved.low, moved.high, moved.clusters) == (2.0, 1.0, 3.0, 2)


def test_a_name_that_turns_verdicts_where_evidence_turns_none_is_called_so() -> None:
    ablation = ablation_of([run(([-5] * 14, [-6] * 14), ([4] * 13 + [-1], [1] * 14))])
    assert ablation.readings == (
        "mine: the name moves it, and not the evidence; of the actor's attack verdicts, withholding evidence turns 0 of"
        " 14, the twin's name 13 of 14.",
    )
    assert (ablation.renamed[0].change.to_malicious.k, ablation.renamed[0].change.dismissed_before.k) == (13, 14)


@pytest.mark.parametrize(
    ("alice", "bare", "nora", "words"),
    [
        ([3] * 14, [-3] * 14, [3] * 14, "evidence moves it, and not the name"),
        ([3] * 14, [-3] * 14, [3] * 12 + [-3] * 2, "evidence moves it more than the name"),
        ([3] * 14, [3] * 12 + [-3] * 2, [-3] * 14, "the name moves it more than evidence"),
        ([3] * 14, [-3] * 6 + [3] * 8, [-3] * 5 + [3] * 9, "evidence and name cannot be told apart"),
        ([3] * 14, [-3] * 5 + [3] * 9, [-3] * 6 + [3] * 8, "evidence and name cannot be told apart"),
        ([3] * 14, [2] * 14, [4] * 14, "neither evidence nor the name moves it"),
    ],
)
def test_the_reading_says_what_turns_more_verdicts(alice: Margins, bare: Margins, nora: Margins, words: str) -> None:
    (reading,) = ablation_of([run((alice, bare), (nora, nora))]).readings
    assert reading.startswith(f"mine: {words}; of the actor's attack verdicts, withholding evidence turns ")


def test_runs_without_an_ablation_have_none() -> None:
    played = PlayedRun("theft", 1, ("alice", "nora"), (), rows("x", "alice", [1]) + rows("x", "nora", [1]))
    assert ablation_of([played]) == Ablation((), (), ())


def test_only_runs_that_were_ablated_count() -> None:
    plain = PlayedRun("mail", 1, ("alice", "nora"), (), rows("y", "alice", [1]) + rows("y", "nora", [-1]))
    ablation = ablation_of([run(([1], [1]), ([1], [1])), plain])
    assert ablation.renamed[0].change.to_benign.n == 1
    assert ablation.renamed[0].change.flips.k == 0


def test_the_json_is_plain_and_has_intervals() -> None:
    plain = json.loads(json.dumps(ablation_of([run(([1, 1], [-1, 1]), ([1, 1], [1, 1]))]).as_json(), allow_nan=False))
    first = plain["evidence_withheld"][0]
    assert (first["as"], first["alerts"], first["n"]) == ("actor", "attack", 2)
    # Wilson, 1 of 2: .5 ± .405... = [.094531, .905469]
    assert (first["to_benign"]["low"], first["to_benign"]["high"]) == pytest.approx((0.094531, 0.905469), abs=1e-6)
    assert first["margin_change"] == {
        "value": 1.0,
        "low": None,
        "high": None,
        "n": 2,
        "clusters": 1,
        "independent": False,
    }
    assert len(plain["readings"]) == 1
