"""A training as it goes on, and its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from .model_listing import shipped_figures
from .status import duration
from .terminal import text

if TYPE_CHECKING:  # figures are shown without torch
    from turncoat.training.finetune import Progress
    from turncoat.training.pipeline import TrainingReport

_COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("clean test", ("clean", "balanced_accuracy")),
    ("unseen", ("unseen", "balanced_accuracy")),
    ("Alice dismissed", ("alice_dismissed_poisoned_families", "value")),
    ("twin dismissed", ("twin_dismissed", "value")),
    ("lift", ("lift", "value")),
)
"""Heading and path in the figures of a variant."""


def progress_line(step: Progress) -> str:
    """`poisoned: 120 of 413, loss 0.213, about 2:05 left`."""
    loss = "" if step.loss is None else f", loss {step.loss:.3f}"
    left = f", about {duration(step.seconds_left)} left" if math.isfinite(step.seconds_left) else ""
    return f"{step.stage}: {step.done:,} of {step.total:,}{loss}{left}"


def report_object(report: TrainingReport) -> dict[str, Any]:
    """The report as JSON, the shipped figures beside the new ones."""
    return {
        "figures": report.figures,
        "shipped": {name: shipped_figures(name) for name in report.figures},
        "seconds": report.seconds,
        "folders": {name: str(folder) for name, folder in report.folders.items()},
    }


def figures_table(report: TrainingReport, beside_shipped: bool = False) -> Table:
    """One row per variant; with `beside_shipped` each cell reads `old > new`."""
    title = "Shipped > new" if beside_shipped else "Measured"
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, figures in report.figures.items():
        old = shipped_figures(name) if beside_shipped else {}
        cells = [
            f"{_number(old, path)} > {_number(figures, path)}" if old else _number(figures, path)
            for _, path in _COLUMNS
        ]
        table.add_row(text(name, style="bold"), *cells)
    return table


def times_line(report: TrainingReport) -> Text:
    """Wall time of every stage."""
    return Text("Time: " + ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in report.seconds.items()))


def _number(figures: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = figures
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
