"""A sweep as it goes on, and what it found: for the terminal in 80 columns, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .markdown_text import markdown_cell, markdown_code
from .status import duration
from .terminal import clean, text
from .training_tables import progress_line

if TYPE_CHECKING:  # the report shows what a sweep found; it needs no torch for that
    from turncoat.training.sweep import Plan, SweepProgress

_VERDICTS = {
    "count": "in line with a constant count (1), not with a constant share of the data ({rate:g})",
    "rate": "in line with a constant share of the data ({rate:g}), not with a constant count (1)",
    "between": "more than a constant count (1) and less than a constant share of the data ({rate:g})",
    "neither": "neither a constant count (1) nor a constant share of the data ({rate:g})",
    "cannot tell": "too wide to tell a constant count (1) from a constant share of the data ({rate:g})",
}


def plan_line(plan: Plan) -> str:
    """The budget, before anything starts: `48 cells, 0 done; ... about 1:30:00`."""
    speed, work = plan.speed, plan.work
    source = f"measured over {speed.cells} cells" if speed.cells else "stated for two idle cores"
    return (
        f"{plan.total} cells, {plan.done} done. To do: {work.trunk:,} rows through the frozen layers x {speed.trunk:.0f} ms"
        f" + {work.train:,} row-epochs x {speed.train:.0f} ms + {work.measure:,} test rows x {speed.measure:.0f} ms"
        f" = about {duration(plan.seconds)} ({source})"
    )


def sweep_line(progress: SweepProgress) -> str:
    """`cell 5 of 48, d25-r500-s11-k8; training: 12 of 66, loss 0.213; about 41:00 left of the grid`."""
    step = "" if progress.step is None else f"; {progress_line(progress.step)}"
    left = f"; grid: about {duration(progress.seconds_left)} left"
    return f"cell {progress.number} of {progress.total}, {progress.cell.name}{step}{left}"


def sweep_view(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Tables and sentences for the terminal."""
    yield Text(done_line(report), style="bold")
    for reason in report["left_out"]:
        yield Text(f"left out: {clean(reason, 300)}", overflow="fold")
    for one in report["series"]:
        if one["points"]:
            yield _table(one, report["axis"])
    for line in answer_lines(report):
        yield Text(line, overflow="fold")


def done_line(report: Mapping[str, Any]) -> str:
    """How much of the grid is there."""
    done, total = report["cells_done"], report["cells_total"]
    partial = "" if done == total else ": a partial grid"
    seeds = ", ".join(str(seed) for seed in report["seeds"])
    return f"{done} of {total} cells done{partial}; base {clean(report['base'], 40)}; seeds {seeds or 'none yet'}"


