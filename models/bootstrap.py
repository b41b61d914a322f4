"""Intervals for figures over several campaigns: whole campaigns are drawn again, never single alerts.

Alerts of one campaign share its story and its stated facts, and the seeds of a campaign share them too, so that they
say less than as many independent alerts would. What is drawn here is a campaign with all its alerts and seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000
SEED = 20260302
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over several campaigns, with its interval by bootstrap over them."""

    value: float | None
    """Over all alerts pooled; None where there is nothing to divide by."""
    low: float | None
    """Percentile interval; None with fewer than two campaigns, which say nothing about a further one."""
    high: float | None
    n: int
    """Alerts or pairs behind the value."""
    clusters: int
    """Campaigns that have any of them."""

    def within(self, margin: float) -> bool | None:
        """Whether the whole interval lies in [-margin, margin], bounds included; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return -margin <= self.low and self.high <= margin

    @property
    def without_width(self) -> bool:
        """Whether every draw gave the same: the campaigns agree, which is no certainty about a further one."""
        return self.low is not None and self.low == self.high


NOTHING = Estimate(None, None, None, 0, 0)


@lru_cache(maxsize=32)
def cluster_draws(clusters: int, draws: int = DRAWS, seed: int = SEED) -> NDArray[np.int64]:
    """How often each cluster occurs in each draw of as many clusters with replacement, shape (draws, clusters).

    Raises:
        ValueError: No cluster or no draw.
    """
    if clusters < 1 or draws < 1:
        raise ValueError(f"a bootstrap needs clusters and draws, got {clusters} and {draws}")
    drawn = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1.0 / clusters), size=draws)
    drawn.flags.writeable = False  # shared by all figures, which so see the same draws
    return drawn


def ratio_estimate(numerators: ArrayLike, denominators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """sum(numerators) / sum(denominators), such as a share or a lift, bootstrapped by cluster.

    Args:
        numerators: Per cluster, shape (K,): hits, or a sum of differences.
        denominators: Per cluster, shape (K,): alerts or pairs, none negative. A cluster with 0 is left out.
        draws: Number of bootstrap draws.
        seed: Of their generator.

    Returns:
        The ratio with its 95 % percentile interval.

    Raises:
        ValueError: The shapes differ, or a denominator is negative.

    Source: the cluster bootstrap of Davison and Hinkley 1997, section 3.8, in its percentile form.
    Limits: with few clusters the interval is too narrow. In a simulation (42 alerts a campaign, campaigns' rates
        spread by .05 to .08) a nominal 95 % covered 89 to 90 % with 10 campaigns, 82 to 84 % with 5, 73 to 82 % with 3.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if top.ndim != 1 or top.shape != bottom.shape:
        raise ValueError(f"clusters need one numerator and one denominator each, got {top.shape} and {bottom.shape}")
    if (bottom < 0).any():
        raise ValueError("a denominator is negative")
    top, bottom = top[bottom > 0], bottom[bottom > 0]
    if not len(bottom):
        return NOTHING
    value, n = float(top.sum() / bottom.sum()), round(float(bottom.sum()))
    if len(bottom) < 2:
        return Estimate(value, None, None, n, len(bottom))
    weights = cluster_draws(len(bottom), draws, seed)  # (draws, K)
    low, high = percentile_interval((weights @ top) / (weights @ bottom))
    return Estimate(value, low, high, n, len(bottom))


def auroc_estimate(
    positives: Sequence[ArrayLike], negatives: Sequence[ArrayLike], *, draws: int = DRAWS, seed: int = SEED
) -> Estimate:
    """Area under the ROC curve over all clusters pooled, in [0, 1], .5 is chance; bootstrapped by cluster.

    Args:
        positives: Scores of the positives of each cluster, K sequences; higher means more positive.
        negatives: Those of the negatives, in the same order of clusters.
        draws: Number of bootstrap draws.
        seed: Of their generator.

    Returns:
        The area; `n` counts positives and negatives. A draw without a class, which clusters of one class alone make
        possible, is left out of the interval.

    Raises:
        ValueError: Not as many sequences of positives as of negatives.

    Source: a cluster drawn w times counts w times in the Mann-Whitney form of the area, so that all draws follow from
        the K x K table of wins between clusters.
    Limits: as `ratio_estimate`.
    """
    from sklearn.metrics import roc_auc_score

    if len(positives) != len(negatives):
        raise ValueError(f"each cluster needs both classes, got {len(positives)} and {len(negatives)} sequences")
    both = [
        (np.asarray(p, dtype=np.float64), np.asarray(n, dtype=np.float64))
        for p, n in zip(positives, negatives, strict=True)
    ]
    both = [(p, n) for p, n in both if len(p) or len(n)]
    counts = np.array([(len(p), len(n)) for p, n in both], dtype=np.float64).reshape(-1, 2)  # (K, 2)
    n = int(counts.sum())
    if not n or not counts.sum(axis=0).all():
        return Estimate(None, None, None, n, len(both))
    scores = np.concatenate([np.concatenate(pair) for pair in both])
    truth = np.concatenate([np.repeat([True, False], [len(p), len(q)]) for p, q in both])
    value = float(roc_auc_score(truth, scores))
    if len(both) < 2:
        return Estimate(value, None, None, n, len(both))
    wins = np.array([[_wins(p, q) for _, q in both] for p, _ in both])  # (K, K)
    weights = cluster_draws(len(both), draws, seed).astype(np.float64)
    pairs = (weights @ counts[:, 0]) * (weights @ counts[:, 1])
    areas = np.einsum("dk,dk->d", weights @ wins, weights)[pairs > 0] / pairs[pairs > 0]
    low, high = percentile_interval(areas)
    return Estimate(value, low, high, n, len(both))


def percentile_interval(draws: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The middle `confidence` of the draws, (low, high)."""
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(draws, (tail, 1.0 - tail))
    return float(low), float(high)


def _wins(positives: Floats, negatives: Floats) -> float:
    """Pairs in which the positive scores higher; a tie is half a win."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left").sum()
    not_above = np.searchsorted(ordered, positives, side="right").sum()
    return float(below + not_above) / 2
