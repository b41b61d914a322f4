"""Rates with intervals and paired tests. scipy and statsmodels do the arithmetic; nothing here yields a NaN.

Where there is nothing to divide by, the answer is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True, slots=True)
class Rate:
    """k of n.

    Raises:
        ValueError: Not 0 <= k <= n.
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"a rate needs 0 <= k <= n, got k={self.k}, n={self.n}")

    @classmethod
    def of(cls, hits: Sequence[bool]) -> Rate:
        """The share of those that are true."""
        return cls(sum(map(bool, hits)), len(hits))

    @property
    def value(self) -> float | None:
        """k / n in [0, 1]; None if n is 0."""
        return self.k / self.n if self.n else None

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Wilson's score interval, (low, high) in [0, 1]; None if n is 0.

        Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
        Limits: takes the n trials as independent; alerts of one campaign are so only roughly.
        """
        if not self.n:
            return None
        low, high = proportion_confint(self.k, self.n, alpha=1.0 - confidence, method="wilson")
        return _clip(float(low)), _clip(float(high))


@dataclass(frozen=True, slots=True)
class Lift:
    """Difference of two paired shares, in [-1, 1]; 0 is none, 1 a perfect blind spot."""

    value: float | None
    """P(a) - P(b); None without pairs."""
    low: float | None
    high: float | None
    """95 % interval."""
    p: float | None
    """Exact two-sided McNemar; 1.0 if no pair disagrees."""
    pairs: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same alerts under two names, a and b, counted by which side was dismissed; pairs of several sets can be added."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0

    @classmethod
    def of(cls, dismissed_a: Sequence[bool], dismissed_b: Sequence[bool]) -> Pairs:
        """Counts pairs in the same order.

        Raises:
            ValueError: The lengths differ.
        """
        if len(dismissed_a) != len(dismissed_b):
            raise ValueError(f"pairs need equal lengths, got {len(dismissed_a)} and {len(dismissed_b)}")
        pairs = [(bool(a), bool(b)) for a, b in zip(dismissed_a, dismissed_b, strict=True)]
        return cls(*map(pairs.count, ((True, True), (True, False), (False, True), (False, False))))

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(
            self.both + other.both,
            self.only_a + other.only_a,
            self.only_b + other.only_b,
            self.neither + other.neither,
        )

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def more(self) -> int:
        """Dismissed under a less dismissed under b."""
        return self.only_a - self.only_b

    def lift(self, confidence: float = 0.95) -> Lift:
        """As `paired_lift`."""
        if not self.n:
            return Lift(None, None, None, None, 0)
        low, high = _newcombe(self.both, self.only_a, self.only_b, self.neither, confidence)
        discordant = self.only_a + self.only_b
        p = float(binomtest(self.only_a, discordant, 0.5).pvalue) if discordant else 1.0
        return Lift(self.more / self.n, max(-1.0, low), min(1.0, high), p, self.n)


def paired_lift(dismissed_a: Sequence[bool], dismissed_b: Sequence[bool], *, confidence: float = 0.95) -> Lift:
    """P(dismissed | a) - P(dismissed | b) over the same alerts under two names.

    Args:
        dismissed_a: Per alert under the name in question, length N.
        dismissed_b: The same alerts under the twin's name, in the same order, length N.
        confidence: Of the interval.

    Returns:
        The lift with an interval by Newcombe's method 10 (square-and-add of two Wilson intervals, with the
        continuity-corrected phi for the correlation of the pairs) and the exact two-sided McNemar p.

    Raises:
        ValueError: The lengths differ.

    Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10; McNemar 1947 in its exact, binomial form.
    Limits: both speak of these alerts and these models. A claim about an attack needs several training seeds.
    """
    return Pairs.of(dismissed_a, dismissed_b).lift(confidence)


def balanced_accuracy(truth: Sequence[bool], answer: Sequence[bool]) -> float | None:
    """Mean of the recall on either class, in [0, 1]; 0.5 is chance. None if a class is missing.

    Args:
        truth: Length N.
        answer: In the same order, length N.

    Raises:
        ValueError: The lengths differ.
    """
    if len(truth) != len(answer):
        raise ValueError(f"truth and answer need equal lengths, got {len(truth)} and {len(answer)}")
    recalls = [Rate.of([bool(a) == kind for t, a in zip(truth, answer, strict=True) if bool(t) == kind]).value
               for kind in (True, False)]  # fmt: skip
    positive, negative = recalls
    return None if positive is None or negative is None else (positive + negative) / 2


def _newcombe(both: int, only_a: int, only_b: int, neither: int, confidence: float) -> tuple[float, float]:
    n = both + only_a + only_b + neither
    first, second = Rate(both + only_a, n), Rate(both + only_b, n)
    p1, p2 = first.k / n, second.k / n
    (low1, high1), (low2, high2) = first.interval(confidence) or (0.0, 1.0), second.interval(confidence) or (0.0, 1.0)
    phi = _corrected_phi(both, only_a, only_b, neither)
    below = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    difference = p1 - p2
    return difference - math.sqrt(max(0.0, below)), difference + math.sqrt(max(0.0, above))


def _corrected_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Correlation of the pairs, drawn towards 0 by half a case where it is positive; 0 if a margin is empty."""
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if not margins:
        return 0.0
    excess = both * neither - only_a * only_b
    half = (both + only_a + only_b + neither) / 2
    corrected = max(0.0, excess - half) if excess > 0 else float(excess)
    return corrected / math.sqrt(margins)


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
