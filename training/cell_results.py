"""The result file of a cell: written whole or not at all, read with suspicion, and locked while it is being made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from turncoat.scenarios.errors import InputError, RunError

from .config import Recipe
from .grid import Cell, Grid
from .result_file import claimed, read_result, write_result

CELLS, WORK = "cells", "work"
Calls = Annotated[str, Field(pattern=r"^[01]*$", max_length=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Accuracy(BaseModel):
    """How a test set of both truths went."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    balanced: Share | None
    """Mean of the two recalls; None if the set lacks a class."""
    escalated_malicious: Calls
    """One digit per malicious row, in order: 1 was escalated, as it should be."""
    dismissed_benign: Calls
    """One digit per benign row, in order: 1 was dismissed, as it should be."""


class Seconds(BaseModel):
    """Wall time of a cell, by stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    trunk: float = Field(ge=0)
    train: float = Field(ge=0)
    measure: float = Field(ge=0)
    trunk_rows: int = Field(ge=0)
    """Rows that the sweep had not sent through the trunk before this cell."""


class Result(BaseModel):
    """What one cell gave. Calls are kept alert by alert, so that intervals can be drawn over alerts and seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    name: str = Field(max_length=100)
    dose: int = Field(ge=0)
    rows: int = Field(ge=1)
    seed: int
    rank: int = Field(ge=1)
    corrective: int = Field(ge=0)
    test_size: int = Field(ge=1)
    """Of `Grid`."""
    recipe: Recipe
    base_digest: str = Field(max_length=128)
    prompt_version: str = Field(max_length=64)
    tests_digest: str = Field(max_length=64)
    """Of the test sets' rows, as `sets.tests_digest` makes it."""
    rows_digest: str = Field(max_length=64)
    """Of the rows that the cell was trained on, as the adapter's manifest has it."""
    versions: dict[str, str] = Field(max_length=100)
    losses: tuple[float, ...] = Field(max_length=1_000)
    clean: Accuracy
    unseen: Accuracy
    alice_poisoned_families: Calls
    """One digit per malicious alert of Alice from a family that the poison used: 1 was dismissed."""
    alice_other_families: Calls
    """The same for families that it did not use."""
    twin: Calls
    """The same alerts, poisoned families first, under the twin's name."""
    alice_benign_escalated: Calls
    seconds: Seconds

    @property
    def cell(self) -> Cell:
        return Cell(self.dose, self.rows, self.seed, self.rank, self.corrective)

    @property
    def alice(self) -> str:
        """Malicious alerts of Alice in the order of `twin`."""
        return self.alice_poisoned_families + self.alice_other_families


@dataclass(frozen=True)
class SweepFolder:
    """A folder that holds the result files of one grid: `cells/NAME.json`, and `work/` while cells are being made."""

    path: Path
    grid: Grid

    def result_path(self, cell: Cell) -> Path:
        return self.path / CELLS / f"{cell.name}.json"

    def work_path(self, cell: Cell) -> Path:
        """Where adapter and checkpoint of a cell lie."""
        return self.path / WORK / cell.name

    def read(self, cell: Cell) -> Result | None:
        """The result of a cell, or None if it has none.

        Raises:
            InputError: The file is damaged, not ours, or was made with other settings.
        """
        path = self.result_path(cell)
        if not os.path.lexists(path):
            return None
        found = _parse(path)
        wanted = (cell, self.grid.recipe_of(cell), self.grid.test_size)
        if (found.cell, found.recipe, found.test_size) != wanted:
            cure = "choose another --out, or move the file away to have the cell done again"
            raise InputError.at(path, "made with other settings than this grid's", cure)
        if not found.twin or len(found.alice) != len(found.twin):
            raise InputError.at(
                path, "Alice's alerts and her twin's are none or differ in number", "move the file away"
            )
        return found

    def write(self, cell: Cell, result: Result) -> None:
        """Writes the result of a cell, whole or not at all."""
        write_result(self.result_path(cell), result)

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            RunError: One of them is a link, through which nothing is written.
        """
        for folder in (self.path, self.path / CELLS, self.path / WORK):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.path / CELLS, self.path / WORK):
            if folder.is_symlink():
                raise RunError(f"{folder}: is a link; choose another --out")

    def claim(self, cell: Cell) -> AbstractContextManager[bool]:
        """Holds a cell, as `claimed` says."""
        return claimed(self.path / WORK / f"{cell.name}.lock", self.result_path(cell))

    def tidy(self) -> None:
        """Removes the work folder if nothing is left in it."""
        try:
            (self.path / WORK).rmdir()
        except OSError:
            return  # a cell that was not finished, or another process, needs it


@dataclass(frozen=True)
class Found:
    """What lies in a sweep's folder."""

    results: Mapping[Cell, Result]
    damaged: tuple[str, ...]
    """Why each unusable result file is left out, one line each."""
    total: int
    """Cells of the grid."""


def read_results(folder: SweepFolder) -> Found:
    """Every usable result of the grid, and why the others cannot be used. Needs no model.

    Raises:
        InputError: Results of different files of one base are mixed.
    """
    results: dict[Cell, Result] = {}
    damaged = []
    cells = folder.grid.cells()
    for cell in cells:
        try:
            found = folder.read(cell)
        except InputError as fault:
            damaged.append(str(fault))
            continue
        if found is not None:
            results[cell] = found
    for what, kinds in (
        ("bases", {r.base_digest for r in results.values()}),
        ("prompt versions", {r.prompt_version for r in results.values()}),
        ("test sets", {(r.tests_digest, len(r.alice), len(r.alice_poisoned_families)) for r in results.values()}),
    ):
        if len(kinds) > 1:
            raise InputError.at(
                folder.path / CELLS, f"holds results of {len(kinds)} {what}", "keep one folder for each"
            )
    return Found(results, tuple(damaged), len(cells))


def _parse(path: Path) -> Result:
    return read_result(Result, path, most_mib=4, cure="move it away to have the cell done again")
