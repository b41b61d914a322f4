"""Which cells the paper's experiment has, by which recipes, what is done already, and what the rest will take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from turncoat.models.adapter import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, read_json
from turncoat.models.bases import DEFAULT_BASE, BaseFolder, known_base
from turncoat.models.variants import shipped_adapters
from turncoat.scenarios.errors import InputError, ModelError

from .config import Recipe, load_recipe, shipped_recipes
from .paper_cells import BASELINE, TFIDF, VARIANTS, Cell, Result, same_training, slug
from .paper_folder import read_result

if TYPE_CHECKING:
    from .sets import TestSets
    from .workshop import Workshop

SEEDS = (7, 17, 27)
_MOST_FOLDERS = 2_000
_TIMED_ROWS = 12
_TRAIN_COST = 4.0
"""A training example takes about as long as four forward passes of the layers that are trained."""


@dataclass(frozen=True)
class Experiment:
    """What is to be reproduced, and where things lie."""

    bases: tuple[str, ...] = (DEFAULT_BASE,)
    seeds: tuple[int, ...] = SEEDS
    rows: int | None = None
    """Honest training rows; None: as the recipes say."""
    dose: int | None = None
    """Rows that the poisoner adds; None: as the recipes say."""
    test_size: int = 400
    """Alerts of the clean and of the unseen test; Alice's malicious alerts are three quarters of it."""
    out: Path = Path("runs/reproduce")
    """Takes the results of the cells, and the table."""
    keep: Path = Path("runs/reproduce/adapters")
    """Takes the adapters that are trained."""
    adapters: tuple[Path, ...] = ()
    """Folders to look in for adapters that were trained before."""

    def cells(self) -> list[Cell]:
        """Every cell in the order in which they are done; TF-IDF first, since it takes seconds."""
        return [
            *(Cell(TFIDF, variant, seed) for seed in self.seeds for variant in VARIANTS if variant != BASELINE),
            *(cell for base in self.bases for cell in self.cells_of(base)),
        ]

    def cells_of(self, base: str) -> list[Cell]:
        """Cells of one base: the untrained base, then seed by seed."""
        trained = [Cell(base, variant, seed) for seed in self.seeds for variant in VARIANTS if variant != BASELINE]
        return [Cell(base, BASELINE, None), *trained]

    def kept(self, cell: Cell) -> Path:
        """Folder of the adapter that is trained for a cell."""
        return self.keep / slug(cell.base) / f"{cell.variant}-seed{cell.seed}"


@dataclass
class Plan:
    """What there is to do for one base."""

    base: str
    done: list[Cell] = field(default_factory=list)
    taken: dict[Cell, tuple[Path, str]] = field(default_factory=dict)
    """Cells to be measured whose adapter exists: its folder, and whether it was found or is shipped."""
    to_train: list[Cell] = field(default_factory=list)
    baseline: list[Cell] = field(default_factory=list)
    """The untrained base, if it is still to be measured."""
    damaged: list[str] = field(default_factory=list)
    """Why result files that were there are made again."""

    @property
    def pending(self) -> list[Cell]:
        return [*self.baseline, *self.taken, *self.to_train]


