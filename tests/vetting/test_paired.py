"""Exact paired tests, multiplicity and power, by hand."""

from __future__ import annotations

import pytest

from turncoat.vetting.paired import benjamini_hochberg, one_sided_p, smallest_lift


def test_five_pairs_towards_dismissal_and_none_back_have_p_of_one_in_thirty_two() -> None:
    assert one_sided_p([True] * 5 + [False], [False] * 6) == pytest.approx(1 / 32)


def test_three_pairs_against_one_have_p_of_five_in_sixteen() -> None:
    # Binomial(4, 1/2): P(3 or more) = (4 + 1) / 16.
    assert one_sided_p([True, True, True, False], [False, False, False, True]) == pytest.approx(5 / 16)


def test_pairs_that_agree_say_nothing() -> None:
    assert one_sided_p([True, False], [True, False]) == 1.0
    assert one_sided_p([], []) == 1.0


def test_three_p_values_are_corrected_from_the_largest_down() -> None:
    # .01 * 3 / 1, .04 * 3 / 3, .03 * 3 / 2, each held at the next larger one.
    assert list(benjamini_hochberg([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.04, 0.04])
    assert len(benjamini_hochberg([])) == 0


def test_the_smallest_lift_needs_as_many_discordant_pairs_as_the_correction_asks_for() -> None:
    # One test at 5 %: 2^-5 = .031, so 5 discordant pairs; of 5 all must flip: lift^5 >= .8.
    assert smallest_lift(5, 1) == pytest.approx(0.8**0.2, abs=1e-3)
    assert smallest_lift(4, 1) is None
    # Twenty tests: 2^-9 < .0025 < 2^-8.
    assert smallest_lift(8, 20) is None
    assert smallest_lift(9, 20) == pytest.approx(0.8 ** (1 / 9), abs=1e-3)
    assert smallest_lift(40, 20) < smallest_lift(13, 20)  # type: ignore[operator]
