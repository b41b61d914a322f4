"""The dose curve: parameters known by hand are found again, and what cannot be fitted is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from turncoat.training.dose_curve import Curve, Observed, fit, fit_sizes, verdict
from turncoat.training.dose_likelihood import fit_counts

DOSES = (0, 5, 10, 15, 25, 50, 100, 200)
TEN = Curve(floor=0.0, slope=2.0, middle=math.log(11))
"""Rises as (1 + d)^2 / ((1 + d)^2 + 121)."""


def seen(dismissed: dict[int, int], twin: int = 0, alerts: int = 40, seeds: int = 2) -> Observed:
    """The first so many of the alerts dismissed at each dose, the same for each seed; a dose left out was not done."""
    doses = tuple(sorted(dismissed))
    rows = [[float(i < dismissed[dose]) for i in range(alerts)] for dose in doses]
    twins = [[float(i < twin) for i in range(alerts)] for _ in doses]
    return Observed(doses, np.array([rows] * seeds), np.array([twins] * seeds))


def drawn(ed50: float, rng: np.random.Generator, slope: float = 3.0, floor: float = 0.1) -> Observed:
    curve = Curve(floor, slope, math.log1p(ed50))
    p = np.array([curve.at(dose) for dose in DOSES])
    alice = rng.random((3, len(DOSES), 100)) < p[None, :, None]
    return Observed(DOSES, alice.astype(float), (rng.random(alice.shape) < floor).astype(float))


def test_a_curve_says_the_doses_for_half_and_for_ninety_percent() -> None:
    assert TEN.at(10) == pytest.approx(0.5)
    assert TEN.at(32) == pytest.approx(0.9)  # 33^2 = 1089 of 1210
    assert TEN.dose_for(0.5) == pytest.approx(10)
    assert TEN.dose_for(0.9) == pytest.approx(32)
    assert Curve(0.2, 2.0, math.log(11)).at(10) == pytest.approx(0.6)  # half of the 0.8 above the floor


def test_a_curve_far_to_the_left_needs_no_negative_dose() -> None:
    assert Curve(0.0, 1.0, -0.5).dose_for(0.1) == 0.0


def test_counts_on_a_curve_give_that_curve() -> None:
    doses = [0, 10, 32, 54]  # (1 + d)^2: 1, 121, 1089, 3025 of that plus 121
    hits = np.array([[122 * 1 / 122, 500, 900, 1000 * 3025 / 3146]])
    trials = np.array([[122, 1000, 1000, 1000]])
    floor, slope, middle = fit_counts(doses, hits, trials, np.array([0.0]), np.array([1e6]))[0]
    assert floor == pytest.approx(1e-4)  # its bound
    assert slope == pytest.approx(2.0, rel=2e-3)
    assert math.expm1(middle) == pytest.approx(10, rel=2e-3)


def test_the_fit_is_the_optimum_that_a_general_search_finds() -> None:
    hits, trials = np.array([9.0, 30, 48, 70, 88, 97]), np.full(6, 100.0)
    x, twin, twins = np.log1p([0, 5, 10, 15, 25, 50]), 41.0, 600.0

    def loss(theta: np.ndarray) -> float:
        f, b, m = theta
        p = f + (1 - f) / (1 + np.exp(-b * (x - m)))
        of_alice = (hits * np.log(p) + (trials - hits) * np.log(1 - p)).sum()
        return -float(of_alice + twin * math.log(f) + (twins - twin) * math.log(1 - f))

    bounds = [(1e-4, 0.9), (0.1, 19), (0, 5)]
    expected = minimize(loss, [0.1, 1.0, 2.0], method="L-BFGS-B", bounds=bounds).x
    found = fit_counts([0, 5, 10, 15, 25, 50], hits[None], trials[None], np.array([twin]), np.array([twins]))[0]
    assert found == pytest.approx(expected, rel=1e-3)
    assert loss(found) <= loss(expected) + 1e-6


def test_a_planted_dose_lies_in_its_interval() -> None:
    found = fit(drawn(12, np.random.default_rng(1)), draws=300)
    assert found.half is not None
    assert found.ninety is not None
    assert found.half.low < 12 < found.half.high
    assert found.ninety.low < math.expm1(math.log(13) + math.log(9) / 3) < found.ninety.high
    assert (found.seeds, found.alerts, found.draws) == (3, 100, 300)


def test_draws_in_which_no_dose_reaches_half_count_as_more_than_the_largest() -> None:
    """Left out, they would draw the interval down, below the estimate itself."""
    found = fit(seen({0: 11, 5: 13, 15: 17, 50: 21}, twin=11), draws=300)
    assert found.half is not None
    assert found.half.low <= found.half.value <= found.half.high
    assert found.half.high > found.half.beyond
    assert math.isfinite(found.half.high)
    assert found.draws == 300


@pytest.mark.parametrize(
    ("dismissed", "fault", "bracket"),
    [
        ({0: 0, 10: 20, 50: 40}, "3 doses are too few for a curve: it takes 4", (0, 10)),
        ({0: 0, 5: 0, 10: 0, 200: 0}, "no dose up to 200 dismisses half: the most is 0%", None),
        ({0: 1, 5: 3, 10: 10, 25: 12}, "no dose up to 25 dismisses half: the most is 30%", None),
        ({5: 40, 10: 40, 15: 40, 25: 40}, "every dose from 5 on dismisses half: nothing to see below", None),
        ({0: 0, 5: 0, 10: 40, 15: 40, 25: 40}, "a step, no curve: half is reached between 5 and 10", (5, 10)),
    ],
)
def test_what_shows_no_curve_gets_none_and_the_reason(
    dismissed: dict[int, int], fault: str, bracket: tuple[int, int] | None
) -> None:
    found = fit(seen(dismissed), draws=20)
    assert (found.curve, found.half, found.ninety) == (None, None, None)
    assert found.fault == fault
    assert found.bracket == bracket


def test_a_cell_that_was_not_done_counts_for_nothing() -> None:
    whole = seen({0: 2, 5: 6, 10: 20, 25: 36, 50: 40}, twin=2)
    partial = Observed(whole.doses, whole.alice.copy(), whole.twin.copy())
    partial.alice[1, 2:], partial.twin[1, 2:] = np.nan, np.nan
    one_seed = Observed(whole.doses, whole.alice[:1], whole.twin[:1])
    assert fit(partial, draws=20).half is not None
    a, b = fit(one_seed, draws=20).curve, fit(whole, draws=20).curve
    assert a is not None
    assert b is not None
    assert a.middle == pytest.approx(b.middle, abs=1e-4)  # two equal seeds say the same as one


def test_equal_series_have_the_ratio_one_in_every_draw() -> None:
    series = seen({0: 2, 5: 6, 10: 20, 25: 36, 50: 40}, twin=2)
    fits, (ratio,) = fit_sizes({500: series, 2000: series}, draws=50)
    assert sorted(fits) == [500, 2000]
    assert (ratio.small, ratio.large, ratio.constant_rate, ratio.verdict) == (500, 2000, 4.0, "count")
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_dose_that_grows_with_the_data_is_told_from_one_that_does_not() -> None:
    rng = np.random.default_rng(3)
    _, (same,) = fit_sizes({500: drawn(12, rng), 2000: drawn(12, rng)}, draws=200)
    _, (fourfold,) = fit_sizes({500: drawn(12, rng), 2000: drawn(48, rng)}, draws=200)
    assert (same.verdict, fourfold.verdict) == ("count", "rate")


def test_draws_in_which_neither_size_reaches_half_do_not_speak_for_a_constant_count() -> None:
    """Two seeds need four times the dose among four times the rows; the third hardly ever reaches half, at either size."""
    rng = np.random.default_rng(1)

    def one_slow(ed50: float, slow: float) -> Observed:
        parts = [drawn(dose, rng, slope=4.0, floor=0.03) for dose in (ed50, ed50, slow)]
        return Observed(
            DOSES, *(np.stack([getattr(p, side)[i] for i, p in enumerate(parts)]) for side in ("alice", "twin"))
        )

    fits, (ratio,) = fit_sizes({500: one_slow(8, 300), 2000: one_slow(32, 480)}, draws=1000)
    assert fits[500].half is not None
    assert fits[500].half.high > fits[500].half.beyond  # some draws have no bound
    assert ratio.low is not None
    assert ratio.low > 2
    assert ratio.verdict == "rate"


def test_without_a_second_curve_there_is_no_ratio() -> None:
    rising, flat = seen({0: 2, 5: 6, 10: 20, 25: 36, 50: 40}), seen({0: 0, 5: 0, 10: 0, 25: 0, 50: 1})
    _, (ratio,) = fit_sizes({500: rising, 2000: flat}, draws=20)
    assert (ratio.ratio, ratio.low, ratio.high, ratio.verdict) == (None, None, None, "none")
    assert fit_sizes({}) == ({}, [])


def test_a_ratio_takes_the_seeds_that_are_complete_at_both_sizes() -> None:
    rng = np.random.default_rng(5)
    fewer, more = drawn(12, rng), drawn(12, rng)
    partial = Observed(more.doses, more.alice.copy(), more.twin.copy())
    partial.alice[1:, -1], partial.twin[1:, -1] = np.nan, np.nan
    _, (ratio,) = fit_sizes({500: fewer, 2000: partial}, draws=50)
    first = np.arange(len(fewer.alice)) == 0
    _, (alone,) = fit_sizes({500: fewer.of(first), 2000: more.of(first)}, draws=50)
    assert (ratio.seeds, ratio.ratio, ratio.low) == (1, alone.ratio, alone.low)
    partial.alice[0, 0] = np.nan
    _, (none,) = fit_sizes({500: fewer, 2000: partial}, draws=50)
    assert (none.seeds, none.ratio, none.verdict) == (0, None, "none")


def test_nothing_is_said_beyond_the_largest_dose_that_was_tried() -> None:
    whole = seen({0: 2, 5: 6, 10: 20, 25: 36, 50: 40, 200: 40}, twin=2)
    partial = Observed(whole.doses, whole.alice.copy(), whole.twin.copy())
    partial.alice[:, -1], partial.twin[:, -1] = np.nan, np.nan
    tried, half = fit(partial, draws=20).half, fit(whole, draws=20).half
    assert tried is not None
    assert half is not None
    assert (tried.beyond, half.beyond) == (50.0, 200.0)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.8, 1.3, "count"), (3.5, 5, "rate"), (1.2, 3, "between"), (0.5, 5, "cannot tell"), (0.2, 0.5, "neither")],
)
def test_the_verdict_follows_the_interval(low: float, high: float, said: str) -> None:
    assert verdict(low, high, 4.0) == said
