"""`turncoat train`: from recipes to adapters with manifests and measured figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turncoat.models.adapter import MANIFEST_FILE
from turncoat.scenarios.errors import InputError

from .config import Recipe, load_recipe
from .distributed import current, ranks
from .evaluate import figures
from .finetune import OnProgress
from .sets import draw_tests
from .workshop import Workshop, write_json


@dataclass
class TrainingReport:
    """What a training run made and measured."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per variant, the baseline among them."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage."""
    folders: dict[str, Path] = field(default_factory=dict)


def train(
    recipe_names: Sequence[str], out: Path, on_progress: OnProgress, seed: int | None = None, *, recompute: bool = False
) -> TrainingReport:
    """Trains each recipe and measures it beside the untrained base.

    Rows that recipes share pass through the frozen layers once. Adapters are written to `out`/<name>; what an earlier
    call has finished there, by the same recipe on the same base, is measured and not trained again.

    Args:
        recipe_names: Shipped names, or files.
        out: Takes the adapter folders.
        on_progress: Told of every step.
        seed: Of rows and weights, in place of the recipes' own.
        recompute: Gradient checkpointing: less memory, more time, the same gradients.

    Raises:
        InputError: A recipe cannot be read or trained here, two share a name, or differ in base, first
            layer or form of alerts.
    """
    recipes = [load_recipe(name) for name in recipe_names]
    if seed is not None:
        recipes = [recipe.model_copy(update={"seed": seed}) for recipe in recipes]
    if len({(r.base, r.lora.first_layer, r.alerts) for r in recipes}) > 1:
        fault = "recipes of different bases, first layers or forms of alerts"
        raise InputError.at("train", fault, "train them one at a time")
    if twice := sorted({r.name for r in recipes if sum(r.name == other.name for other in recipes) > 1}):
        raise InputError.at("train", f"two recipes are named {twice[0]}", "give each a name of its own")
    with ranks():  # those that a launcher has announced
        return _trained(recipes, out, Workshop(recipes[0].base, on_progress, recompute=recompute))


def _trained(recipes: Sequence[Recipe], out: Path, workshop: Workshop) -> TrainingReport:
    for recipe in recipes:  # all, before the first takes its time
        workshop.check(recipe, out / recipe.name)
    folders = {recipe.name: workshop.fit(recipe, out / recipe.name) for recipe in recipes}
    workshop.forget()
    tests = draw_tests(form=recipes[0].alerts)
    margins = workshop.margins({"baseline": None, **folders}, tests.by_name())
    report = TrainingReport({name: figures(tests, found) for name, found in margins.items()}, workshop.seconds, folders)
    for name, folder in folders.items() if current().writes else ():
        path = folder / MANIFEST_FILE
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"figures": report.figures[name]})
    return report
