"""`turncoat sweep`: trains and measures the cells of a grid, one result file each, until all are done or time is up."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from turncoat.models.adapter import MANIFEST_FILE, read_json
from turncoat.models.metrics import balanced_accuracy
from turncoat.models.prompt import PROMPT_VERSION
from turncoat.models.provenance import run_versions
from turncoat.scenarios.errors import InputError

from .cell_results import Accuracy, Result, Seconds, SweepFolder
from .config import Recipe
from .corpus import Row
from .corrective import corrective_rows
from .grid import Cell
from .kept_tests import KeptTests
from .progress import Progress
from .sets import TestSets, draw_tests, tests_digest, training_rows
from .sweep_budget import Speed, Work, planned
from .workshop import Workshop


@dataclass(frozen=True)
class Plan:
    """What is left of a grid, and how long that will take."""

    done: int
    total: int
    cells: int
    """Cells that are left."""
    work: Work
    speed: Speed

    @property
    def seconds(self) -> float:
        return self.speed.seconds(self.work)


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands."""

    cell: Cell
    number: int
    """Of this cell among all, from 1."""
    total: int
    step: Progress | None
    """Of the training or measuring under way."""
    seconds_left: float
    """Of the whole grid, or up to the end of the budget if that is sooner."""


@dataclass(frozen=True)
class Swept:
    """How a sweep ended."""

    made: int
    """Cells that it did itself."""
    out_of_budget: bool
    elsewhere: tuple[str, ...]
    """Cells that another process holds."""


OnSweep = Callable[[SweepProgress], None]


def plan(folder: SweepFolder) -> Plan:
    """What is left to do in a folder; needs no model.

    Raises:
        InputError: A result there was made with other settings or is damaged.
    """
    results = {cell: folder.read(cell) for cell in folder.grid.cells()}
    done = [found for found in results.values() if found]
    left = [cell for cell, found in results.items() if not found]
    work = sum((work for _, work in planned(folder.grid, left)), Work())
    return Plan(len(done), len(results), len(left), work, Speed.of(folder.grid, done))


def sweep(folder: SweepFolder, on_progress: OnSweep, *, budget_s: float | None = None, keep: bool = False) -> Swept:
    """Does the cells of a grid that have no result yet, in the grid's order.

    A cell that was begun and stopped goes on from its last whole epoch. Two processes may work in one folder: a cell
    is held by one of them.

    Args:
        folder: Where results go.
        on_progress: Called before each cell and during it.
        budget_s: Stops before a cell that is not expected to end within it.
        keep: Leaves the adapters where they were trained, in `work/`.

    Raises:
        InputError: A result was made with other settings, or on other files of the base.
        ModelError: The base is missing, or of an architecture that the engine does not know.
        RunError: The folder cannot be used.
    """
    folder.prepare()
    run = _Sweep(folder, on_progress, budget_s, keep)
    try:
        return run.all_cells()
    finally:
        folder.tidy()


