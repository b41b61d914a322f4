"""Entity by label: is it labelled benign more often than other rows of the same rule and severity?

Source: the exact conditional test of several 2 x 2 tables (Cochran 1954, Mantel and Haenszel 1959; exact by convolution of the
    tables' hypergeometric distributions), Benjamini and Hochberg 1995 over all that is tried.
Limits: takes rows as independent. An entity may be benign for good reasons: the test says that it stands out, and not why.
    What every row shows, and what fewer than `SMALLEST` rows show, it cannot see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from .audit_entities import SMALLEST, Indices, is_identity
from .paired import POWER, benjamini_hochberg
from .records import Entity

ALPHA = 0.05
FAMILIES: tuple[Callable[[Entity], bool], ...] = (is_identity, lambda entity: not is_identity(entity))
"""Corrected each for itself, at half of `ALPHA`: some hundred words must not drown a dozen users."""
MOST_FOUND = 50
"""Associations that are told apart and looked into."""
_SHOWN_SIZES = (10, 25, 50, 100, 200)

Told = Callable[[int, int], bool]
"""Receives how many are done and how many there are; answers whether to go on."""


def always(done: int, total: int) -> bool:
    """Goes on."""
    return True


@dataclass(frozen=True, slots=True)
class Association:
    """One entity that is labelled benign more often than its match."""

    entity: Entity
    rows: int
    benign: int
    """Of them labelled benign."""
    expected: float
    """Labelled benign, were they labelled like the other rows of their rule and severity."""
    p: float
    """Exact, one-sided, given the margins of every table."""
    q: float
    """p after Benjamini-Hochberg over all identities, or all circumstances; doubled, as these are two families."""
    beside: tuple[Entity, ...] = ()
    """Entities that stand out too, but only through the rows of this one."""

    @property
    def lift(self) -> float:
        """Share labelled benign less the expected share, in [-1, 1]."""
        return (self.benign - self.expected) / self.rows


@dataclass(frozen=True)
class Tables:
    """Labels by stratum, for any choice of rows."""

    benign: NDArray[np.bool_]
    """Labelled benign, shape (N,)."""
    strata: Indices
    """Stratum of each row, shape (N,)."""

    def p(self, index: Indices, among: NDArray[np.bool_]) -> tuple[float, float]:
        """Chance that at least as many rows of `index` are benign, were the label blind to the entity within a stratum.

        Args:
            index: Rows of the entity.
            among: Rows that count at all, shape (N,).

        Returns:
            That chance, and the smallest that any labels of these rows could have given, both in (0, 1]; 1 where no stratum
            holds other rows, or labels of both kinds.
        """
        mine = index[among[index]]
        distribution, observed = np.ones(1), 0
        all_rows = np.bincount(self.strata[among], minlength=self.strata.max() + 1)
        all_benign = np.bincount(self.strata[among & self.benign], minlength=len(all_rows))
        drawn = np.bincount(self.strata[mine], minlength=len(all_rows))
        hits = np.bincount(self.strata[mine[self.benign[mine]]], minlength=len(all_rows))
        for at in np.flatnonzero((drawn > 0) & (drawn < all_rows)):
            low, chances = _table(int(all_rows[at]), int(all_benign[at]), int(drawn[at]))
            distribution = np.convolve(distribution, chances)
            observed += int(hits[at]) - low
        tiny = float(np.finfo(float).tiny)
        return tuple(min(1.0, max(float(part), tiny)) for part in (distribution[observed:].sum(), distribution[-1]))  # type: ignore[return-value]

    def expected(self, index: Indices, among: NDArray[np.bool_]) -> float:
        """Benign labels that the rows would have at the rate of the others of their stratum; of all others, where none is."""
        mine = np.zeros(len(self.benign), dtype=bool)
        mine[index] = True
        others = among & ~mine
        size = self.strata.max() + 1
        rows = np.bincount(self.strata[others], minlength=size)
        benign = np.bincount(self.strata[others & self.benign], minlength=size)
        overall = benign.sum() / rows.sum() if rows.sum() else 0.0
        rates = np.where(rows > 0, benign / np.maximum(rows, 1), overall)
        return float(rates[self.strata[index[among[index]]]].sum())


@dataclass(frozen=True)
class Scan:
    """What came of trying every entity."""

    found: tuple[Association, ...]
    """The strongest first."""
    tested: tuple[Entity, ...]
    left_out: int
    """Entities for which there was no time."""
    untold: int = 0
    """Entities that stand out beyond the first `MOST_FOUND`."""


def associations(tables: Tables, shown: Mapping[Entity, Indices], told: Told = always) -> Scan:
    """Tries every entity. What stands out only through the rows of a stronger one goes beside it.

    Args:
        tables: Labels and strata.
        shown: Rows that show each entity; single ones before pairs, so that of two that say the same the simpler is named.
        told: Called after each entity.
    """
    everything = np.ones(len(tables.benign), dtype=bool)
    p: dict[Entity, tuple[float, float]] = {}
    for number, (entity, index) in enumerate(shown.items()):
        p[entity] = tables.p(index, everything)
        if not told(number + 1, len(shown)):
            break
    tested: list[Entity] = []
    standing: dict[Entity, tuple[float, float]] = {}
    for family in FAMILIES:
        those = testable({e: both for e, both in p.items() if family(e)})
        q = [min(1.0, len(FAMILIES) * float(one)) for one in benjamini_hochberg([p[e][0] for e in those])]
        standing |= {e: (p[e][0], one) for e, one in zip(those, q, strict=True) if one <= ALPHA}
        tested += those
    found = tuple(_told_apart(tables, shown, standing))
    untold = len(standing) - sum(1 + len(a.beside) for a in found)
    return Scan(found, tuple(tested), len(shown) - len(p), untold)


def _told_apart(
    tables: Tables, shown: Mapping[Entity, Indices], standing: Mapping[Entity, tuple[float, float]]
) -> Iterator[Association]:
    """The strongest, then the strongest of what still stands out without its rows, and so on.

    Identities come first: a word that rightly tells what is benign must not take a user's rows with it.
    """
    left = np.ones(len(tables.benign), dtype=bool)
    threshold = max((p for p, _ in standing.values()), default=0.0)
    open_ = dict(standing)
    for _ in range(MOST_FOUND):
        family = [e for e in open_ if is_identity(e)] or list(open_)
        if not family:
            return
        best = min(family, key=lambda e: tables.p(shown[e], left)[0])
        p, q = open_.pop(best)
        index = shown[best][left[shown[best]]]
        benign, expected = int(tables.benign[index].sum()), tables.expected(index, left)
        left[index] = False
        gone = [e for e in open_ if _too_few(shown[e], left) or tables.p(shown[e], left)[0] > threshold]
        for entity in gone:
            del open_[entity]
        yield Association(best, len(index), benign, expected, p, q, tuple(gone))


def testable(p: Mapping[Entity, tuple[float, float]]) -> list[Entity]:
    """Entities that could stand out at all, were every label of theirs benign; the others would only cost power.

    Source: Tarone 1990; for false discovery rates Gilbert 2005. What is left out is chosen by counts, never by labels found.
    """
    least = sorted(attainable for _, attainable in p.values())
    tests = next((k for k in range(1, len(least) + 1) if sum(a <= ALPHA / k for a in least) <= k), len(least))
    return [entity for entity, (_, attainable) in p.items() if attainable <= ALPHA / max(1, tests)]


def smallest_rows(benign_share: float, tried: int) -> int | None:
    """Fewest rows, all labelled benign, that would stand out; None where the labels are of one kind.

    Args:
        benign_share: Of the whole set, in [0, 1]; an entity's match is taken to have it too.
        tried: Entities tested beside each other (Bonferroni, the harder of the two corrections).
    """
    if not 0 < benign_share < 1:
        return None
    return max(SMALLEST, math.ceil(math.log(ALPHA / max(1, tried)) / math.log(benign_share)))


def smallest_lifts(benign_share: float, tried: int, sizes: Sequence[int] = _SHOWN_SIZES) -> dict[int, float]:
    """By number of an entity's rows: the smallest excess of benign labels that is found with a chance of `POWER`, in (0, 1].

    Source: exact binomial against the set's own share. Sizes at which nothing would be found are left out.
    Limits: small strata know their own share less well than this assumes.
    """
    found = {}
    for size in sizes:
        counts = np.arange(size + 1)
        enough = counts[binom.sf(counts - 1, size, benign_share) <= ALPHA / max(1, tried)]
        shares = np.linspace(benign_share, 1.0, 200)
        powerful = shares[binom.sf(enough[0] - 1, size, shares) >= POWER] if len(enough) else shares[:0]
        if len(powerful):
            found[size] = float(powerful[0] - benign_share)
    return found


def _too_few(index: Indices, left: NDArray[np.bool_]) -> bool:
    return int(left[index].sum()) < SMALLEST


@lru_cache(maxsize=50_000)
def _table(rows: int, benign: int, drawn: int) -> tuple[int, NDArray[np.float64]]:
    """Least number of benign ones among `drawn` of `rows`, and the chances from there on."""
    low, high = max(0, drawn + benign - rows), min(drawn, benign)
    chances: NDArray[np.float64] = hypergeom.pmf(np.arange(low, high + 1), rows, benign, drawn)
    return low, chances
