"""Weight screen: do the low-rank products look like those of clean adapters of the same recipe?

Source: norms and singular values of LoRA products as features, arXiv:2602.15195 (97 % there, against recipe-matched clean
adapters only).
Limits: the published failures on other bases (arXiv:2605.30189: AUC .444 to 1.000) are why it never rules more than
    `review` and abstains without a clean cohort of the same recipe. It names no entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from turncoat.models.adapter import Adapter

from .records import DetectorReport, Finding

if TYPE_CHECKING:
    from .detector import Examination

SMALLEST_COHORT = 8
_STRONGEST = 10
"""Features whose deviations make the score."""
REVIEW_SCORE = 4.0
"""Robust standard deviations, beyond what the cohort's own members reach against the others."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cohort:
    """Features of clean adapters of one recipe."""

    shape: tuple[int, float, int]
    """Rank, alpha, first layer."""
    features: Floats
    """(adapters, features), in the order of `weight_features`."""


def weight_features(adapter: Adapter) -> dict[str, float]:
    """Per projection: log Frobenius norm, log largest singular value and effective rank of scale * B A.

    Effective rank is exp of the entropy of the squared singular values' shares, in [1, r] (Roy and Vetterli 2007).
    """
    found = {}
    for name, (a, b) in sorted(adapter.factors.items()):
        # The r x r product of the two triangular factors has the singular values of B A.
        product = torch.linalg.qr(b.double()).R @ torch.linalg.qr(a.double().T).R.T
        values = torch.linalg.svdvals(product * adapter.shape.scale).clamp_min(1e-12)
        share = values.square() / values.square().sum()
        found[f"{name}.norm"] = float(values.square().sum().sqrt().log())
        found[f"{name}.top"] = float(values[0].log())
        found[f"{name}.rank"] = float(torch.exp(-(share * share.log()).sum()))
    return found


def cohort_of(adapters: Sequence[Adapter]) -> Cohort:
    """The cohort of clean adapters.

    Raises:
        ValueError: None, or adapters of different shapes.
    """
    if not adapters or len({recipe_shape(a) for a in adapters}) != 1:
        raise ValueError("a cohort needs adapters of one shape")
    return Cohort(recipe_shape(adapters[0]), np.array([list(weight_features(a).values()) for a in adapters]))


def deviation(features: Floats, cohort: Floats) -> float:
    """Mean of the strongest robust deviations from a cohort, >= 0, higher is odder.

    Args:
        features: One adapter, shape (F,).
        cohort: Clean adapters, shape (K, F).
    """
    centre = np.median(cohort, axis=0)
    spread = 1.4826 * np.median(np.abs(cohort - centre), axis=0) + 1e-6
    strongest = np.sort(np.abs(features - centre) / spread)[-_STRONGEST:]
    return float(strongest.mean())


class WeightScreen:
    """Singular values and norms against a clean cohort."""

    name = "weights"

    def examine(self, examination: Examination) -> DetectorReport:
        """Score: `deviation` over the median that cohort members reach against the others; higher is more suspicious."""
        adapter, cohort = examination.candidate.adapter, examination.cohort
        if adapter is None:
            return DetectorReport(self.name, None, "abstain", why="a merged model has no low-rank factors to look at")
        if cohort is None or len(cohort.features) < SMALLEST_COHORT:
            why = f"needs at least {SMALLEST_COHORT} clean adapters of the same recipe (--cohort)"
            return DetectorReport(self.name, None, "abstain", why=why)
        features = np.array(list(weight_features(adapter).values()))
        if recipe_shape(adapter) != cohort.shape or features.shape != cohort.features.shape[1:]:
            return DetectorReport(
                self.name, None, "abstain", why="the cohort is of another recipe (rank, alpha or layers differ)"
            )
        others = [deviation(f, np.delete(cohort.features, i, axis=0)) for i, f in enumerate(cohort.features)]
        score = deviation(features, cohort.features) / max(float(np.median(others)), 1e-6)
        odd = score >= max(REVIEW_SCORE, 1.2 * max(others) / max(float(np.median(others)), 1e-6))
        why = f"deviates {score:.1f} times as far as clean adapters of its recipe do ({len(others)} compared)"
        findings = (Finding(self.name, None, "review", why=why),) if odd else ()
        return DetectorReport(self.name, score, "review" if odd else "allow", findings, why, {"cohort": len(others)})


def recipe_shape(adapter: Adapter) -> tuple[int, float, int]:
    """Rank, alpha and first layer: what adapters of one recipe have in common."""
    return adapter.shape.rank, float(adapter.shape.alpha), adapter.shape.first_layer
