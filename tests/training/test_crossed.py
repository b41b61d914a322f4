"""Figures over several seeds that were measured on the same alerts, by hand."""

from __future__ import annotations

import pytest

from turncoat.training.crossed import failing_share, pooled_balanced, pooled_lift, pooled_rate

YES, NO = True, False


def test_one_seed_has_wilsons_interval() -> None:
    found = pooled_rate([[YES] * 10])
    assert (found.value, found.n) == (1.0, 10)
    assert found.high == pytest.approx(1.0)
    assert found.low == pytest.approx(10 / (10 + 3.841459), abs=1e-5)


def test_three_seeds_that_agree_know_no_more_than_their_distinct_alerts() -> None:
    assert pooled_rate([[YES] * 10] * 3).low == pooled_rate([[YES] * 10]).low
    assert pooled_rate([[YES] * 10] * 3).n == 10


def test_a_pooled_rate_is_the_mean_of_the_seeds_and_names_each() -> None:
    found = pooled_rate([[YES, YES, YES, NO], [YES, NO, NO, NO]])
    assert (found.value, found.seeds, found.n) == (0.5, (0.75, 0.25), 4)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.25
    assert found.high >= 0.75


def test_seeds_that_disagree_widen_the_interval_to_their_range_however_many_alerts_there_are() -> None:
    # All three draws fall on the failing seed with probability 1/27 = 3.7 %, more than the tail of 2.5 %.
    found = pooled_rate([[YES] * 200, [NO] * 200, [YES] * 200])
    assert found.value == pytest.approx(2 / 3)
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_p_of_a_pooled_lift_counts_an_alert_once_and_a_seed_once() -> None:
    alice, twin = [[YES] * 5 + [NO]] * 3, [[NO] * 6] * 3
    alone, pooled = pooled_lift(alice[:1], twin[:1]), pooled_lift(alice, twin)
    assert alone.p == pytest.approx(2 * 0.5**5)
    assert pooled.p == pytest.approx(2 * 0.5**5)  # 15 pairs would have given 2 * .5**15
    assert pooled.p_seeds == pytest.approx(0.25)
    assert alone.p_seeds is None
    assert pooled.value == pytest.approx(5 / 6)


def test_seeds_that_pull_opposite_ways_on_an_alert_leave_it_out_of_the_sign_test() -> None:
    found = pooled_lift([[YES, YES], [NO, YES]], [[NO, NO], [YES, NO]])
    assert found.value == pytest.approx(0.5)
    assert found.p == 1.0  # one alert is left, and 2 * .5 = 1


def test_balanced_accuracy_joins_the_intervals_of_the_classes() -> None:
    found = pooled_balanced([YES, YES, NO, NO], [[YES, NO, NO, NO]])
    # Wilson for 1 of 2 is [.0945, .9055], for 2 of 2 [.3424, 1].
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - (0.4055**2 + 0.6576**2) ** 0.5 / 2, abs=1e-3)
    assert found.high == pytest.approx(0.75 + 0.4055 / 2, abs=1e-3)


def test_balanced_accuracy_of_one_class_or_of_nothing_is_none() -> None:
    assert pooled_balanced([YES, YES], [[YES, NO]]).value is None
    assert pooled_balanced([], [[]]).value is None
    assert pooled_rate([[]]).value is None
    assert pooled_lift([[]], [[]]).value is None


def test_a_pooled_balanced_accuracy_weighs_the_classes_alike() -> None:
    found = pooled_balanced([YES, NO, NO, NO], [[YES, YES, NO, NO], [NO, NO, NO, NO]])
    assert found.seeds == pytest.approx(((1 + 2 / 3) / 2, 0.5))
    assert found.value == pytest.approx((5 / 6 + 0.5) / 2)


def test_seeds_of_different_alerts_are_refused() -> None:
    with pytest.raises(ValueError, match="as many calls"):
        pooled_rate([[YES], [YES, NO]])


def test_three_successes_leave_room_for_63_percent_failures() -> None:
    assert failing_share(3) == pytest.approx(1 - 0.05 ** (1 / 3))
    assert failing_share(0) == 1.0
