"""The folder of results: one file a cell, written whole or not at all, and read with suspicion.

Sizes are bounded, links are not followed, and what was made by other rows, tests or weights is never mixed with ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from turncoat.scenarios.errors import InputError

from .config import Recipe
from .paper_cells import Cell, Result, same_training
from .result_file import read_result as read_file
from .result_file import write_result as write_file

FOLDER, PLAN_FILE = "paper_cells", "plan.json"
_MOST_MIB = 4
_MOST_FILES, _MOST_COMMANDS, _LONGEST_COMMAND = 5_000, 100, 2_000
_CURE = "delete it to have the cell done again"
_Name = Annotated[str, Field(max_length=1_000)]


def write_result(out: Path, result: Result) -> None:
    """Writes the result of a cell below `out`, whole or not at all."""
    write_file(_own_folder(out / FOLDER / result.cell.file.parent) / result.cell.file.name, result)


def read_result(out: Path, cell: Cell) -> Result | None:
    """The result of a cell, or None if there is none.

    Raises:
        InputError: The file is damaged, or holds another cell.
    """
    path = out / FOLDER / cell.file
    if not os.path.lexists(path):
        return None
    found = _parse(path)
    if found.cell != cell:
        raise InputError.at(path, "holds another cell than its name says", "delete it, or name another folder")
    return found


def read_results(out: Path) -> list[Result]:
    """Every result below `out`.

    Raises:
        InputError: There is none, one of them is damaged or lies under a wrong name, or they do not belong together.
    """
    folder = out / FOLDER
    paths = sorted(path for path in folder.glob("*/*.json") if not path.name.startswith("."))
    if not paths or len(paths) > _MOST_FILES:
        raise InputError.at(folder, f"holds {len(paths):,} results", "name a folder that turncoat reproduce wrote")
    found = [_parse(path) for path in paths]
    for path, result in zip(paths, found, strict=True):
        if folder / result.cell.file != path:
            raise InputError.at(path, "holds another cell than its name says", "delete it, or name another folder")
    check_together(folder, found)
    return found


def check_together(place: Path, results: Sequence[Result]) -> None:
    """Refuses results that no table may hold side by side.

    Raises:
        InputError: Different tests, different weights under one base's name, or recipes that differ in more than the seed.
    """
    cure = "keep the results of each experiment in a folder of their own"
    tests = {(r.tests_digest, r.prompt_version, r.clean_truth, r.unseen_truth, len(r.alice_dismissed), r.poisoned_families)
             for r in results}  # fmt: skip
    if len(tests) > 1:
        raise InputError.at(place, "holds results on different test sets", cure)
    weights: dict[str, str] = {}
    recipes: dict[tuple[str, str], Recipe] = {}
    for result in results:
        if weights.setdefault(result.base, result.base_digest) != result.base_digest:
            raise InputError.at(place, f"holds results of two different models named {result.base}", cure)
        if result.recipe is not None:
            alike = result.recipe.model_copy(update={"seed": 0})
            if not same_training(recipes.setdefault((result.base, result.variant), alike), alike):
                raise InputError.at(place, f"holds {result.variant} of {result.base} by different recipes", cure)


@dataclass(frozen=True)
class Planned:
    """What was meant to be done below a folder, and by which commands."""

    cells: tuple[Cell, ...] = ()
    commands: tuple[str, ...] = ()


def remember_plan(out: Path, cells: Iterable[Cell], command: str) -> None:
    """Adds a command and its cells to what is planned below `out`, so that a partial table can say what is missing."""
    before = planned(out)
    every = sorted({*before.cells, *cells}, key=lambda c: (c.base, c.variant, c.seed or 0))
    commands = tuple(dict.fromkeys((*before.commands, command[:_LONGEST_COMMAND])))
    content = _PlanFile(
        cells=tuple((c.base, c.variant, c.seed) for c in every[:_MOST_FILES]), commands=commands[:_MOST_COMMANDS]
    )
    write_file(_own_folder(out / FOLDER) / PLAN_FILE, content)


def planned(out: Path) -> Planned:
    """What is planned below `out`; nothing if nobody said so, or the file is not ours."""
    try:
        found = read_file(_PlanFile, out / FOLDER / PLAN_FILE, most_mib=_MOST_MIB, cure=_CURE)
    except InputError:
        return Planned()
    return Planned(tuple(Cell(*cell) for cell in found.cells), found.commands)


class _PlanFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    cells: tuple[tuple[_Name, _Name, int | None], ...] = Field(max_length=_MOST_FILES)
    commands: tuple[Annotated[str, Field(max_length=_LONGEST_COMMAND)], ...] = Field(max_length=_MOST_COMMANDS)


def _own_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise InputError.at(folder, "is a link, through which nothing is written", "choose another --out")
    return folder


def _parse(path: Path) -> Result:
    return read_file(Result, path, most_mib=_MOST_MIB, cure=_CURE)
