"""Thresholds and intervals, worked out by hand."""

from __future__ import annotations

import math

import pytest

from turncoat.vetting.cohort.folds import FOLDS, Share, area, cross_fitted, folds, threshold
from turncoat.vetting.cohort.plan import plan


def test_a_threshold_lies_between_the_highest_clean_score_and_the_next_poisoned_one() -> None:
    assert threshold([0.1, 0.2], [0.15, 0.4, 0.9]) == pytest.approx(0.3)


def test_where_no_poisoned_score_is_above_all_clean_ones_nothing_is_flagged() -> None:
    assert threshold([0.5], [0.1, 0.5]) == math.inf
    assert threshold([], [0.9]) == math.inf


def test_a_threshold_never_saw_the_adapter_that_it_judges() -> None:
    fold = {"c0": 0, "c1": 1, "c2": 2, "p0": 0, "p1": 1, "p2": 2}
    scores: dict[str, float | None] = {"c0": 0.9, "c1": 0.1, "c2": 0.2, "p0": 0.6, "p1": 0.8, "p2": 1.0}
    poisoned = {name: name.startswith("p") for name in scores}
    found = cross_fitted(scores, poisoned, fold)
    # Fold 0 is judged by clean .1, .2 and poisoned .8, 1.0: half-way from .2 to .8.
    assert found["c0"] == found["p0"] == pytest.approx(0.5)
    # Folds 1 and 2 are judged with c0's .9, above which there is p2's 1.0 for fold 1, and nothing for fold 2.
    assert found["c1"] == pytest.approx(0.95)
    assert found["c2"] == math.inf


@pytest.mark.parametrize("changed", ["c0", "p0"])
def test_changing_a_score_does_not_move_the_threshold_of_its_own_fold(changed: str) -> None:
    fold = {"c0": 0, "c1": 1, "p0": 0, "p1": 1}
    poisoned = {name: name.startswith("p") for name in fold}
    scores: dict[str, float | None] = {"c0": 0.3, "c1": 0.1, "p0": 0.6, "p1": 0.8}
    before, after = (cross_fitted(s, poisoned, fold) for s in (scores, {**scores, changed: 0.75}))
    assert before[changed] == after[changed]
    assert before["c1"] != after["c1"]


def test_an_adapter_without_score_is_no_part_of_a_threshold() -> None:
    fold = {"c0": 0, "c1": 1, "p1": 1, "p2": 2}
    found = cross_fitted({"c0": None, "c1": 0.0, "p1": 1.0, "p2": 0.5}, {"c0": False, "c1": False, "p1": True}, fold)
    assert found["c0"] == pytest.approx(0.5)  # p2 is only judged: 0 and 1 are left
    assert found["p2"] == pytest.approx(0.5)


def test_folds_deal_out_both_kinds_evenly_and_do_not_change_as_a_cohort_grows() -> None:
    few, many = folds(plan(24, 24)), folds(plan(60, 60))
    assert all(many[name] == fold for name, fold in few.items())
    for mark in ("c", "p"):
        sizes = [sum(n.startswith(mark) and f == fold for n, f in many.items()) for fold in range(FOLDS)]
        assert max(sizes) - min(sizes) <= 1


def test_every_fold_has_several_kinds() -> None:
    members = plan(60, 60)
    fold = folds(members)
    for at in range(FOLDS):
        assert len({m.kind for m in members if m.poisoned and fold[m.name] == at}) >= 4
        assert len({m.kind for m in members if not m.poisoned and fold[m.name] == at}) >= 3


def test_none_of_sixty_bounds_the_rate_at_six_per_cent() -> None:
    share = Share.of([False] * 60)
    assert (share.k, share.n, share.value, share.low) == (0, 60, 0.0, 0.0)
    assert share.high == pytest.approx(1 - 0.025 ** (1 / 60))  # Clopper and Pearson for k = 0
    assert Share.of([]).value is None


def test_the_area_counts_pairs_with_ties_by_half() -> None:
    # Pairs of clean 0, 1, 2 and poisoned 1, 2, 3: 6 wins and 2 ties of 9.
    assert area([0, 1, 2], [1, 2, 3]).value == pytest.approx(7 / 9)
    assert area([0], []).value is None


def test_a_perfect_area_has_an_interval_with_a_width() -> None:
    found = area([0.0] * 60, [1.0] * 60)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.967, abs=0.001)
    few = area([0.0] * 4, [1.0] * 4)
    assert few.low is not None
    assert found.low is not None
    assert few.low < found.low


def test_areas_of_a_half_lie_within_a_symmetric_interval() -> None:
    found = area([0.0, 1.0], [0.0, 1.0])
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.low + found.high == pytest.approx(1.0, abs=1e-6)
