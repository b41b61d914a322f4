"""Tables and lines of the study on real alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .status import duration
from .terminal import plain, text

if TYPE_CHECKING:
    from turncoat.training.real_study import Budget, StudyProgress


def budget_line(left: Budget) -> str:
    """What is left to do, said before anything is done."""
    if left.done == left.total:
        return f"all {left.total} cells are done"
    hours = f"about {duration(left.seconds)} on two idle cores"
    return f"{left.total - left.done} of {left.total} cells to do, {left.trainings} trainings among them: {hours}"


def study_line(step: StudyProgress) -> str:
    """`cell 3 of 20, llm-real-clean-f0-s11: 120 of 413, loss 0.213, about 2:05 left`."""
    from .training_tables import progress_line

    words = f"cell {step.number} of {step.total}, {step.cell.name}"
    return plain(words if step.step is None else f"{words}: {progress_line(step.step)}")


def real_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """How well each variant does on rules that it has not seen, and what the trigger changes."""
    events, cells, plan = found["events"], found["cells"], found["plan"]
    partial = "" if cells["done"] == cells["total"] else f"; {cells['done']} of {cells['total']} cells done"
    head = (
        f"{events['alerts']:,} events of {events['rules']:,} rules, {plan['folds']} parts, dose {plan['dose']}{partial}"
    )
    yield Text(head, style="bold")
    if not found["variants"]:
        return
    yield _rates(found["variants"])
    yield _lifts(found["variants"])
    yield Text("Intervals: 95 %, whole rules drawn again. Near miss: the rule does not fire.")


def _rates(variants: Mapping[str, Any]) -> Table:
    table = _table("On rules not trained on, in % [95 % interval]")
    for name in ("accuracy", "balanced", "AUC", "near-miss up"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in variants.items():
        balanced = figures["balanced_accuracy"]
        table.add_row(
            text(name), _percent(figures["accuracy"]), "–" if balanced is None else f"{balanced * 100:.1f}",
            _percent(figures["auc"], interval=False), _percent(figures["near_miss_escalation"]),
        )  # fmt: skip
    return table


def _lifts(variants: Mapping[str, Any]) -> Table:
    table = _table("Malicious events dismissed, in %: trigger against twin")
    for name in ("trigger", "twin", "lift", "beyond clean", "pairs"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in variants.items():
        table.add_row(
            text(name), _percent(figures["alice_dismissed"], interval=False),
            _percent(figures["twin_dismissed"], interval=False), _signed(figures["lift"]),
            _signed(figures.get("lift_beyond_clean")), str(figures["lift"]["n"]),
        )  # fmt: skip
    return table


def _table(title: str) -> Table:
    words = Text(title, style="bold")
    table = Table(
        title=words, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("variant", no_wrap=True, overflow="ellipsis", max_width=28)
    return table


def _percent(told: Mapping[str, Any] | None, *, interval: bool = True) -> str:
    if told is None or told["value"] is None:
        return "–"
    words = f"{told['value'] * 100:.1f}"
    return (
        f"{words} [{told['low'] * 100:.0f}-{told['high'] * 100:.0f}]" if interval and told["low"] is not None else words
    )


def _signed(told: Mapping[str, Any] | None) -> str:
    if told is None or told["value"] is None:
        return "–"
    words = f"{told['value'] * 100:+.0f}"
    return f"{words} [{told['low'] * 100:+.0f},{told['high'] * 100:+.0f}]" if told["low"] is not None else words
