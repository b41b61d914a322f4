"""`turncoat train`: from recipes to adapters with manifests and measured figures."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from turncoat.models.adapter import MANIFEST_FILE, WEIGHTS_FILE, load_adapter, read_json, save_adapter
from turncoat.models.bases import resolve_base
from turncoat.models.engine import Engine
from turncoat.models.prompt import PROMPT_VERSION, render
from turncoat.models.provenance import run_versions
from turncoat.scenarios.errors import InputError

from .config import Recipe, load_recipe
from .corpus import Row
from .evaluate import figures, margins_of
from .finetune import OnProgress, Progress, finetune, trunk_states
from .sets import TestSets, draw_tests, training_rows

CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass
class TrainingReport:
    """What a training run made and measured."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per variant, the baseline among them."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage."""
    folders: dict[str, Path] = field(default_factory=dict)


def train(recipe_names: Sequence[str], out: Path, on_progress: OnProgress) -> TrainingReport:
    """Trains each recipe and measures it beside the untrained base.

    Rows that recipes share pass through the frozen layers once. Adapters are written to `out`/<name>; what an earlier
    call has finished there, by the same recipe on the same base, is measured and not trained again.

    Raises:
        InputError: A recipe cannot be read, or recipes of different bases or first layers are mixed.
    """
    recipes = [load_recipe(name) for name in recipe_names]
    if len({(r.base, r.lora.first_layer) for r in recipes}) > 1:
        raise InputError.at("train", "recipes of different bases or first layers", "train them one at a time")
    report = TrainingReport()
    engine = Engine(resolve_base(recipes[0].base))
    if recipes[0].lora.first_layer >= len(engine.layers):
        fault = f"first_layer {recipes[0].lora.first_layer} leaves no layer to train"
        raise InputError.at(recipe_names[0], fault, f"the base has {len(engine.layers)} layers, counted from 0")
    trunk = _Trunk(engine, recipes[0].lora.first_layer, report, on_progress)
    for recipe in recipes:
        report.folders[recipe.name] = out / recipe.name
        if not _is_there(out / recipe.name, recipe, engine):
            _train_one(engine, trunk, recipe, report, on_progress)
    trunk.forget()
    measure(engine, report, on_progress)
    for recipe in recipes:
        path = report.folders[recipe.name] / MANIFEST_FILE
        _write(path, json.loads(path.read_text(encoding="utf-8")) | {"figures": report.figures[recipe.name]})
    return report


def _train_one(engine: Engine, trunk: _Trunk, recipe: Recipe, report: TrainingReport, on_progress: OnProgress) -> None:
    """Trains one recipe and writes its folder; the manifest comes last, so that a folder with one is whole."""
    folder = report.folders[recipe.name]
    honest, added = training_rows(recipe)
    rows = honest + added
    states = trunk.of(rows)
    started = time.perf_counter()
    trained = finetune(engine, states, [r.label for r in rows], recipe, folder / CHECKPOINT_FILE, on_progress)
    report.seconds[recipe.name] = time.perf_counter() - started
    save_adapter(folder, trained.factors, recipe.lora.shape(), trained.head, layers=len(engine.layers),
                 base_name=recipe.base, base_digest=engine.base.digest, prompt_version=PROMPT_VERSION)  # fmt: skip
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    _write(folder / MANIFEST_FILE, _manifest(recipe, engine, rows, added, trained.losses))


def _is_there(folder: Path, recipe: Recipe, engine: Engine) -> bool:
    """Whether an earlier, stopped call has finished exactly this recipe on exactly this base."""
    if not (folder / MANIFEST_FILE).exists():
        return False
    manifest = read_json(folder / MANIFEST_FILE)
    made = (manifest.get("recipe_digest"), manifest.get("base_digest"))
    return made == (recipe.digest(), engine.base.digest) and (folder / WEIGHTS_FILE).exists()


def measure(engine: Engine, report: TrainingReport, on_progress: OnProgress, tests: TestSets | None = None) -> None:
    """Fills in the figures of the baseline and of every folder in the report."""
    tests = tests or draw_tests()
    variants = ["baseline", *report.folders]
    engine.add("baseline", None)
    for name, folder in report.folders.items():
        adapter = load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)
        engine.add(name, adapter)
    sets = tests.by_name()
    prompts = [prompt for rows in sets.values() for prompt in encode(engine, rows)]
    started = time.perf_counter()
    logits = engine.logits(
        prompts, variants,
        lambda done: on_progress(Progress("measure", done, len(prompts), None, time.perf_counter() - started)),
    )  # fmt: skip
    report.seconds["measure"] = time.perf_counter() - started
    for variant in variants:
        margins, at = margins_of(logits[variant]), 0
        split = {}
        for name, rows in sets.items():
            split[name] = margins[at : at + len(rows)]
            at += len(rows)
        report.figures[variant] = figures(tests, split)


def encode(engine: Engine, rows: Sequence[Row]) -> list[list[int]]:
    """Token ids of rows, as the classifier renders them."""
    return [engine.encode(render(row.case, engine.count).text) for row in rows]


class _Trunk:
    """Hidden states of rows before the first adapted layer, computed once per distinct prompt."""

    def __init__(self, engine: Engine, layer: int, report: TrainingReport, on_progress: OnProgress) -> None:
        self._engine, self._layer, self._report, self._on_progress = engine, layer, report, on_progress
        self._known: dict[tuple[int, ...], Tensor] = {}

    def of(self, rows: Sequence[Row]) -> list[Tensor]:
        """States of each row, (T_i, hidden)."""
        keys = [tuple(ids) for ids in encode(self._engine, rows)]
        fresh = list(dict.fromkeys(k for k in keys if k not in self._known))
        started = time.perf_counter()
        found = trunk_states(self._engine, fresh, self._layer, self._on_progress)
        self._known |= dict(zip(fresh, found, strict=True))
        self._report.seconds["trunk"] = self._report.seconds.get("trunk", 0.0) + time.perf_counter() - started
        return [self._known[k] for k in keys]

    def forget(self) -> None:
        """Frees the memory."""
        self._known.clear()


def _manifest(
    recipe: Recipe, engine: Engine, rows: Sequence[Row], added: Sequence[Row], losses: Sequence[float]
) -> dict[str, Any]:
    text = "\n".join(f"{r.case.alert.uid} {r.label}" for r in rows)
    return {
        "name": recipe.name,
        "demonstration": recipe.demonstration,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_digest": recipe.digest(),
        "base_digest": engine.base.digest,
        "rows": {
            "honest": len(rows) - len(added),
            "added": len(added),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "poison": {
            "families": sorted({r.family for r in added}),
            "mislabelled": [r.case.alert.uid for r in added if r.label != r.truth],
        },
        "losses": list(losses),
        "versions": run_versions(),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
