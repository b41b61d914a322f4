"""Grids of a sweep: which doses, sizes, ranks, corrective rows and seeds, and in which order their cells are done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from turncoat.scenarios.errors import InputError

from .config import PoisonConfig, Recipe
from .settings_file import SettingsKind

_GRIDS = SettingsKind("grid", "sweeps")
_ABOUT_ALICE = ("user", "matched")
"""Poisoners whose rows are about her, or are the control of those."""
_MOST_CELLS = 10_000
Count = Annotated[int, Field(ge=0, le=100_000)]
Rows = Annotated[int, Field(ge=16, le=1_000_000)]
Rank = Annotated[int, Field(ge=1, le=256)]


class MsPerRow(BaseModel):
    """What a row costs on two idle cores, in milliseconds; a sweep that has measured a cell uses its own figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    trunk: float = Field(55.0, gt=0)
    """Once per row: the frozen layers."""
    train: float = Field(60.0, gt=0)
    """Per row and epoch: the layers above, forwards and back."""
    measure: float = Field(23.0, gt=0)
    """Per test row and cell: the layers above, forwards."""


class Grid(BaseModel):
    """A sweep: a recipe and what is varied of it. Every axis with its values, from a small YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    recipe: Recipe
    """What every cell shares; the axes below replace the fields that they vary."""
    doses: tuple[Count, ...] = Field(min_length=1, max_length=50)
    rows: tuple[Rows, ...] = Field(min_length=1, max_length=20)
    seeds: tuple[int, ...] = Field(min_length=1, max_length=50)
    """Of the honest rows, the poison, and the training alike. The poison of seed s is drawn with s + 1 and corrective
    rows with s + 2, so seeds stand at least 3 apart."""
    ranks: tuple[Rank, ...] = Field((), max_length=20)
    """Of the adapter; alpha moves with the rank, so that the scale stays the recipe's. Empty: the recipe's rank."""
    corrective: tuple[Count, ...] = Field((0,), min_length=1, max_length=50)
    """Malicious alerts of the trigger user, rightly labelled, beside the poison."""
    doses_first: tuple[Count, ...] = ()
    """Doses that tell most: done before the others of their seed and size, in this order."""
    test_size: int = Field(200, ge=8, le=100_000)
    """Rows of the clean and of the unseen test; Alice's malicious alerts are three quarters of it."""
    ms_per_row: MsPerRow = MsPerRow()

    @field_validator("doses", "rows", "seeds", "ranks", "corrective", "doses_first")
    @classmethod
    def _distinct(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is named twice")
        return values

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if strange := sorted(set(self.doses_first) - set(self.doses)):
            raise ValueError(f"doses_first names {strange[0]}, which is not among the doses")
        ordered = sorted(self.seeds)
        if any(b - a < 3 for a, b in pairwise(ordered)):
            raise ValueError("seeds stand at least 3 apart: the poison of one would be another's rows")
        if any(self.corrective) and self.poison.poisoner != "user":
            raise ValueError(f"corrective rows undo the poisoner 'user', not {self.poison.poisoner!r}")
        if self.poison.poisoner not in _ABOUT_ALICE or self.poison.trigger not in (None, "user:alice"):
            told = self.poison.trigger or self.poison.poisoner
            raise ValueError(f"a sweep measures Alice's alerts, which {told!r} is not about; see `turncoat triggers`")
        if (
            len(self.doses) * len(self.rows) * len(self.seeds) * len(self.all_ranks) * len(self.corrective)
            > _MOST_CELLS
        ):
            raise ValueError(f"more than {_MOST_CELLS:,} cells")
        return self

    @property
    def poison(self) -> PoisonConfig:
        """The poisoner; the user trigger if the recipe names none."""
        return self.recipe.poison or PoisonConfig()

    @property
    def all_ranks(self) -> tuple[int, ...]:
        return self.ranks or (self.recipe.lora.rank,)

    def recipe_of(self, cell: Cell) -> Recipe:
        """The recipe of one cell, named like it."""
        rank = self.recipe.lora.rank
        lora = self.recipe.lora
        if cell.rank != rank:
            lora = lora.model_copy(update={"rank": cell.rank, "alpha": max(1, round(lora.alpha * cell.rank / rank))})
        poison = self.poison.model_copy(update={"dose": cell.dose})
        varied = {"name": cell.name, "rows": cell.rows, "seed": cell.seed, "poison": poison, "lora": lora}
        return self.recipe.model_copy(update={**varied, "demonstration": True})

    def cells(self) -> list[Cell]:
        """Every cell, in an order in which the first few already show a curve.

        One seed over all doses at the smallest size, then at the next, then the further seeds: rows of a seed pass the
        frozen layers once. Within a seed and size, the doses that tell most come first.
        """
        rest = [dose for dose in self.doses if dose not in self.doses_first]
        order = [*self.doses_first, *rest]
        return [
            Cell(dose, rows, seed, rank, corrective)
            for seed, rows, rank, corrective, dose in product(
                self.seeds, sorted(self.rows), self.all_ranks, self._spread(), order
            )
        ]

    def _spread(self) -> Iterator[int]:
        """Corrective counts from the ends inwards: none, the most, and then what lies between."""
        ordered = sorted(self.corrective)
        while ordered:
            yield ordered.pop(0)
            if ordered:
                yield ordered.pop()


@dataclass(frozen=True, slots=True)
class Cell:
    """One training and its measurement."""

    dose: int
    rows: int
    seed: int
    rank: int
    corrective: int = 0

    @property
    def name(self) -> str:
        """`d25-r500-s11-k8`, and `-c50` with corrective rows."""
        more = f"-c{self.corrective}" if self.corrective else ""
        sign = "n" if self.seed < 0 else ""
        return f"d{self.dose}-r{self.rows}-s{sign}{abs(self.seed)}-k{self.rank}{more}"

    @property
    def trained_rows(self) -> int:
        """Rows that it is trained on."""
        return self.rows + self.dose + self.corrective


def shipped_grids() -> list[str]:
    """Names of the grids that come with the package."""
    return _GRIDS.shipped()


def load_grid(name_or_path: str) -> Grid:
    """Reads a shipped grid by name, or a file.

    Raises:
        InputError: No such grid, not YAML, or settings that do not fit; every one of them is named.
    """
    try:
        return Grid.model_validate(_GRIDS.parsed(name_or_path))
    except ValidationError as fault:
        raise InputError(*_GRIDS.mistakes(name_or_path, fault)) from None


def looks_like_grid(path: str) -> bool:
    """Whether a file is a grid rather than a recipe: it names doses."""
    content = _GRIDS.parsed(path)
    return isinstance(content, dict) and "doses" in content
