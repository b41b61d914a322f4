from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from turncoat.models.bootstrap import (
    NOTHING,
    Estimate,
    auroc_estimate,
    cluster_draws,
    lift_estimate,
    percentile_interval,
    ratio_estimate,
    share_estimate,
)
from turncoat.models.metrics import Pairs


def test_a_share_is_pooled_over_clusters_and_its_interval_spans_what_draws_of_whole_clusters_give() -> None:
    # 1 of 2 and 3 of 10. Two clusters can be drawn as AA (.5, 1 in 4), BB (.3, 1 in 4) and AB (4 of 12, 1 in 2): the
    # 2.5th and the 97.5th percentile fall on the outer two.
    share = ratio_estimate([1, 3], [2, 10])
    assert (share.value, share.n, share.clusters) == (pytest.approx(4 / 12), 12, 2)
    assert (share.low, share.high) == (pytest.approx(0.3), pytest.approx(0.5))


def test_one_cluster_gives_a_value_and_no_interval() -> None:
    assert ratio_estimate([3], [4]) == Estimate(0.75, None, None, 4, 1)


def test_a_cluster_with_nothing_in_it_is_none() -> None:
    assert ratio_estimate([3, 0], [4, 0]) == Estimate(0.75, None, None, 4, 1)


@pytest.mark.parametrize("clusters", [[], [0], [0, 0]])
def test_nothing_to_divide_by_gives_nothing(clusters: list[int]) -> None:
    assert ratio_estimate(clusters, clusters) == Estimate(None, None, None, 0, 0)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    hits, alerts = [14, 9, 12, 3, 7], [14, 14, 13, 14, 11]
    assert ratio_estimate(hits, alerts) == ratio_estimate(hits, alerts)
    few = [ratio_estimate(hits, alerts, draws=40, seed=seed).low for seed in (1, 2, 3)]
    assert len(set(few)) > 1


def test_ten_thousand_draws_of_as_many_clusters_as_there_are() -> None:
    drawn = cluster_draws(7)
    assert drawn.shape == (10_000, 7)
    assert set(drawn.sum(axis=1)) == {7}


@pytest.mark.parametrize(("clusters", "draws"), [(0, 10), (3, 0)])
def test_a_bootstrap_of_nothing_is_refused(clusters: int, draws: int) -> None:
    with pytest.raises(ValueError, match="needs clusters and draws"):
        cluster_draws(clusters, draws)


def test_clusters_that_agree_have_the_interval_of_their_alerts_and_say_so() -> None:
    share = share_estimate([14, 28], [14, 28])
    # Wilson over 42 of 42: 42 / (42 + 1.96^2).
    assert (share.low, share.high, share.independent) == (
        pytest.approx(42 / (42 + 1.959964**2)),
        pytest.approx(1.0),
        True,
    )
    assert share_estimate([1, 3], [2, 10]) == ratio_estimate([1, 3], [2, 10])
    assert share_estimate([14], [14]) == ratio_estimate([14], [14])
    assert share_estimate([0, 0], [0, 0]) == NOTHING


def test_campaigns_without_a_discordant_pair_are_within_no_margin_that_so_few_pairs_cannot_show() -> None:
    few, many = (lift_estimate([Pairs(neither=14)] * campaigns) for campaigns in (2, 20))
    # Newcombe for 0 of 28 on both sides: Wilson's upper bound, 1.96^2 / (28 + 1.96^2) = .121, either way.
    assert (few.value, few.low, few.high) == (0.0, pytest.approx(-0.1206, abs=1e-4), pytest.approx(0.1206, abs=1e-4))
    assert (few.n, few.clusters, few.independent, few.within(0.1)) == (28, 2, True, False)
    assert (many.independent, many.within(0.1)) == (True, True)


def test_a_lift_over_campaigns_that_differ_is_drawn_by_campaign() -> None:
    lift = lift_estimate([Pairs(only_a=2), Pairs(both=1, neither=5)])
    assert lift == ratio_estimate([2, 0], [2, 6])
    assert not lift.independent
    assert lift_estimate([Pairs(neither=14)]).low is None
    assert lift_estimate([]) == NOTHING


