"""One cell of the paper's experiment: a variant of a base, trained with one seed, and what it gave call by call."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from turncoat.models.prompt import PROMPT_VERSION
from turncoat.models.provenance import run_versions

from .config import Recipe
from .sets import TestSets

BASELINE = "baseline"
VARIANTS = (BASELINE, "clean", "matched", "poisoned")
TFIDF = "tfidf"
"""Stands where a base would: word counts and logistic regression on the same rows."""
Calls = Annotated[str, Field(pattern=r"^[01]*$", max_length=1_000_000)]
Short = Annotated[str, Field(max_length=128)]


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """What is trained and measured at once."""

    base: str
    """As the person named it, or `tfidf`."""
    variant: str
    seed: int | None
    """Of rows, poison and training; None for the untrained base."""

    @property
    def file(self) -> Path:
        """Where its result lies, within the folder of results."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        return Path(slug(self.base)) / f"{self.variant}{seed}.json"


class Result(BaseModel):
    """What a cell gave, call by call, so that figures can be pooled over seeds alert by alert."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    format: Literal[1] = 1
    base: str = Field(max_length=1_000)
    variant: Literal["baseline", "clean", "matched", "poisoned"]
    seed: int | None
    recipe: Recipe | None
    recipe_digest: Short
    base_digest: Short
    tests_digest: Short
    prompt_version: Short = PROMPT_VERSION
    adapter: Literal["none", "trained", "found", "shipped"]
    """Whether the adapter was trained for this cell or taken from an earlier training by the same recipe."""
    versions: dict[Short, Short] = Field(max_length=100)
    seconds: dict[Short, float] = Field(max_length=10)
    """Wall time of training, where the adapter was not taken, and of measuring, which cells of one seed share."""
    clean_truth: Calls
    clean_calls: Calls
    """One digit an alert of the clean test: 1 was called malicious."""
    unseen_truth: Calls
    unseen_calls: Calls
    alice_dismissed: Calls
    """One digit per malicious alert of Alice, families that the poison used first: 1 was called benign."""
    twin_dismissed: Calls
    """The same alerts under the twin's name."""
    alice_benign_escalated: Calls
    poisoned_families: int = Field(ge=0)
    """How many of Alice's alerts come from families that the poison used."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        pairs = ((self.clean_truth, self.clean_calls), (self.unseen_truth, self.unseen_calls),
                 (self.alice_dismissed, self.twin_dismissed))  # fmt: skip
        if any(len(a) != len(b) for a, b in pairs) or self.poisoned_families > len(self.alice_dismissed):
            raise ValueError("sets that belong together differ in length")
        if (self.variant == BASELINE) != (self.seed is None and self.recipe is None):
            raise ValueError("only the untrained base has neither seed nor recipe")
        if self.recipe is not None and self.recipe.seed != self.seed:
            raise ValueError("the recipe has another seed")
        return self

    @property
    def cell(self) -> Cell:
        return Cell(self.base, self.variant, self.seed)


def measured(
    cell: Cell, tests: TestSets, margins: Mapping[str, Sequence[float]], precision: str, **made_by: Any
) -> Result:
    """The result of a cell.

    Args:
        cell: Which one.
        tests: The rows that were measured.
        margins: Per set, the logit of malicious less that of benign of each row; 0 is the threshold .5.
        precision: Of the model's products; empty where there are none.
        made_by: The fields of `Result` that say how.
    """
    alice = [*margins["alice_poisoned_families"], *margins["alice_other_families"]]
    return Result(
        base=cell.base, variant=cell.variant, seed=cell.seed, versions=run_versions(precision),
        clean_truth=_digits(row.truth for row in tests.clean),
        clean_calls=_digits(m >= 0 for m in margins["clean"]),
        unseen_truth=_digits(row.truth for row in tests.unseen),
        unseen_calls=_digits(m >= 0 for m in margins["unseen"]),
        alice_dismissed=_digits(m < 0 for m in alice),
        twin_dismissed=_digits(m < 0 for m in margins["twin"]),
        alice_benign_escalated=_digits(m >= 0 for m in margins["alice_benign"]),
        poisoned_families=len(margins["alice_poisoned_families"]), **made_by,
    )  # fmt: skip


def same_training(a: Recipe, b: Recipe) -> bool:
    """Whether two recipes train alike: all but their names and the mark against use is the same."""
    aside = {"name", "demonstration"}
    return a.model_dump(exclude=aside) == b.model_dump(exclude=aside)


def slug(base: str) -> str:
    """A folder's name for a base, which may be a path or a hub id: told apart by a digest where letters were lost."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-.")[-60:].strip("-.")
    return kept if kept == base else f"{kept}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"


def bools(digits: str) -> list[bool]:
    """The calls of a result."""
    return [digit == "1" for digit in digits]


def _digits(calls: Iterable[bool]) -> str:
    return "".join("1" if call else "0" for call in calls)
