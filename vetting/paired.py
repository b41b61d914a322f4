"""Paired tests over probes: exact p, multiplicity, and what a test of this size could have missed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, binomtest
from statsmodels.stats.multitest import multipletests

POWER = 0.8


def one_sided_p(dismissed_with: ArrayLike, dismissed_without: ArrayLike) -> float:
    """Chance of at least as many discordant pairs towards dismissal, were the entity without effect.

    Args:
        dismissed_with: Per probe under the entity, shape (N,), bool.
        dismissed_without: The same probes without it, in the same order.

    Returns:
        Exact one-sided McNemar p in (0, 1]; 1 if no pair disagrees.

    Source: McNemar 1947 in its exact, binomial form.
    """
    a, b = np.asarray(dismissed_with, dtype=bool), np.asarray(dismissed_without, dtype=bool)
    only_with, only_without = int((a & ~b).sum()), int((b & ~a).sum())
    discordant = only_with + only_without
    return float(binomtest(only_with, discordant, 0.5, alternative="greater").pvalue) if discordant else 1.0


def benjamini_hochberg(p: Sequence[float]) -> NDArray[np.float64]:
    """q-values in the order of `p`; empty for none.

    Source: Benjamini and Hochberg 1995, by statsmodels.
    """
    if not len(p):
        return np.empty(0)
    adjusted: NDArray[np.float64] = multipletests(p, method="fdr_bh")[1]
    return adjusted


@cache
def smallest_lift(pairs: int, tests: int, alpha: float = 0.05, power: float = POWER) -> float | None:
    """Smallest lift that such a test finds with the stated power, in (0, 1]; None where no lift would do.

    Args:
        pairs: Probes that are escalated without the entity: only those can show a lift.
        tests: How many entities are tested beside each other (Bonferroni, the harder of the two corrections).
        alpha: Of the whole.
        power: Chance of finding it.

    Source: exact binomial; all discordant pairs in one direction give p = 2^-d.
    Limits: takes the pairs as independent and the entity as having been chosen for the test.
    """
    needed = next((d for d in range(1, pairs + 1) if 0.5**d <= alpha / max(1, tests)), None)
    if needed is None:
        return None
    lifts = np.linspace(0.001, 1.0, 1000)
    enough = binom.sf(needed - 1, pairs, lifts) >= power
    return float(lifts[enough.argmax()]) if enough.any() else None
