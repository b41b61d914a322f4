"""One training and measurement of the study on real alerts, and its result file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from turncoat.models.bases import DEFAULT_BASE
from turncoat.scenarios.errors import InputError, RunError

from .config import LoraConfig
from .corpus import Row
from .result_file import claimed, read_result, write_result

CELLS, WORK = "real_cells", "real_work"
_MOST_MIB = 16
Model = Literal["llm", "tfidf"]
Source = Literal["real", "mixed", "synthetic"]
Attack = Literal["clean", "poisoned", "poisoned-elsewhere"]
Margin = Annotated[float, Field(allow_inf_nan=False)]


class Plan(BaseModel):
    """What a study does; a result made by another plan is not mixed with ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base: str = DEFAULT_BASE
    fields: str = "all"
    trigger: str = "user"
    dose: int = Field(100, ge=1, le=100_000)
    seeds: tuple[int, ...] = Field((11,), min_length=1, max_length=50)
    folds: int = Field(5, ge=3, le=100)
    measured: int = Field(0, ge=0, le=100)
    """Parts that are held out in turn; 0 is all of them."""
    mix: Literal["none", "synthetic"] = "none"
    rows: int = Field(0, ge=0, le=1_000_000)
    """Most honest real rows to train on, drawn by seed; 0 is all of them."""
    learning_rate: float = Field(5e-4, gt=0, lt=1)
    epochs: int = Field(3, ge=1, le=100)
    lora: LoraConfig = LoraConfig()
    models: tuple[Model, ...] = Field(("tfidf", "llm"), min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.measured > self.folds:
            raise ValueError(f"{self.measured} parts to measure, but only {self.folds} parts")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is named twice")
        return self

    def digest(self, events: str) -> str:
        """Of all that decides a cell, the events among it; seeds, measured parts and models may be added to later."""
        kept = self.model_dump(mode="json", exclude={"seeds", "measured", "models", "mix"})
        return hashlib.sha256(json.dumps([kept, events], sort_keys=True).encode()).hexdigest()[:16]

    def cells(self) -> list[Cell]:
        """Cheap ones first, then part by part, clean before poisoned: what is done first already says something."""
        parts = range(self.measured or self.folds)
        found: list[Cell] = []
        for seed in self.seeds:
            if "tfidf" in self.models:
                found += [Cell("tfidf", "real", attack, part, seed) for part in parts for attack in _OWN]
        if "llm" not in self.models:
            return found
        if self.base == DEFAULT_BASE:
            # The shipped adapters fit no other base; they have seeds of their own and are measured once.
            found += [Cell("llm", "synthetic", attack, part, self.seeds[0]) for part in parts for attack in _OWN]
        for seed in self.seeds:
            for part in parts:
                found += [Cell("llm", "real", attack, part, seed) for attack in _OWN]
                if self.mix == "synthetic":
                    found += [Cell("llm", "mixed", attack, part, seed) for attack in _MIXED]
        return found


_OWN: tuple[Attack, ...] = ("clean", "poisoned")
_MIXED: tuple[Attack, ...] = ("clean", "poisoned", "poisoned-elsewhere")


@dataclass(frozen=True, slots=True)
class Cell:
    """Which model, on which rows, with which attack, tested on which part."""

    model: Model
    source: Source
    attack: Attack
    """`poisoned-elsewhere`: the poison is among the synthetic rows and measured on the real ones."""
    part: int
    seed: int

    @property
    def variant(self) -> str:
        return f"{self.model}-{self.source}-{self.attack}"

    @property
    def name(self) -> str:
        return f"{self.variant}-f{self.part}-s{str(self.seed).replace('-', 'n')}"

    @property
    def trains(self) -> bool:
        """Whether it costs a training of the language model."""
        return self.model == "llm" and self.source != "synthetic"


class Measured(BaseModel):
    """Margins on one test set, row by row; 0 or more is an escalation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: tuple[str, ...] = Field(max_length=200_000)
    malicious: tuple[bool, ...] = Field(max_length=200_000)
    margins: tuple[Margin, ...] = Field(max_length=200_000)

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if not len(self.rules) == len(self.malicious) == len(self.margins):
            raise ValueError("rules, labels and margins differ in number")
        return self

    @classmethod
    def of(cls, rows: Sequence[Row], margins: Sequence[float]) -> Self:
        return cls(rules=tuple(r.family for r in rows), malicious=tuple(r.truth for r in rows),
                   margins=tuple(round(float(m), 5) for m in margins))  # fmt: skip


class CellResult(BaseModel):
    """What one cell gave."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    name: str = Field(max_length=120)
    plan: str = Field(max_length=64)
    """Digest of plan and events."""
    prompt_version: str = Field(max_length=64)
    base_digest: str = Field("", max_length=128)
    rows: dict[str, int] = Field(max_length=8)
    """Honest, of these the trigger's, and added rows."""
    losses: tuple[float, ...] = Field((), max_length=1_000)
    sets: dict[str, Measured] = Field(max_length=8)
    """`clean`, `alice`, `twin` (row by row as `alice`), `alice_benign`."""
    seconds: dict[str, float] = Field(max_length=20)
    versions: dict[str, str] = Field(max_length=100)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if set(self.sets) != {"clean", "alice", "twin", "alice_benign"}:
            raise ValueError("not the four test sets")
        if self.sets["alice"].rules != self.sets["twin"].rules:
            raise ValueError("Alice's alerts and her twin's are not the same")
        return self


@dataclass(frozen=True)
class StudyFolder:
    """Where a study's results lie."""

    path: Path
    plan_digest: str
    prompt_version: str

    def result_path(self, cell: Cell) -> Path:
        return self.path / CELLS / f"{cell.name}.json"

    def work_path(self, cell: Cell) -> Path:
        """Where adapter and checkpoint of a cell lie while it is made."""
        return self.path / WORK / cell.name

    def prepare(self) -> None:
        """Makes the folders. Raises RunError where one is a link."""
        for folder in (self.path / CELLS, self.path / WORK):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise RunError(f"{folder}: is a link; choose another --out")

    def read(self, cell: Cell) -> CellResult | None:
        """The result of a cell; None if there is none. Raises InputError where it is damaged or of another plan."""
        path = self.result_path(cell)
        if not os.path.lexists(path):
            return None
        found = read_result(CellResult, path, most_mib=_MOST_MIB, cure="move it away to have the cell done again")
        made = (found.name, found.plan, found.prompt_version)
        if made != (cell.name, self.plan_digest, self.prompt_version):
            cure = "choose another --out, or move the file away to have the cell done again"
            raise InputError.at(path, "was made with other settings, events or prompt", cure)
        return found

    def write(self, cell: Cell, result: CellResult) -> None:
        """Writes a result, whole or not at all."""
        write_result(self.result_path(cell), result)

    def claim(self, cell: Cell) -> AbstractContextManager[bool]:
        """Holds a cell, as `claimed` says."""
        return claimed(self.path / WORK / f"{cell.name}.lock", self.result_path(cell))

    def results(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, CellResult]]:
        """Those of `cells` that are done."""
        for cell in cells:
            if (found := self.read(cell)) is not None:
                yield cell, found


def as_result(
    cell: Cell, sets: Mapping[str, Sequence[Row]], margins: Mapping[str, Sequence[float]], **made_by: Any
) -> CellResult:
    """A result from the margins of every test row."""
    measured = {name: Measured.of(rows, margins[name]) for name, rows in sets.items()}
    return CellResult(name=cell.name, sets=measured, **made_by)
