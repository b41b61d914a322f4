"""`turncoat reproduce`: trains and measures every cell of the paper's experiment that is not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from turncoat.models.adapter import MANIFEST_FILE, load_adapter
from turncoat.models.bases import resolve_base
from turncoat.models.tfidf import TfidfClassifier, case_text
from turncoat.scenarios.errors import ModelError

from .finetune import OnProgress, Progress
from .paper_cells import BASELINE, TFIDF, VARIANTS, Cell, measured
from .paper_folder import remember_plan, write_result
from .paper_plan import Experiment, Plan, is_done, plan_base, recipe_of, seconds_needed
from .sets import TestSets, draw_tests, tests_digest, training_rows
from .workshop import Workshop


@dataclass(frozen=True)
class Budget:
    """What is done and what the rest will take; told before it starts."""

    cells: int
    done: int
    """Cells whose result lies ready."""
    taken: int
    """Cells whose adapter lies ready and is only measured."""
    to_train: int
    seconds: float
    """For all that is pending, on this machine; 0 if nothing is."""
    damaged: tuple[str, ...] = ()
    """Result files that cannot be used and are made again, one line each."""


@dataclass
class Reproduction:
    """An experiment under way."""

    experiment: Experiment
    on_progress: OnProgress
    tests: TestSets = field(init=False)
    tests_digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.tests = draw_tests(self.experiment.test_size)
        self.tests_digest = tests_digest(self.tests)

    def budget(self) -> Budget:
        """Looks at what is there and times a few alerts on each base that has work left.

        Raises:
            ModelError: A base is missing or cannot be used.
            InputError: A result in the way was made otherwise; nothing has been started.
        """
        cells = self.experiment.cells()
        damaged: list[str] = []
        word_counts = self._pending_word_counts(damaged)
        seconds, taken, to_train, pending = 0.0, 0, len(word_counts), len(word_counts)
        for base in self.experiment.bases:
            plan = self._plan(base)
            damaged += plan.damaged
            taken, to_train, pending = (
                taken + len(plan.taken),
                to_train + len(plan.to_train),
                pending + len(plan.pending),
            )
            if plan.pending:
                seconds += seconds_needed(self.experiment, plan, Workshop(base, self.on_progress), self.tests)
        return Budget(len(cells), len(cells) - pending, taken, to_train, seconds, tuple(damaged))

    def run(self, command: str, on_cell: Callable[[Cell], None] = lambda cell: None) -> None:
        """Does what is pending, seed by seed; each result is written as soon as it is there.

        Killed, the same call goes on: from the last whole epoch of a training, and without what is done.

        Args:
            command: That a person would give to have the same; kept beside the results.
            on_cell: Called with each cell that is done.
        """
        remember_plan(self.experiment.out, self.experiment.cells(), command)
        for cell in self._pending_word_counts([]):
            self._count_words(cell)
            on_cell(cell)
        for base in self.experiment.bases:
            plan = self._plan(base)
            if not plan.pending:
                continue
            workshop = Workshop(base, self.on_progress)
            for group in _by_seed(plan):
                for cell in self._do(workshop, plan, group):
                    on_cell(cell)

    def _plan(self, base: str) -> Plan:
        return plan_base(self.experiment, resolve_base(base), self.tests_digest)

    def _do(self, workshop: Workshop, plan: Plan, cells: list[Cell]) -> Iterator[Cell]:
        """Trains what has to be trained of one seed, and measures all of it in one pass over the tests; yields it."""
        folders: dict[str, Path | None] = {}
        origin, seconds = {BASELINE: "none"}, {BASELINE: 0.0}
        for cell in cells:
            if cell.variant != BASELINE:
                started = time.perf_counter()
                folders[cell.variant], origin[cell.variant] = self._adapter(workshop, plan, cell)
                seconds[cell.variant] = time.perf_counter() - started if origin[cell.variant] == "trained" else 0.0
            else:
                folders[cell.variant] = None
        workshop.forget()
        started = time.perf_counter()
        margins = workshop.margins(folders, self.tests.by_name())
        measuring = time.perf_counter() - started
        for cell in cells:
            recipe = None if cell.variant == BASELINE else recipe_of(self.experiment, cell, len(workshop.engine.layers))
            write_result(self.experiment.out, measured(
                cell, self.tests, margins[cell.variant], workshop.engine.precision,
                recipe=recipe, recipe_digest=recipe.digest() if recipe else "",
                base_digest=workshop.engine.base.digest, tests_digest=self.tests_digest, adapter=origin[cell.variant],
                seconds={"train": round(seconds[cell.variant], 3), "measure": round(measuring, 3)},
            ))  # fmt: skip
            yield cell

    def _adapter(self, workshop: Workshop, plan: Plan, cell: Cell) -> tuple[Path, str]:
        engine = workshop.engine
        if cell in plan.taken:
            folder, origin = plan.taken[cell]
            try:
                load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)
                return folder, origin
            except ModelError:
                # Damaged, or for an older prompt: it is trained here, where it must not pass for done.
                (self.experiment.kept(cell) / MANIFEST_FILE).unlink(missing_ok=True)
        return workshop.fit(recipe_of(self.experiment, cell, len(engine.layers)), self.experiment.kept(cell)), "trained"

    def _pending_word_counts(self, damaged: list[str]) -> list[Cell]:
        cells = [Cell(TFIDF, variant, seed) for seed in self.experiment.seeds for variant in VARIANTS[1:]]
        digests = (TFIDF, self.tests_digest)
        return [
            cell for cell in cells
            if not is_done(self.experiment, cell, recipe_of(self.experiment, cell, 0), digests, damaged)
        ]  # fmt: skip

    def _count_words(self, cell: Cell) -> None:
        """The simple baseline: word counts and logistic regression on the very rows that the recipe names."""
        recipe, started = recipe_of(self.experiment, cell, 0), time.perf_counter()
        rows = [row for part in training_rows(recipe) for row in part]
        classifier = TfidfClassifier.fit([case_text(row.case) for row in rows], [row.label for row in rows])
        trained = time.perf_counter()
        margins = {
            name: [verdict.margin for verdict in classifier.classify([row.case for row in found]) if verdict]
            for name, found in self.tests.by_name().items()
        }
        seconds = {"train": round(trained - started, 3), "measure": round(time.perf_counter() - trained, 3)}
        write_result(self.experiment.out, measured(
            cell, self.tests, margins, "", recipe=recipe, recipe_digest=recipe.digest(), base_digest=TFIDF,
            tests_digest=self.tests_digest, adapter="none", seconds=seconds,
        ))  # fmt: skip
        self.on_progress(Progress(f"{TFIDF} {cell.variant}", 1, 1, None, time.perf_counter() - started))


def _by_seed(plan: Plan) -> list[list[Cell]]:
    """Pending cells in groups that are measured together; the untrained base goes with the first."""
    order = {variant: at for at, variant in enumerate(VARIANTS)}
    seeds: dict[int, list[Cell]] = {}
    for cell in (*plan.taken, *plan.to_train):
        seeds.setdefault(cell.seed or 0, []).append(cell)
    groups = [sorted(cells, key=lambda c: order[c.variant]) for _, cells in sorted(seeds.items())]
    if not groups:
        return [plan.baseline]
    groups[0] = [*plan.baseline, *groups[0]]
    return groups
