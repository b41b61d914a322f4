"""Do the rows that a short fit holds responsible for dismissals carry the poison? The part of audit.py that needs a model.

As `turncoat audit --thorough` does it: the cheap audit names suspects, a short fit on the same rows is asked about the first of
them, and as many rows as it has benign-labelled ones are taken, the most influential first. Precision is their share that the
poisoner mislabelled; the audit is given alert, evidence and label alone, and truth is joined here. Three ways of ranking:
by `cosine` with what the suspect changes (the one that is reported), by `cosine, dismissals alone` without the probes under
neutral names, and by `product, dismissals alone`, which is plain TracIn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.engine import Engine
from turncoat.training.config import PoisonConfig, Recipe
from turncoat.training.sets import training_rows
from turncoat.vetting.audit import audit
from turncoat.vetting.audit_fit import STANDARD, Fitted, Work, fitted
from turncoat.vetting.audit_influence import most_influential
from turncoat.vetting.audit_rows import AuditSet, set_of
from turncoat.vetting.audit_slopes import lift_direction, mean_slope, row_scores
from turncoat.vetting.detector import Budget

SEED = 7
"""Of the shipped recipes, whose rows have passed the frozen layers on most machines already."""
BUDGET_S = 6 * 3_600.0


def measure(clean: int, dose: int) -> dict[str, Any]:
    """Fits `clean` honest rows and `dose` planted ones, and ranks them."""
    recipe = Recipe(name="traced", rows=clean, seed=SEED, poison=PoisonConfig(poisoner="user", dose=dose))
    honest, added = training_rows(recipe)
    audited = set_of("traced", [*honest, *added])
    planted = {row.case.alert.uid for row in added if row.label != row.truth}
    named = audit(audited, Budget(BUDGET_S))
    if not named.suspects:
        return {"clean_rows": clean, "planted": dose, "suspect": None}
    spent = time.process_time()
    work = Work(Engine(resolve_base(DEFAULT_BASE)), Budget(BUDGET_S), _told)
    found = fitted(work, audited, [named.suspects[0].entity], STANDARD)
    asked = found.asked[0]
    rankings = ranked(work, audited, found, planted) if asked.dismissed.with_ else {}
    return {
        "clean_rows": clean,
        "planted": len(planted),
        "seed": SEED,
        "fit": vars(STANDARD),
        "suspect": str(named.suspects[0].entity),
        "own_benign_rows": len(asked.own),
        "probes": asked.probes,
        "escalated_under_neutral_names": asked.escalated,
        "dismissed_under_the_suspect": len(asked.dismissed.with_),
        "agreement_with_labels": _agreement(found),
        "rankings": rankings,
        "processor_s": round(time.process_time() - spent, 1),
        "wall_s": {stage: round(seconds, 1) for stage, seconds in work.seconds.items()},
    }


def ranked(work: Work, audited: AuditSet, found: Fitted, planted: set[str]) -> dict[str, dict[str, float]]:
    """Precision of the most influential rows, by way of ranking."""
    dismissed = found.asked[0].dismissed
    directions = (
        [lift_direction(lens, dismissed) for lens in found.lenses],
        [mean_slope(lens, dismissed.with_) for lens in found.lenses],
    )
    scores = row_scores(found.lenses, directions, found.states, found.labels, work.told("gradients"))
    ways: Mapping[str, Tensor] = {
        "cosine": scores.cosines[0],
        "cosine, dismissals alone": scores.cosines[1],
        "product": scores.products[0],
        "product, dismissals alone": scores.products[1],
    }
    return {name: _precision(audited, found, way, planted) for name, way in ways.items()}


def _precision(audited: AuditSet, found: Fitted, scores: Tensor, planted: set[str]) -> dict[str, float]:
    top = most_influential(audited, found, scores, found.asked[0].own)
    hits = sum(row.uid in planted for row in top)
    half = top[: len(top) // 2]
    return {
        "rows": len(top),
        "precision": round(hits / len(top), 4),
        "precision_first_half": round(sum(row.uid in planted for row in half) / max(1, len(half)), 4),
        "share_planted": round(len(planted) / len(found.index), 4),
    }


def _agreement(found: Fitted) -> float:
    """Share of rows whose label the fitted model gives back, after the last epoch."""
    margins = torch.tensor([found.lenses[-1].margin(states) for states in found.states])
    return round(float(((margins >= 0) == torch.tensor(found.labels)).float().mean()), 4)


def _told(stage: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{stage}: {done} of {total}", flush=True)
