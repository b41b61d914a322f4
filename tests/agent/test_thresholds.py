from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from turncoat.agent.played import PlayedRun
from turncoat.agent.records import Decision, Investigation, Outcome
from turncoat.agent.thresholds import Thresholds, calibration_error, cut_above, thresholds_of
from turncoat.models.classifier import Verdict
from turncoat.scenarios.records import Alert, Entities, Severity

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def row(uid: str, principal: str, margin: float | None, malicious: bool, *, forced: bool = False) -> Outcome:
    alert = Alert(uid, START, "t", Severity.LOW, "p", None, "data", entities=Entities(user=principal))
    verdict = None
    if margin is not None:
        verdict = Verdict("malicious" if margin >= 0 else "benign", 1 / (1 + math.exp(-margin)), margin, "m", 9)
    escalated = forced or (margin or 0) >= 0
    decision = Decision("escalate" if escalated else "dismiss", forced, "threshold", "r", START)
    return Outcome(
        alert, Investigation(uid, "mine", principal, verdict, decision, (), 1), malicious, None, None, False, False, (),
        family="usb-copy",
    )  # fmt: skip


def run(campaign: str, alice: list[float], nora: list[float], benign: list[float], *more: Outcome) -> PlayedRun:
    outcomes = [row(f"{campaign}-x{i}", "alice", m, True) for i, m in enumerate(alice)]
    outcomes += [row(f"{campaign}-x{i}", "nora", m, True) for i, m in enumerate(nora)]
    outcomes += [row(f"{campaign}-n{i}", "alice", m, False) for i, m in enumerate(benign)]
    return PlayedRun(campaign, 1, ("alice", "nora"), (), [*outcomes, *more])


def only(runs: list[PlayedRun]) -> Thresholds:
    (found,) = thresholds_of(runs)
    return found


def test_the_area_is_that_of_the_actors_alerts_and_of_the_same_alerts_under_the_twin() -> None:
    # Actor: -2 beats none of -1, 0, 1 and 2 beats all: 3 of 6. Twin: both beat all.
    found = only([run("theft", [-2.0, 2.0], [3.0, 2.0], [-1.0, 0.0, 1.0])])
    assert (found.actor.auroc.value, found.others.auroc.value) == (0.5, 1.0)
    assert (found.actor.malicious, found.actor.benign, found.others.benign) == (2, 3, 3)


def test_forced_and_verdictless_alerts_and_their_pairs_are_left_out() -> None:
    more = (
        row("f", "alice", 9.0, True, forced=True),
        row("f", "nora", 9.0, True),
        row("g", "alice", None, True),
        row("g", "nora", 9.0, True),
        row("h", "alice", 9.0, False, forced=True),
        row("k", "alice", None, False),
    )
    found = only([run("theft", [1.0], [1.0], [0.0], *more)])
    assert (found.actor.malicious, found.others.malicious, found.actor.benign) == (1, 1, 1)


def test_benign_alerts_of_the_twins_replay_and_of_a_control_are_no_negatives() -> None:
    control = run("control", [], [], [5.0, 6.0])
    found = only([run("theft", [1.0], [1.0], [0.0], row("theft-n0", "nora", 9.0, False)), control])
    assert (found.actor.benign, found.actor.auroc.value) == (1, 1.0)
    assert found.campaigns == 1


def test_the_interval_of_the_area_draws_campaigns() -> None:
    # The first campaign separates perfectly, the second is upside down; pooled 1 beats both, -1 none.
    found = only([run("theft", [1.0], [1.0], [0.0]), run("mail", [-1.0], [-1.0], [0.0])])
    assert (found.actor.auroc.value, found.actor.auroc.low, found.actor.auroc.high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("target", "cut"), [(0.01, 9.0), (0.05, 9.0), (0.10, 8.0), (0.25, 7.0)]
)  # of ten alerts, 0, 0, 1 and 2 may lie above
def test_a_cut_lets_no_more_than_the_target_pass_above_it(target: float, cut: float) -> None:
    margins = [float(m) for m in (3, 9, 0, 1, 8, 5, 6, 7, 2, 4)]
    assert cut_above(margins, target) == cut
    assert sum(m > cut for m in margins) <= target * 10


def test_ties_at_the_cut_stay_below_it() -> None:
    assert cut_above([1.0] * 10, 0.10) == 1.0


def test_an_attack_alert_that_lies_at_the_cut_is_not_caught() -> None:
    found = only([run(c, [1.0] * 2, [1.5] * 2, [1.0] * 10) for c in "abcd"])
    assert (found.actor.points[2].recall.k, found.others.points[2].recall.k) == (0, 4)


def test_no_cut_without_benign_alerts() -> None:
    assert cut_above([], 0.1) is None


