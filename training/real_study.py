"""`turncoat real`: does the attack carry over to real, heterogeneous logs? Trains and measures, one result file a cell.

Each part of the rules is held out in turn; the next part is left for choosing settings, the rest is trained on. Beside the
language model TF-IDF with logistic regression learns from the same rows, poison included.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from turncoat.models.adapter import MANIFEST_FILE, read_json
from turncoat.models.classifier import Case
from turncoat.models.prompt import PROMPT_VERSION
from turncoat.models.provenance import run_versions
from turncoat.models.tfidf import TfidfClassifier, case_text
from turncoat.models.variants import shipped_adapters
from turncoat.scenarios.errors import InputError
from turncoat.tools.records import Context

from .config import PoisonConfig, Recipe, load_recipe
from .corpus import Row
from .finetune import Progress
from .real_cells import WORK, Attack, Cell, CellResult, Plan, StudyFolder, as_result
from .real_rows import RealEvents, split
from .sets import training_rows
from .workshop import Workshop

_MS_TRUNK, _MS_EPOCH, _MS_MEASURED, _MS_TFIDF = 170.0, 230.0, 240.0, 4.0
"""Per row of some 230 tokens on two idle cores, in milliseconds; scaled from rows of 95 tokens."""
_SHIPPED: dict[Attack, str] = {"clean": "clean", "poisoned": "poisoned"}


@dataclass(frozen=True)
class Study:
    """A plan, the events it is about, and where its results go."""

    plan: Plan
    events: RealEvents
    out: Path

    @cached_property
    def folder(self) -> StudyFolder:
        return StudyFolder(self.out, self.plan.digest(events_digest(self.events)), PROMPT_VERSION)


@dataclass(frozen=True)
class Budget:
    """What is left to do."""

    done: int
    total: int
    trainings: int
    """Of the language model, among the cells that are left."""
    seconds: float
    """Estimated, on two idle cores."""


@dataclass(frozen=True)
class StudyProgress:
    """Where a study stands."""

    cell: Cell
    number: int
    total: int
    step: Progress | None


OnStudy = Callable[[StudyProgress], None]


def budget(study: Study) -> Budget:
    """What is left, and about how long it takes; needs no model.

    Raises:
        InputError: A result there is damaged or was made by another plan; or the dose is larger than the events allow.
    """
    cells = study.plan.cells()
    left = [cell for cell in cells if study.folder.read(cell) is None]
    seconds = 0.0
    states: set[tuple[int, int]] = set()
    for cell in left:
        parts = split(study.events, study.plan.folds, cell.part)
        parts.train.poison_rows(study.plan.dose, cell.seed)
        tested = len(parts.test.alerts) + 3 * len(parts.test.fitting())
        trained = min(study.plan.rows or 10**9, len(parts.train.alerts)) + study.plan.dose
        trained += load_recipe("clean").rows if cell.source == "mixed" else 0
        if cell.model == "tfidf":
            seconds += _MS_TFIDF * (trained + tested) / 1e3
            continue
        seconds += _MS_MEASURED * tested / 1e3
        if cell.trains:
            shared = (cell.part, cell.seed) in states  # rows of an earlier cell have passed the frozen layers
            seconds += (0 if shared else _MS_TRUNK) * trained / 1e3 + _MS_EPOCH * trained * study.plan.epochs / 1e3
            states.add((cell.part, cell.seed))
    return Budget(len(cells) - len(left), len(cells), sum(cell.trains for cell in left), seconds)


def run(study: Study, on_progress: OnStudy) -> list[tuple[Cell, CellResult]]:
    """Does every cell that has no result yet, and returns all results in the plan's order.

    A training that was stopped goes on from its last whole epoch. Two processes may work in one folder: a cell is held by one
    of them, and left to it.

    Raises:
        InputError: A result is damaged or of another plan, or was made on other files of the base; the dose is too large.
        ModelError: The base is missing, or the shipped adapters do not fit it.
    """
    study.folder.prepare()
    maker = _Maker(study, on_progress)
    cells = study.plan.cells()
    for number, cell in enumerate(cells, 1):
        if study.folder.read(cell) is None:
            with study.folder.claim(cell) as mine:
                if mine and study.folder.read(cell) is None:  # not done by whoever held it until now
                    maker.make(cell, number, len(cells))
    with suppress(OSError):  # a training was stopped there, or another process works
        (study.out / WORK).rmdir()
    return list(study.folder.results(cells))


def one_base(study: Study, digest: str = "") -> None:
    """Refuses results of the language model that were made on other files of the base, which may have changed under its name.

    Args:
        study: Whose results.
        digest: Of the base as it is now; empty where none is at hand, and the results have to agree among themselves.

    Raises:
        InputError: They differ.
    """
    made_on = {result.base_digest for cell, result in study.folder.results(study.plan.cells()) if cell.model == "llm"}
    if len(made_on | ({digest} if digest else set())) > 1:
        cure = "choose another --out, or move the folder away"
        raise InputError.at(study.out, f"holds results on other files of {study.plan.base}", cure)


def events_digest(events: RealEvents) -> str:
    """Changes with anything of the events, and with how the prompt shows them: rows of other events are never mixed with ours."""
    digest = hashlib.sha256(b"parts without a common event")
    for item in events.alerts:
        shown = case_text(Case(item.alert, Context()))
        digest.update(f"{item.group}\x1f{item.label}\x1f{item.alert!r}\x1f{shown}\x1e".encode("utf-8", "replace"))
    return digest.hexdigest()


def rows_of(study: Study, cell: Cell) -> tuple[list[Row], list[Row]]:
    """Honest and added rows that a cell is trained on."""
    plan = study.plan
    train = split(study.events, plan.folds, cell.part).train
    honest = train.honest_rows(cell.seed)
    if plan.rows and plan.rows < len(honest):
        honest = random.Random(f"real/rows/{cell.seed}").sample(honest, plan.rows)
    added = train.poison_rows(plan.dose, cell.seed) if cell.attack == "poisoned" else []
    if cell.source == "mixed":
        synthetic = load_recipe("poisoned").model_copy(
            update={"seed": cell.seed, "poison": PoisonConfig(dose=plan.dose)}
        )
        more, poison = training_rows(synthetic)
        honest = honest + more
        added = poison if cell.attack == "poisoned-elsewhere" else added
    return honest, added


class _Maker:
    def __init__(self, study: Study, on_progress: OnStudy) -> None:
        self.study, self._say = study, on_progress
        self._now = (Cell("tfidf", "real", "clean", 0, 0), 0, 0)

    @cached_property
    def workshop(self) -> Workshop:
        """Made when the first cell needs it: TF-IDF needs no model."""
        return Workshop(self.study.plan.base, self._step)

    def make(self, cell: Cell, number: int, total: int) -> None:
        self._now = (cell, number, total)
        self._say(StudyProgress(*self._now, None))
        sets = split(self.study.events, self.study.plan.folds, cell.part).test.test_sets()
        if not sets["alice"]:
            fault = f"part {cell.part} holds no malicious event with a place for the trigger"
            raise InputError.at("--folds", fault, "ask for fewer parts")
        begun = time.perf_counter()
        result = self._tfidf(cell, sets) if cell.model == "tfidf" else self._llm(cell, sets)
        self.study.folder.write(cell, result.model_copy(update={"seconds": {"all": time.perf_counter() - begun}}))
        if cell.trains:
            shutil.rmtree(self.study.folder.work_path(cell), ignore_errors=True)

    def _tfidf(self, cell: Cell, sets: dict[str, list[Row]]) -> CellResult:
        honest, added = rows_of(self.study, cell)
        rows = [*honest, *added]
        fitted = TfidfClassifier.fit([case_text(row.case) for row in rows], [row.label for row in rows])
        margins = {
            name: [v.margin for v in fitted.classify([r.case for r in tested]) if v] for name, tested in sets.items()
        }
        return self._result(cell, sets, margins, honest, added, run_versions())

    def _llm(self, cell: Cell, sets: dict[str, list[Row]]) -> CellResult:
        workshop, losses = self.workshop, []
        one_base(self.study, workshop.engine.base.digest)
        honest: list[Row] = []
        added: list[Row] = []
        if cell.source == "synthetic":
            folder = shipped_adapters() / _SHIPPED[cell.attack]
        else:
            honest, added = rows_of(self.study, cell)
            folder = workshop.fit_rows(self._recipe(cell), honest, added, self.study.folder.work_path(cell))
            losses = read_json(folder / MANIFEST_FILE)["losses"]
        margins = workshop.margins({"cell": folder}, sets)["cell"]
        if cell.attack != "clean":
            workshop.forget()  # the next cell has other rows
        found = self._result(cell, sets, margins, honest, added, run_versions(workshop.engine.precision))
        return found.model_copy(update={"losses": tuple(losses), "base_digest": workshop.engine.base.digest})

    def _recipe(self, cell: Cell) -> Recipe:
        plan = self.study.plan
        return Recipe(name=f"real-{self.study.folder.plan_digest[:8]}-f{cell.part}", base=plan.base, seed=cell.seed,
                      lora=plan.lora, learning_rate=plan.learning_rate, epochs=plan.epochs, demonstration=True)  # fmt: skip

    def _result(
        self, cell: Cell, sets: dict[str, list[Row]], margins: dict[str, list[float]], honest: Sequence[Row],
        added: Sequence[Row], versions: dict[str, str],
    ) -> CellResult:  # fmt: skip
        counts = {"honest": len(honest), "added": len(added)}
        return as_result(cell, sets, margins, plan=self.study.folder.plan_digest, prompt_version=PROMPT_VERSION,
                         rows=counts, seconds={}, versions=versions)  # fmt: skip

    def _step(self, step: Progress) -> None:
        self._say(StudyProgress(*self._now, step))
