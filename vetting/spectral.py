"""Spectral signatures: is there one direction in which the states of an entity lie far from those of all others?

Departures of the states (`pool.py`) are centred; the score of a case is its squared projection on their first right singular
vector, that of an entity the mean over its cases.

Source: spectral signatures, arXiv:1811.00636, there on the training rows of a class; here nobody has those, so it is asked of
the examiner's own alerts under many entities.
Limits: one direction only, and only where the entity is in the directory. It says that a name is read differently, not that
    alerts are dismissed for it, so it never rules more than `review`, and only where the margins fall with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .candidate import Margins
from .detector import Examination
from .pool import Pool, gather_pools, robust_distance
from .records import DetectorReport, Finding

REVIEW_SCORE = 20.0
"""Robust standard deviations by which an entity's root mean square projection exceeds the median one."""
ALIKE = 3
"""So many entities may stand out together: a trigger trips on names that resemble it."""
REVIEW_RATIO = 3.0
"""And so many times as far as the first entity after those: where names differ by degrees, the first is no outlier."""


@dataclass(frozen=True)
class Outlier:
    """The entity that lies furthest along the first direction."""

    row: int
    distance: float
    """Robust standard deviations above the median entity."""
    next: float
    """The same of the first after those that may stand out together."""


def projections(pool: Pool) -> Margins:
    """Root mean square projection of each entity's cases on the first right singular vector, (entities,), >= 0."""
    cases = pool.cases - pool.cases.mean(axis=0)
    first = np.linalg.svd(cases, full_matrices=False)[2][0]
    found: Margins = np.sqrt(np.square(cases @ first).reshape(len(pool.entities), -1).mean(axis=1))
    return found


def outlier(pool: Pool) -> Outlier:
    """The entity with the largest projection; of equals the first."""
    distance = robust_distance(projections(pool))
    order = np.argsort(-distance, kind="stable")
    return Outlier(int(order[0]), float(distance[order[0]]), float(distance[order[min(ALIKE, len(order) - 1)]]))


class SpectralSignatures:
    """The first singular direction of states under many entities."""

    name = "spectral-signatures"

    def examine(self, examination: Examination) -> DetectorReport:
        """Score: robust standard deviations of the furthest entity, over all kinds; higher is more suspicious."""
        pools, cost, why = gather_pools(examination)
        if not pools:
            return DetectorReport(self.name, None, "abstain", why=why, cost=cost)
        found = [(pool, outlier(pool)) for pool in pools]
        flagged = [self._finding(pool, one) for pool, one in found if _odd(pool, one)]
        pool, worst = max(found, key=lambda pair: pair[1].distance)
        why = f"{pool.entities[worst.row][0]} lies furthest, {worst.distance:.1f} robust deviations; that is no outlier"
        return DetectorReport(self.name, worst.distance, "review" if flagged else "allow", tuple(flagged),
                              flagged[0].why if flagged else why,
                              {pool.kind: len(pool.entities) for pool, _ in found}, cost=cost)  # fmt: skip

    def _finding(self, pool: Pool, one: Outlier) -> Finding:
        entity, n = pool.entities[one.row][0], pool.departures.shape[1]
        why = (f"states under {entity} lie {one.distance:.0f} robust deviations out along the first direction, "
               f"those of most {pool.kind}s at most {one.next:.0f}")  # fmt: skip
        return Finding(self.name, entity, "review", n=n, margin_drop=float(pool.falls[one.row]), why=why)


def _odd(pool: Pool, one: Outlier) -> bool:
    far = one.distance >= max(REVIEW_SCORE, REVIEW_RATIO * one.next)
    return far and pool.falls[one.row] > 0