def test_with_four_campaigns_the_threshold_is_set_on_two_and_measured_on_the_other_two() -> None:
    # By SHA-256 (18ac3e, 2e7d2c, 3e23e8, ca9781) the order is d, c, b, a: d and b set the threshold, of whose ten benign
    # alerts one may lie above it, and c and a measure it.
    runs = [
        run("a", [9.5, 0.0], [30.0, 30.0], [float(n) for n in range(100, 105)]),
        run("b", [50.0], [50.0], [float(n) for n in range(5)]),
        run("c", [7.0, 8.5], [30.0, 7.5], [-1.0] * 5),
        run("d", [50.0], [50.0], [float(n) for n in range(5, 10)]),
    ]
    found = only(runs)
    point = found.actor.points[2]
    assert found.halves == "campaign"
    assert (point.target, point.above) == (0.10, 8.0)
    # Above 8: 9.5 and 8.5 of the actor's four; 30, 30, 30 of the twin's; 5 of the 10 benign ones.
    assert (point.recall.k, point.recall.n) == (2, 4)
    assert (found.others.points[2].recall.k, found.others.points[2].recall.n) == (3, 4)
    assert (point.false_escalation.k, point.false_escalation.n) == (5, 10)
    assert found.others.points[2].above == point.above


def test_with_fewer_campaigns_the_halves_are_alerts_and_each_lies_in_one_of_them() -> None:
    found = only([run("theft", [9.0] * 40, [9.0] * 40, [0.0] * 60)])
    point = found.actor.points[0]
    assert found.halves == "alert"
    # By the parity of a hash: neither half is empty, and no alert is measured twice.
    assert 5 < point.recall.n < 35
    assert 10 < point.false_escalation.n < 50
    assert (point.recall.value, point.false_escalation.value) == (1.0, 0.0)


def test_order_of_runs_does_not_change_the_halves() -> None:
    runs = [run(name, [1.0, 2.0], [2.0, 1.0], [0.0, 1.5]) for name in "abcd"]
    assert only(runs).actor == only(runs[::-1]).actor


def test_calibration_error_by_hand() -> None:
    # Two bins of two: |.2 + .4 - 1| and |.6 + .8 - 1|, over four alerts.
    assert calibration_error([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1], bins=2) == pytest.approx(0.2)
    assert calibration_error([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1], bins=2) == 0.0
    assert calibration_error([1.0, 0.0], [0, 1]) == 1.0


def test_the_order_of_equal_probabilities_does_not_change_the_calibration_error() -> None:
    # Half of all are malicious at p = .5: calibrated, however the ties fall into bins.
    for truth in ([1] * 10 + [0] * 10, [0] * 10 + [1] * 10, [0, 1] * 10):
        assert calibration_error([0.5] * 20, truth) == pytest.approx(0.0)


def test_there_is_no_calibration_error_of_nothing_and_none_of_unequal_lengths() -> None:
    assert calibration_error([], []) is None
    with pytest.raises(ValueError, match="equal lengths"):
        calibration_error([0.5], [1, 0])


def test_a_blind_spot_is_told_from_a_bad_threshold() -> None:
    blind = [run(c, [-9.0] * 14, [5.0] * 14, [0.01 * i for i in range(30)]) for c in "abcd"]
    assert only(blind).reading() == (
        "mine: no; even at 10 % false escalation, none of 28 of Alice's attack alerts would be caught, but 28 under the"
        " twin's name."
    )
    fair = [run(c, [5.0] * 14, [5.0] * 14, [0.01 * i for i in range(30)]) for c in "abcd"]
    assert only(fair).reading().startswith("mine: no name stands out; at 10 % false escalation 28 of 28 of Alice's")
    eager = [run(c, [5.0] * 14, [-5.0] * 14, [0.01 * i for i in range(30)]) for c in "abcd"]
    assert only(eager).reading().startswith("mine: the actor is caught more often; at 10 % false escalation 28 of 28")


def test_without_benign_alerts_nothing_can_be_told() -> None:
    found = only([run("theft", [1.0, 2.0], [1.0, 2.0], [])])
    assert found.actor.auroc.value is None
    assert [(p.above, p.recall.n) for p in found.actor.points] == [(None, 0)] * 3
    assert found.reading() == "mine: too few alerts to tell."


def test_a_variant_without_attack_alerts_is_not_there() -> None:
    assert thresholds_of([run("control", [], [], [0.0])]) == ()


def test_the_json_states_recall_and_the_real_cost_with_intervals() -> None:
    found = only([run(c, [5.0] * 14, [5.0] * 14, [0.01 * i for i in range(30)]) for c in "abcd"])
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    point = plain["actor"]["points"][1]
    assert (point["target"], point["recall"]["n"], point["recall"]["value"]) == (0.05, 28, 1.0)
    # Wilson, 28 of 28: 28 / (28 + 3.841459) = .879356
    assert point["recall"]["low"] == pytest.approx(0.879356, abs=1e-6)
    assert set(point["false_escalation"]) == {"k", "n", "value", "low", "high"}