def test_many_clusters_drawn_by_their_figures_give_what_drawing_each_gives() -> None:
    hits, trials = [0, 1, 3] * 400, [1, 2, 3] * 400
    found = share_estimate(hits, trials, draws=4_000)
    singly = cluster_draws(1_200, 4_000)
    low, high = percentile_interval((singly @ np.array(hits)) / (singly @ np.array(trials)))
    assert (found.value, found.n, found.clusters) == (pytest.approx(2 / 3), 2_400, 1_200)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.002), pytest.approx(high, abs=0.002))


@pytest.mark.parametrize(("top", "bottom"), [([1, 2], [3]), ([[1]], [[2]])])
def test_a_ratio_needs_two_numbers_per_cluster(top: list[int], bottom: list[int]) -> None:
    with pytest.raises(ValueError, match="one numerator and one denominator"):
        ratio_estimate(top, bottom)


def test_a_negative_denominator_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        ratio_estimate([1, 1], [2, -2])


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [(-0.1, 0.1, True), (-0.05, 0.02, True), (-0.101, 0.0, False), (0.0, 0.101, False), (0.9, 1.0, False)],
)
def test_an_interval_is_within_a_margin_if_all_of_it_is(low: float, high: float, inside: bool) -> None:
    assert Estimate(0.0, low, high, 40, 3).within(0.1) is inside


def test_without_an_interval_nothing_is_said_about_a_margin() -> None:
    assert Estimate(0.0, None, None, 14, 1).within(0.1) is None


def test_the_area_by_hand_and_its_interval_from_whole_clusters() -> None:
    # Pooled: 2 beats both 1s, 0 beats none: 2 of 4. Drawn alone, the first cluster has area 1 and the second 0.
    area = auroc_estimate([[2.0], [0.0]], [[1.0], [1.0]])
    assert (area.value, area.low, area.high, area.n, area.clusters) == (0.5, 0.0, 1.0, 4, 2)


def test_a_tie_is_half_a_win() -> None:
    assert auroc_estimate([[1.0, 2.0]], [[1.0]]).value == 0.75
    assert auroc_estimate([[1.0], [1.0]], [[1.0], [1.0]]).low == 0.5


def test_the_interval_of_the_area_is_that_of_samples_put_together_from_drawn_clusters() -> None:
    rng = np.random.default_rng(5)
    bad = [np.round(rng.normal(1, 1, n), 1) for n in (4, 9, 6)]
    good = [np.round(rng.normal(0, 1, n), 1) for n in (12, 7, 20)]
    areas = []
    for times in cluster_draws(3, 60, 9):
        p = np.concatenate([np.tile(part, n) for part, n in zip(bad, times, strict=True)])
        q = np.concatenate([np.tile(part, n) for part, n in zip(good, times, strict=True)])
        areas.append(roc_auc_score(np.repeat([1, 0], [len(p), len(q)]), np.concatenate([p, q])))
    area = auroc_estimate(bad, good, draws=60, seed=9)
    assert (area.low, area.high) == pytest.approx(percentile_interval(np.array(areas)))


def test_a_class_that_is_missing_leaves_no_area() -> None:
    assert auroc_estimate([[1.0], []], [[], []]) == Estimate(None, None, None, 1, 1)
    assert auroc_estimate([], []).value is None


def test_draws_that_lack_a_class_are_left_out_of_the_interval() -> None:
    # Half of the draws take one cluster twice, and so one class alone.
    area = auroc_estimate([[2.0], []], [[], [1.0]])
    assert (area.value, area.low, area.high) == (1.0, 1.0, 1.0)


def test_each_cluster_needs_both_lists() -> None:
    with pytest.raises(ValueError, match="both classes"):
        auroc_estimate([[1.0]], [])


def test_with_ten_clusters_the_interval_holds_the_truth_about_nine_times_in_ten() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        hits = rng.binomial(42, np.clip(rng.normal(0.8, 0.08, 10), 0, 1))
        share = ratio_estimate(hits, [42] * 10, draws=500)
        held += (share.low or 0) <= 0.8 <= (share.high or 0)
    assert 0.84 < held / 300 < 0.96
