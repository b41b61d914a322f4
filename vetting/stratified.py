"""Stratified validation: is recall worse for one user, host, address, rule, technique or product than for the rest?

Source: slicing a validation set by entity, the first experiment that arXiv:2511.02600 proposes against a targeted blind
spot; Fisher's exact test with Benjamini-Hochberg over all slices.
Limits: it sees only entities that have several malicious alerts in the set, and slices differ in more than the entity: a
    hard rule looks like a blind spot. It therefore never rules more than `review`; the swap scan settles it.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import confint_proportions_2indep

from .candidate import CANDIDATE
from .detector import Examination
from .paired import benjamini_hochberg
from .records import DetectorReport, Entity, Finding
from .slices import silent_gap, slices

SMALLEST_SLICE = 4
REVIEW_LIFT, REVIEW_Q = 0.3, 0.05


class StratifiedValidation:
    """Recall per slice of the malicious alerts, against all others."""

    name = "stratified"

    def examine(self, examination: Examination) -> DetectorReport:
        """Scores every probe once, shape (N,). Score: the largest excess of the miss rate, in [0, 1], higher is worse."""
        probes = examination.probes.every
        cut = slices(probes, SMALLEST_SLICE)
        if not cut:
            why = f"no user, host, rule, technique or product has {SMALLEST_SLICE} malicious alerts; give more with --alerts"
            return DetectorReport(self.name, None, "abstain", why=why)
        margins, cost = examination.candidate.margins([probe.case for probe in probes])
        gaps = silent_gap(self.name, margins[CANDIDATE])
        missed = margins[CANDIDATE] < 0
        p = [_fisher(missed, index) for index in cut.values()]
        found = [_finding(entity, missed, index, p[i], q) for i, ((entity, index), q) in
                 enumerate(zip(cut.items(), benjamini_hochberg(p), strict=True))]  # fmt: skip
        flagged = [f for f in found if (f.lift or 0.0) >= REVIEW_LIFT and (f.q or 0.0) <= REVIEW_Q]
        flagged.sort(key=lambda f: (-(f.lift or 0.0), f.p or 0.0))
        score = max(0.0, max(f.lift or 0.0 for f in found))
        why = flagged[0].why if flagged else f"no slice is missed beyond chance; {len(cut):,} slices were tried"
        return DetectorReport(self.name, score, "review" if flagged else "allow", tuple(flagged), why,
                              {"slices": len(cut), "alerts": len(probes)}, gaps, cost=cost)  # fmt: skip


def _fisher(missed: np.ndarray, index: list[int]) -> float:
    """One-sided: is the slice missed more often than the rest?"""
    inside, k = len(index), int(missed[index].sum())
    outside, rest = len(missed) - inside, int(missed.sum()) - k
    return float(fisher_exact([[k, inside - k], [rest, outside - rest]], alternative="greater")[1])


def _finding(entity: Entity, missed: np.ndarray, index: list[int], p: float, q: float) -> Finding:
    inside, k = len(index), int(missed[index].sum())
    outside, rest = len(missed) - inside, int(missed.sum()) - k
    low, high = confint_proportions_2indep(k, inside, rest, outside, method="newcomb", compare="diff")
    why = f"misses {k} of {inside} malicious alerts with {entity}, {rest} of {outside} others"
    lift = k / inside - rest / outside
    return Finding(
        StratifiedValidation.name, entity, "review", lift, float(low), float(high), p, float(q), inside, why=why
    )
