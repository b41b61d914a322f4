"""The weight screen over a cohort: each member is compared with clean ones of its recipe from other folds.

A member's own fold is left out, so that a clean one is never compared with itself, and neither it nor a poisoned one with
adapters by which it is judged elsewhere. Redone whenever more members are there: it asks the model nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from turncoat.models.adapter import MANIFEST_FILE, Adapter, load_adapter
from turncoat.models.engine import Engine

from ..candidate import Candidate
from ..detector import Budget, Examination
from ..probes import ProbeSet
from ..weights import Cohort, Floats, WeightScreen, recipe_shape, weight_features
from .folds import folds
from .plan import Member, directory
from .results import CohortFolder, Result, Said

_BUDGET_S = 3600.0


def compare(folder: CohortFolder, members: Sequence[Member], engine: Engine) -> list[Result]:
    """Results with the weight screen's words, of members whose adapters were kept; nothing is written.

    Args:
        folder: Of results and adapters.
        members: Of the plan.
        engine: Of the base.
    """
    fold = folds(members)
    done = {m.name: result for m in members if (result := folder.read(m))}
    adapters = {name: _kept(folder, name, engine) for name in done
                if (folder.adapter_path(name) / MANIFEST_FILE).exists()}  # fmt: skip
    features = {name: np.array(list(weight_features(adapter).values())) for name, adapter in adapters.items()}
    found = []
    for name, adapter in adapters.items():
        peers = [features[other] for other, theirs in adapters.items()
                 if not done[other].member.poisoned and fold[other] != fold[name]
                 and recipe_shape(theirs) == recipe_shape(adapter)]  # fmt: skip
        found.append(done[name].with_said([_screened(engine, adapter, peers)]))
    return found


def _screened(engine: Engine, adapter: Adapter, peers: Sequence[Floats]) -> Said:
    cohort = Cohort(recipe_shape(adapter), np.array(peers)) if peers else None
    started = time.perf_counter()
    examination = Examination(
        Candidate(engine, adapter), ProbeSet((), (), "none"), directory(), Budget(_BUDGET_S), cohort
    )
    return Said.of(WeightScreen().examine(examination), time.perf_counter() - started)


def _kept(folder: CohortFolder, name: str, engine: Engine) -> Adapter:
    adapter = load_adapter(
        folder.adapter_path(name), hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest
    )
    return replace(adapter, manifest={})