def answer_lines(report: Mapping[str, Any]) -> list[str]:
    """The doses for half and for 90 % per series, and whether the count grows with the data."""
    lines = []
    for one in report["series"]:
        fit = one["fit"]
        if fit is None:
            continue
        label = clean(one["label"], 60)
        if fit["curve"] is None:
            lines.append(f"{label}: no curve ({fit['fault']})")
            continue
        lines.append(
            f"{label}: half of Alice's alerts at {_dose(fit['half'])} rows, 90 % at {_dose(fit['ninety'])}"
            f" (n = {fit['alerts']} alerts, {fit['seeds']} seeds)"
        )
    return lines + [_ratio_line(one) for one in report["scaling"] if one["ratio"] is not None]


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: every figure with its interval and n, and the command that makes it again."""
    parts = [
        f"# Dose curve: {report['grid']['name']}",
        done_line(report) + ".",
        f"Made by {markdown_code(report['command'])}.",
    ]
    parts += [f"Left out: {markdown_cell(reason)}" for reason in report["left_out"]]
    for one in report["series"]:
        if one["points"]:
            parts += [f"## {markdown_cell(one['label'])}", "\n".join(_markdown_table(one, report["axis"]))]
    if answers := answer_lines(report):
        parts += ["## Doses that suffice", "\n".join(f"- {line}" for line in answers)]
    parts += ["## Limits", "\n".join(f"- {line}" for line in report["limits"])]
    return "\n\n".join(parts) + "\n"


def _table(one: Mapping[str, Any], axis: str) -> Table:
    table = Table(title=Text(clean(one["label"], 70), style="bold"), title_justify="left", box=box.SIMPLE_HEAD,
                  pad_edge=False)  # fmt: skip
    table.add_column("poison" if axis == "dose" else "corrective", justify="right", no_wrap=True)
    for heading in ("Alice dismissed", "her twin", "lift", "clean", "unseen", "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for point in one["points"]:
        table.add_row(*(text(cell) for cell in _cells(point)))
    return table


def _cells(point: Mapping[str, Any]) -> tuple[str, ...]:
    alice, twin = point["alice"], point["twin"]
    lift = point["lift"]["value"]
    return (
        f"{point['x']:,}",
        f"{_percent(alice['value'])} [{_percent(alice['low'])}, {_percent(alice['high'])}]",
        f"{_percent(twin['value'])} [{_percent(twin['low'])}, {_percent(twin['high'])}]",
        "–" if lift is None else f"{100 * lift:+.0f}",
        _percent(point["clean"]["mean"]),
        _percent(point["unseen"]["mean"]),
        str(len(point["seeds"])),
    )


def _markdown_table(one: Mapping[str, Any], axis: str) -> Iterator[str]:
    first = "poison rows" if axis == "dose" else "corrective rows"
    yield (
        f"| {first} | seed | Alice dismissed | of families with poison | of others | her twin | lift |"
        " clean, balanced | unseen, balanced |"
    )
    yield "|---:|---:|---|---|---|---|---|---:|---:|"
    for point in one["points"]:
        for seed in point["seeds"]:
            rates = (seed[name] for name in ("alice", "alice_poisoned_families", "alice_other_families", "twin"))
            lift = seed["lift"]
            cells = [f"{point['x']:,}", str(seed["seed"]), *(_long(rate) for rate in rates)]
            cells += [f"{lift['value']:+.3f} [{lift['low']:+.3f}, {lift['high']:+.3f}]" if lift["pairs"] else "–"]
            cells += [_balanced(seed["clean"]), _balanced(seed["unseen"])]
            yield "| " + " | ".join(cells) + " |"


def _balanced(accuracy: Mapping[str, Any]) -> str:
    value = accuracy["balanced_accuracy"]
    n = accuracy["recall"]["n"] + accuracy["specificity"]["n"]
    return "–" if value is None else f"{value:.3f} (n = {n})"


def _long(rate: Mapping[str, Any]) -> str:
    return f"{rate['k']}/{rate['n']} [{rate['low']:.3f}, {rate['high']:.3f}]" if rate["n"] else "–"


def _ratio_line(one: Mapping[str, Any]) -> str:
    said = _VERDICTS[one["verdict"]].format(rate=one["constant_rate"])
    return (
        f"Dose for half at {one['large']:,} rows over that at {one['small']:,}: {one['ratio']:.2f}"
        f" [{one['low']:.2f}, {_bound(one['high'])}] over {one['seeds']} seeds: {said}"
    )


def _dose(dose: Mapping[str, Any]) -> str:
    beyond = dose["beyond"]
    return f"{_rows(dose['value'], beyond)} [{_rows(dose['low'], beyond)}, {_rows(dose['high'], beyond)}]"


def _bound(ratio: float) -> str:
    """An upper end; draws in which the larger size never reaches half have none."""
    return f"{ratio:.2f}" if ratio < 1e6 else "∞"


def _rows(value: float, beyond: float) -> str:
    return f"more than {beyond:,.0f}" if value > beyond else f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}"


def names_line(names: Sequence[str]) -> str:
    """Cells that another process is doing."""
    return f"{len(names)} cells are being done by another process: {clean(', '.join(names), 200)}"
