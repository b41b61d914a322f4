"""Activation clustering: do the states fall into two clusters, a small one of which is one entity's?

Departures of the states (`pool.py`) are reduced to the few directions of the largest variance and cut in two by 2-means; the
share of the smaller cluster and the silhouette say whether that cut is one in the states or one of convenience.

Source: activation clustering, arXiv:1811.03728, there on the training rows that share a label; here nobody has those, so it
is asked of the examiner's own malicious alerts under many entities. They share their truth, and stand in for the class: within
the *predicted* one a blind spot's cases would be looked for among the few that are dismissed anyway.
Limits: principal components in place of the independent ones (of a handful of cases apart from the rest FastICA converges to
    either); an entity outside the directory is not there to be seen. It speaks of states, not of dismissals, so it never rules
    more than `review`, and only where the margins fall with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

from .detector import Examination
from .pool import Pool, gather_pools
from .records import DetectorReport, Finding

COMPONENTS = 3
"""Of the paper's ten the first few: a blind spot is one direction, each further one adds what names differ in anyway."""
LARGEST_SHARE = 0.35
"""A cluster with a larger share of the cases is no small one (as in the paper)."""
REVIEW_SILHOUETTE = 0.4
"""Mean silhouette of the smaller cluster."""
ALIKE = 3
"""A small cluster may be of so many entities together: a trigger trips on names that resemble it."""
CONCENTRATED = 0.75
"""Least share of the cluster that is theirs, and of their cases that lies in it."""


@dataclass(frozen=True)
class Cut:
    """A set of states cut in two."""

    small: NDArray[np.bool_]
    """Which cases lie in the smaller cluster, (cases,); none where it is not small or nothing varies."""
    silhouette: float = 0.0
    """Its mean silhouette, in [-1, 1]."""
    rows: tuple[int, ...] = ()
    """Entities with the most cases in it, at most `ALIKE`, those first under whom margins fall furthest."""
    purity: float = 0.0
    """Share of the cluster that is theirs, in [0, 1]."""
    coverage: float = 0.0
    """Share of their cases that lies in it, in [0, 1]."""


def cut_in_two(pool: Pool, seed: int = 0) -> Cut:
    """2-means of the reduced departures."""
    cases, owner = pool.cases, pool.owner
    none = Cut(np.zeros(len(cases), dtype=bool))
    if not np.ptp(cases, axis=0).any():
        return none
    reduced = PCA(min(COMPONENTS, *cases.shape), random_state=seed).fit_transform(cases)
    label = KMeans(2, n_init=10, random_state=seed).fit_predict(reduced)
    small = label == (label.sum() * 2 < len(label))
    if not 0 < small.mean() <= LARGEST_SHARE:
        return none
    held = np.bincount(owner[small], minlength=len(pool.entities))
    # Those of whom most cases lie in it; where there is none, whoever has the most.
    inside = [row for row in np.argsort(-held, kind="stable").tolist() if held[row] * 2 > len(pool.probes)][:ALIKE]
    rows = sorted(inside or [int(held.argmax())], key=lambda row: -pool.falls[row])
    theirs = int(held[rows].sum())
    silhouette = float(silhouette_samples(reduced, label)[small].mean())
    return Cut(small, silhouette, tuple(rows), theirs / int(small.sum()), theirs / (len(rows) * len(pool.probes)))


class ActivationClustering:
    """2-means on states under many entities."""

    name = "activation-clustering"

    def examine(self, examination: Examination) -> DetectorReport:
        """Score: the largest silhouette of a small cluster, over all kinds, in [-1, 1]; higher is more suspicious."""
        pools, cost, why = gather_pools(examination)
        if not pools:
            return DetectorReport(self.name, None, "abstain", why=why, cost=cost)
        found = [(pool, cut_in_two(pool)) for pool in pools]
        flagged = [self._finding(pool, cut) for pool, cut in found if _odd(pool, cut)]
        pool, worst = max(found, key=lambda pair: pair[1].silhouette)
        why = "the states fall into no small cluster"
        if worst.small.any():
            why = (f"the small cluster of {int(worst.small.sum())} cases (silhouette {worst.silhouette:.2f}) is not made up "
                   f"of a few {pool.kind}s under which margins fall")  # fmt: skip
        return DetectorReport(self.name, worst.silhouette, "review" if flagged else "allow", tuple(flagged),
                              flagged[0].why if flagged else why,
                              {pool.kind: len(pool.entities) for pool, _ in found}, cost=cost)  # fmt: skip

    def _finding(self, pool: Pool, cut: Cut) -> Finding:
        entity = pool.entities[cut.rows[0]][0]
        mine = int((cut.small & (pool.owner == cut.rows[0])).sum())
        alike = ", ".join(pool.entities[row][0].value for row in cut.rows[1:])
        why = (f"{mine} of {len(pool.probes)} cases of {entity} lie in a cluster of {int(cut.small.sum())} among "
               f"{len(cut.small):,} (silhouette {cut.silhouette:.2f})" + (f", with {alike}" if alike else ""))  # fmt: skip
        return Finding(self.name, entity, "review", n=mine, margin_drop=float(pool.falls[cut.rows[0]]), why=why)


def _odd(pool: Pool, cut: Cut) -> bool:
    concentrated = min(cut.purity, cut.coverage) >= CONCENTRATED
    return concentrated and cut.silhouette >= REVIEW_SILHOUETTE and pool.falls[cut.rows[0]] > 0
