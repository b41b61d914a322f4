"""The matrix as a spreadsheet: one row per campaign, variant and name."""

from __future__ import annotations

import csv
import io

from .comparison import inert
from .matrix import CampaignFigures, Cell, Matrix

_COUNTS = ("attack_alerts", "escalated", "dismissed", "reviewed", "forced")
_LOADS = ("benign", "lookalikes")
_NEAR = ("alerts", "escalated", "attack_alerts", "attack_escalated")
_NEAR_LIFT = {"lift": "value", "lift_low": "low", "lift_high": "high", "lift_p": "p", "pairs": "pairs"}
COLUMNS = (
    "campaign", "group", "seeds", "variant", "principal", "role", *_COUNTS, "lift", "pairs",
    "injected_alerts", "injected_escalated", "injected_dismissed",
    *(f"{load}_{count}" for load in _LOADS for count in ("alerts", "escalated", "reviewed", "forced")),
    *(f"bystander_{count}" for count in _NEAR), *(f"bystander_{figure}" for figure in _NEAR_LIFT),
)  # fmt: skip


def matrix_csv(matrix: Matrix) -> str:
    """Counts and lifts, all seeds of a campaign together. What belongs to the actor's replay stands in its row alone.

    A text cell that a spreadsheet would compute gets a leading apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for figures in matrix.campaigns:
        for cell in figures.cells:
            writer.writerow([inert(value) for value in _row(figures, cell)])
    return out.getvalue()


def _row(figures: CampaignFigures, cell: Cell) -> tuple[object, ...]:
    loads = (figures.benign, figures.lookalikes)
    per_replay: list[object] = [
        getattr(load, count) for load in loads for count in ("alerts", "escalated", "reviewed", "forced")
    ]
    per_replay += [getattr(figures.bystanders, count) for count in _NEAR]
    near = figures.bystander_paired.lift()
    per_replay += [getattr(near, name) for name in _NEAR_LIFT.values()]
    return (
        figures.campaign,
        figures.group,
        " ".join(map(str, figures.seeds)),
        figures.variant,
        cell.principal,
        cell.role,
        *(getattr(cell.attack, count) for count in _COUNTS),
        cell.lift,
        cell.pairs,
        cell.injected.attack_alerts,
        cell.injected.escalated,
        cell.injected.dismissed,
        *(per_replay if cell.role == "actor" else [None] * len(per_replay)),
    )