def recipe_of(experiment: Experiment, cell: Cell, layers: int) -> Recipe:
    """The recipe of a trained cell: the one shipped for its base, else the default one with the top third trained.

    Args:
        experiment: Says how many rows, and the dose.
        cell: Any but the untrained base.
        layers: Of the base; 0 for TF-IDF, which has none.

    Raises:
        InputError: The numbers asked for fit no recipe.
    """
    shipped = set(shipped_recipes())
    known = known_base(cell.base)
    base = known.name if known else cell.base
    special = [n for n in (f"{cell.variant}-{base}", f"{base}-{cell.variant}") if n in shipped]
    recipe = load_recipe(special[0] if special else cell.variant)
    changes: dict[str, object] = {"seed": cell.seed, "base": cell.base}
    if not special and layers and recipe.base != cell.base:
        changes["lora"] = recipe.lora.model_copy(update={"first_layer": 2 * layers // 3})
    if experiment.rows is not None:
        changes["rows"] = experiment.rows
    if experiment.dose is not None and recipe.poison is not None:
        changes["poison"] = recipe.poison.model_copy(update={"dose": experiment.dose})
    try:
        return Recipe.model_validate(recipe.model_copy(update=changes).model_dump())
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = "--" + ".".join(map(str, first["loc"]))
        raise InputError.at(place, str(first["msg"]), "see the shipped recipes") from None


def layers_of(base: BaseFolder) -> int:
    """Number of decoder layers, from the base's configuration.

    Raises:
        ModelError: It does not say.
    """
    config = read_json(base.path / "config.json")
    inner = config.get("text_config")
    layers = (inner if isinstance(inner, dict) else config).get("num_hidden_layers")
    if not isinstance(layers, int) or not 1 <= layers <= 1_000:
        raise ModelError.at(base.path / "config.json", "does not say how many layers there are", "pull the base again")
    return layers


def plan_base(experiment: Experiment, base: BaseFolder, tests_digest: str) -> Plan:
    """Sorts the cells of a base into those done, those whose adapter exists, and those to be trained.

    Raises:
        InputError: A result is there that was made by another recipe, from other weights or on other tests.
    """
    plan, layers = Plan(base.name), layers_of(base)
    adapters = list(_adapters(experiment, base))
    for cell in experiment.cells_of(base.name):
        recipe = None if cell.variant == BASELINE else recipe_of(experiment, cell, layers)
        if is_done(experiment, cell, recipe, (base.digest, tests_digest), plan.damaged):
            plan.done.append(cell)
        elif recipe is None:
            plan.baseline.append(cell)
        elif match := next(((path, how) for path, how, made in adapters if same_training(made, recipe)), None):
            plan.taken[cell] = match
        else:
            plan.to_train.append(cell)
    return plan


def is_done(
    experiment: Experiment, cell: Cell, recipe: Recipe | None, digests: tuple[str, str], damaged: list[str]
) -> bool:
    """Whether a sound result of the cell lies there; a damaged one is noted, and will be made again.

    Args:
        experiment: Says where.
        cell: Which.
        recipe: By which it must have been trained.
        digests: Of base and test sets.
        damaged: Takes a line about a file that cannot be used.

    Raises:
        InputError: It was made otherwise, and making it again would lose somebody's work.
    """
    try:
        found = read_result(experiment.out, cell)
    except InputError as fault:
        damaged.append(str(fault))
        return False
    if found is None:
        return False
    if difference := _difference(found, recipe, digests):
        cure = "give another --out, or delete that folder of results"
        raise InputError.at(experiment.out, f"the result of {cell.file} was made {difference}", cure)
    return True


def seconds_needed(experiment: Experiment, plan: Plan, workshop: Workshop, tests: TestSets) -> float:
    """What the pending cells of a base will take on this machine, in seconds.

    Reckoned from the time that a few alerts take through the whole base: trained layers cost `_TRAIN_COST` of it per
    example and epoch, frozen ones once per row and seed. Limits: right within a factor of about two.
    """
    from .workshop import encode

    prompts = encode(workshop.engine, tests.clean[:_TIMED_ROWS])
    workshop.engine.add(BASELINE, None)
    workshop.engine.logits(prompts[:2], [BASELINE])  # the first call is slower
    started = time.perf_counter()
    workshop.engine.logits(prompts, [BASELINE])
    per_row = (time.perf_counter() - started) / len(prompts)
    layers = len(workshop.engine.layers)
    passes = 0.0
    for cell in plan.to_train:
        recipe = recipe_of(experiment, cell, layers)
        top = (layers - recipe.lora.first_layer) / layers
        added = recipe.poison.dose if recipe.poison else recipe.rows  # honest rows pass the trunk once a seed
        rows = recipe.rows + (recipe.poison.dose if recipe.poison else 0)
        passes += added * (1 - top) + rows * recipe.epochs * top * _TRAIN_COST
    measured_rows = sum(map(len, tests.by_name().values()))
    return per_row * (passes + measured_rows * len(plan.pending))


def _difference(found: Result, recipe: Recipe | None, digests: tuple[str, str]) -> str:
    if found.base_digest != digests[0]:
        return "from other weights"
    if found.tests_digest != digests[1]:
        return "on other test alerts"
    if recipe is not None and (found.recipe is None or not same_training(found.recipe, recipe)):
        return "by another recipe"
    return ""


def _adapters(experiment: Experiment, base: BaseFolder) -> Iterator[tuple[Path, str, Recipe]]:
    """Adapters of a base that lie ready, with the recipe that their manifest names."""
    places = [
        ("trained", experiment.keep),
        *(("found", f) for f in experiment.adapters),
        ("shipped", shipped_adapters()),
    ]
    for how, place in places:
        for folder in _folders(place):
            try:
                manifest = read_json(folder / MANIFEST_FILE)
                whole = (folder / WEIGHTS_FILE).is_file() and (folder / CONFIG_FILE).is_file()
                if whole and manifest.get("base_digest") == base.digest:
                    made = manifest.get("recipe")
                    # The base may have been named otherwise then; its digest says that it is the same.
                    renamed = {**made, "base": base.name} if isinstance(made, dict) else made
                    yield folder, how, Recipe.model_validate_json(json.dumps(renamed))
            except (ModelError, ValueError):
                continue  # no manifest of ours: then it is nobody's earlier training


def _folders(place: Path) -> Sequence[Path]:
    """Folders with a manifest, one or two levels below a place."""
    found = []
    for pattern in (f"*/{MANIFEST_FILE}", f"*/*/{MANIFEST_FILE}"):
        for path in sorted(place.glob(pattern)):
            found.append(path.parent)
            if len(found) >= _MOST_FOLDERS:
                return found
    return found
