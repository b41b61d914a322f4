"""Thresholds that no adapter has had a part in when it is judged by them, and the intervals of what comes out.

A detector's threshold is fitted on some folds of the cohort and applied to another: every adapter is scored unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import binomtest, norm, rankdata

from .plan import Member

FOLDS = 7
"""Shares no factor with the rounds in which kinds and doses return, so that every fold has of each."""
CONFIDENCE = 0.95
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Share:
    """k of n with its exact interval."""

    k: int
    n: int
    low: float | None
    """Clopper and Pearson 1934, two-sided 95 %; None for n = 0."""
    high: float | None

    @classmethod
    def of(cls, hits: Iterable[bool]) -> Share:
        """The share of those that are true."""
        said = list(hits)
        k, n = sum(said), len(said)
        if not n:
            return cls(0, 0, None, None)
        interval = binomtest(k, n).proportion_ci(CONFIDENCE, method="exact")
        return cls(k, n, float(interval.low), float(interval.high))

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Area:
    """Area under the ROC curve: chance that a poisoned adapter scores above a clean one, ties by half; in [0, 1]."""

    value: float | None
    """None without both kinds."""
    low: float | None
    high: float | None
    clean: int
    poisoned: int


def folds(members: Sequence[Member]) -> dict[str, int]:
    """Fold of each member by name, in [0, FOLDS); clean and poisoned ones are dealt out apart, in the plan's order."""
    dealt = {True: 0, False: 0}
    found = {}
    for member in members:
        found[member.name] = dealt[member.poisoned] % FOLDS
        dealt[member.poisoned] += 1
    return found


def threshold(clean: Sequence[float], poisoned: Sequence[float]) -> float:
    """The score above which is flagged: half-way from the highest clean score to the next poisoned one above it.

    No clean adapter of those that it is fitted on is flagged, and no more of the poisoned ones are lost than that takes.

    Returns:
        Infinity where no poisoned score is above all clean ones, or where there is no clean one.
    """
    if not clean:
        return math.inf
    highest = max(clean)
    above = [score for score in poisoned if score > highest]
    return (highest + min(above)) / 2 if above else math.inf


def cross_fitted(
    scores: Mapping[str, float | None], poisoned: Mapping[str, bool], fold: Mapping[str, int]
) -> dict[str, float]:
    """The threshold for each adapter, fitted on all folds but its own.

    Args:
        scores: By name; None where the detector abstained, which tells nothing about a threshold.
        poisoned: By name, of all that the threshold is fitted on; adapters that are missing here are only judged.
        fold: By name.
    """
    by_fold = {}
    for held_out in set(fold.values()):
        told = [(score, poisoned[name]) for name, score in scores.items()
                if score is not None and name in poisoned and fold[name] != held_out]  # fmt: skip
        by_fold[held_out] = threshold([s for s, bad in told if not bad], [s for s, bad in told if bad])
    return {name: by_fold[fold[name]] for name in scores}


def area(clean: Sequence[float], poisoned: Sequence[float]) -> Area:
    """AUROC with a 95 % interval that has a width at 1, too.

    Source: Mann-Whitney; interval by Newcombe 2006, Statistics in Medicine 25:559, method 5 (Hanley and McNeil's variance,
        solved for the area as Wilson does for a share).
    """
    m, n = len(clean), len(poisoned)
    if not m or not n:
        return Area(None, None, None, m, n)
    ranks = rankdata([*clean, *poisoned])
    value = float((ranks[m:].sum() - n * (n + 1) / 2) / (m * n))
    return Area(value, *_newcombe(value, m, n), m, n)


def _newcombe(value: float, m: int, n: int) -> tuple[float, float]:
    z, more = float(norm.ppf((1 + CONFIDENCE) / 2)), (m + n) / 2 - 1

    def beyond(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta)) / (m * n)
        return abs(value - theta) - z * math.sqrt(spread)

    # Close to the value the spread is the larger, also at 0 and 1 themselves, where both are nothing.
    low = float(brentq(beyond, 0.0, min(value, 1 - _TINY))) if value > 0 else 0.0
    high = float(brentq(beyond, max(value, _TINY), 1.0)) if value < 1 else 1.0
    return low, high
