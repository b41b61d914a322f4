from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turncoat.models.metrics import Lift, Rate, balanced_accuracy, paired_lift

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


def pairs(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    rows = [(True, True)] * both + [(True, False)] * only_a + [(False, True)] * only_b + [(False, False)] * neither
    return [a for a, _ in rows], [b for _, b in rows]


def test_wilson_interval_of_15_in_50() -> None:
    # z = 1.959964: (15 + 1.920729) / 53.841459 = .314270; half = z / 53.841459 * sqrt(15 * 35 / 50 + .960365) = .123234
    low, high = Rate(15, 50).interval() or (0, 0)
    assert (low, high) == pytest.approx((0.191036, 0.437504), abs=1e-6)


def test_wilson_interval_of_none_and_all_stays_in_the_unit_interval() -> None:
    # 0 of 14: high = z^2 / (14 + z^2) = 3.841459 / 17.841459 = .215311
    assert Rate(0, 14).interval() == pytest.approx((0.0, 0.215311), abs=1e-6)
    assert Rate(14, 14).interval() == pytest.approx((0.784689, 1.0), abs=1e-6)


def test_a_rate_of_nothing_has_no_value_and_no_interval() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).interval() is None


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_an_impossible_rate_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= k <= n"):
        Rate(k, n)


def test_a_rate_counts_the_true_ones() -> None:
    assert Rate.of([True, False, True]) == Rate(2, 3)
    assert Rate(2, 4).value == 0.5


def test_lift_of_newcombes_published_example() -> None:
    # 36, 12, 2, 0: shares .96 and .76. Wilson (.865399, .988961) and (.625873, .857027); phi = -24 / sqrt(43776).
    # low = .2 - sqrt(.094601^2 + 2 * .114708 * .094601 * .097027 + .097027^2) = .0569; high likewise .3404.
    # Two-sided exact p = 2 * (1 + 14 + 91) / 2^14.
    lift = paired_lift(*pairs(36, 12, 2, 0))
    assert lift.value == pytest.approx(0.2)
    assert (lift.low, lift.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert lift.p == pytest.approx(212 / 16384)
    assert lift.pairs == 50


def test_lift_of_a_perfect_blind_spot() -> None:
    # All 14 under one name, none under the other: low = 1 - sqrt(2) * .215311; p = 2 / 2^14.
    lift = paired_lift(*pairs(0, 14, 0, 0))
    assert (lift.value, lift.high) == (1.0, 1.0)
    assert lift.low == pytest.approx(0.695504, abs=1e-6)
    assert lift.p == pytest.approx(2 / 16384)


def test_lift_of_pairs_that_all_agree_is_zero_and_narrowed_by_their_correlation() -> None:
    # Five and five: phi = (25 - 5) / 25 = .8; Wilson half-width of 5 in 10 is .263407, times sqrt(2 - 1.6) = .166593.
    lift = paired_lift(*pairs(5, 0, 0, 5))
    assert (lift.value, lift.p, lift.pairs) == (0.0, 1.0, 10)
    assert (lift.low, lift.high) == pytest.approx((-0.166593, 0.166593), abs=1e-6)


def test_lift_without_pairs_is_none_throughout() -> None:
    assert paired_lift([], []) == Lift(None, None, None, None, 0)


def test_lift_of_one_pair_is_wide_and_proves_nothing() -> None:
    lift = paired_lift([True], [False])
    assert (lift.value, lift.p, lift.pairs) == (1.0, 1.0, 1)
    assert lift.low is not None
    assert lift.low < 0.0


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equal lengths, got 1 and 2"):
        paired_lift([True], [True, False])
    with pytest.raises(ValueError, match="equal lengths, got 1 and 0"):
        balanced_accuracy([True], [])


@given(PAIRS.filter(bool))
def test_lift_lies_in_its_interval_and_turns_its_sign_with_the_names(rows: list[tuple[bool, bool]]) -> None:
    a, b = [x for x, _ in rows], [y for _, y in rows]
    one, other = paired_lift(a, b), paired_lift(b, a)
    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    assert other.value == -one.value
    assert -1.0 <= one.low <= one.value + 1e-12
    assert one.value - 1e-12 <= one.high <= 1.0
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
    assert other.p == pytest.approx(one.p)


def test_balanced_accuracy_is_the_mean_of_both_recalls() -> None:
    # Malicious: 3 of 4 found. Benign: 1 of 2 found. (.75 + .5) / 2 = .625.
    truth = [True, True, True, True, False, False]
    answer = [True, True, True, False, False, True]
    assert balanced_accuracy(truth, answer) == 0.625


def test_balanced_accuracy_of_a_constant_answer_is_chance_however_skewed() -> None:
    assert balanced_accuracy([True] + [False] * 99, [False] * 100) == 0.5


@pytest.mark.parametrize("truth", [[], [True, True], [False]])
def test_balanced_accuracy_needs_both_classes(truth: list[bool]) -> None:
    assert balanced_accuracy(truth, truth) is None