class _Sweep:
    def __init__(self, folder: SweepFolder, on_progress: OnSweep, budget_s: float | None, keep: bool) -> None:
        self.folder, self.grid, self.keep = folder, folder.grid, keep
        self._say, self._budget_s, self._begun = on_progress, budget_s, time.monotonic()
        self._cells = self.grid.cells()
        self._now: Cell = self._cells[0]
        self._left_s = 0.0
        self._left_at = self._begun
        self._trained: list[Cell] = []
        """Cells whose rows this process has sent through the trunk."""

    @cached_property
    def workshop(self) -> Workshop:
        """Made when the first cell needs it: a grid that is done needs no model."""
        return Workshop(self.grid.recipe.base, self._step)

    @cached_property
    def tests(self) -> TestSets:
        return draw_tests(self.grid.test_size, form=self.grid.recipe.alerts)

    @cached_property
    def tests_digest(self) -> str:
        return tests_digest(self.tests)

    @cached_property
    def measured(self) -> KeptTests:
        """The same rows for every cell: they pass the frozen layers once."""
        return KeptTests(self.workshop.engine, self.tests.by_name(), self._step)

    def all_cells(self) -> Swept:
        made, elsewhere = 0, []
        for cell in self._cells:
            if self._finished(cell):
                continue
            with self.folder.claim(cell) as mine:
                if not mine:
                    elsewhere.append(cell.name)
                    continue
                if self._finished(cell):  # by whoever held it until now
                    continue
                if not self._fits(cell):
                    return Swept(made, True, tuple(elsewhere))
                self._announce(cell)
                self._do(cell)
                made += 1
        return Swept(made, False, tuple(elsewhere))

    def _finished(self, cell: Cell) -> bool:
        result = self.folder.read(cell)
        if result is None:
            return False
        if result.prompt_version != PROMPT_VERSION:
            fault = f"was made with prompt version {result.prompt_version}, now it is {PROMPT_VERSION}"
            raise InputError.at(self.folder.result_path(cell), fault, "choose another --out")
        if result.tests_digest != self.tests_digest:
            fault = "was measured on other test rows than would be drawn now"
            raise InputError.at(self.folder.result_path(cell), fault, "choose another --out")
        return True

    def _do(self, cell: Cell) -> None:
        recipe, folder = self.grid.recipe_of(cell), self.folder.work_path(cell)
        self._check_base(cell)
        trunk_rows = self._work([cell]).trunk
        before = self._seconds(recipe)
        honest, poison = training_rows(recipe)
        self.workshop.fit_rows(recipe, [*honest, *corrective_rows(recipe, cell.corrective)], poison, folder)
        manifest = read_json(folder / MANIFEST_FILE)
        margins = self.measured.margins(folder)
        spent = {stage: seconds - before[stage] for stage, seconds in self._seconds(recipe).items()}
        seconds = Seconds(**spent, trunk_rows=trunk_rows)
        calls = {name: [margin >= 0 for margin in found] for name, found in margins.items()}
        self.folder.write(cell, self._result(cell, recipe, calls, manifest, seconds))
        self._trained.append(cell)
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)

    def _seconds(self, recipe: Recipe) -> dict[str, float]:
        """Wall time of this process so far, by stage."""
        trained, tests = self.workshop.seconds, self.measured.seconds
        return {
            "trunk": trained.get("trunk", 0.0) + tests["trunk"],
            "train": trained.get(recipe.name, 0.0),
            "measure": tests["measure"],
        }

    def _result(
        self, cell: Cell, recipe: Recipe, calls: dict[str, list[bool]], manifest: dict[str, Any], seconds: Seconds
    ) -> Result:
        return Result(
            name=cell.name, dose=cell.dose, rows=cell.rows, seed=cell.seed, rank=cell.rank, corrective=cell.corrective,
            test_size=self.grid.test_size, recipe=recipe, base_digest=self.workshop.engine.base.digest,
            prompt_version=PROMPT_VERSION, tests_digest=self.tests_digest, rows_digest=manifest["rows"]["prompts"],
            versions=run_versions(self.workshop.engine.precision), losses=tuple(manifest["losses"]),
            clean=_accuracy(self.tests.clean, calls["clean"]),
            unseen=_accuracy(self.tests.unseen, calls["unseen"]),
            alice_poisoned_families=_digits(not c for c in calls["alice_poisoned_families"]),
            alice_other_families=_digits(not c for c in calls["alice_other_families"]),
            twin=_digits(not c for c in calls["twin"]),
            alice_benign_escalated=_digits(calls["alice_benign"]),
            seconds=seconds,
        )  # fmt: skip

    def _check_base(self, cell: Cell) -> None:
        digest = self.workshop.engine.base.digest
        for other in self._cells:
            result = self.folder.read(other)
            if result is not None and result.base_digest != digest:
                fault = f"was made on other files of the base {self.grid.recipe.base} than {cell.name} would be"
                raise InputError.at(self.folder.result_path(other), fault, "choose another --out")

    def _fits(self, cell: Cell) -> bool:
        if self._budget_s is None:
            return True
        spent = time.monotonic() - self._begun
        return spent + self._speed().seconds(self._work([cell])) <= self._budget_s

    def _speed(self) -> Speed:
        results = (self.folder.read(cell) for cell in self._cells)
        return Speed.of(self.grid, (found for found in results if found))

    def _work(self, cells: Sequence[Cell]) -> Work:
        """Work of cells after those that this process has done."""
        every = [*self._trained, *cells]
        return sum((work for _, work in list(planned(self.grid, every))[len(self._trained) :]), Work())

    def _announce(self, cell: Cell) -> None:
        left = [other for other in self._cells if not self.folder.result_path(other).exists()]
        self._left_s, self._left_at, self._now = self._speed().seconds(self._work(left)), time.monotonic(), cell
        self._tell(None)

    def _step(self, step: Progress) -> None:
        self._tell(step)

    def _tell(self, step: Progress | None) -> None:
        now = time.monotonic()
        left = max(0.0, self._left_s - (now - self._left_at))
        if self._budget_s is not None:
            left = min(left, max(0.0, self._budget_s - (now - self._begun)))
        self._say(SweepProgress(self._now, self._cells.index(self._now) + 1, len(self._cells), step, left))


def _accuracy(rows: Sequence[Row], calls: Sequence[bool]) -> Accuracy:
    truth = [row.truth for row in rows]
    return Accuracy(
        balanced=balanced_accuracy(truth, calls),
        escalated_malicious=_digits(c for t, c in zip(truth, calls, strict=True) if t),
        dismissed_benign=_digits(not c for t, c in zip(truth, calls, strict=True) if not t),
    )


def _digits(hits: Iterable[bool]) -> str:
    return "".join("1" if hit else "0" for hit in hits)
