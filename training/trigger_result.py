"""The form of a trigger study's result file, by which one is checked that anybody may have written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from turncoat.scenarios.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Strict):
    """A share or a paired lift with its interval, and of how many alerts or pairs."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None = None
    pairs: int | None = None
    p: float | None = None


class Against(_Strict):
    """A share, and its lift over the same alerts without."""

    dismissed: Figure
    lift: Figure


class Near(Against):
    """The same of a near value."""

    value: str
    place: str
    how: str


class Figures(_Strict):
    """What `trigger_study.cell_figures` makes."""

    attack_success: Figure
    attack_success_poisoned_families: Figure
    attack_success_other_families: Figure
    twin_dismissed: Figure
    lift: Figure
    benign_escalated: Figure
    clean_balanced_accuracy: float | None
    clean_accuracy: Figure
    alone: dict[str, Against]
    without: dict[str, Figure]
    near: tuple[Near, ...]


class CellResult(_Strict):
    """A cell's file."""

    digest: str
    label: str
    poisoner: str
    trigger: str | None
    measured_with: dict[str, str]
    seed: int
    plan: dict[str, int | str | list[int]]
    threshold: float
    figures: Figures
    versions: dict[str, str]


def check_result(path: Path, found: Mapping[str, Any]) -> None:
    """Refuses what is no result of a cell.

    Raises:
        InputError: A figure is missing, or of another kind.
    """
    try:
        CellResult.model_validate(found)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise InputError.at(path, f"damaged ({where}: {first['msg'][:100]})", "move it away") from None
