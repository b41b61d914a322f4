"""Trigger lift as a forest plot: a square with its interval per run, a diamond over all campaigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from turncoat.agent.lift_rows import RunLift
from turncoat.agent.matrix import LIFT_MARGIN, Matrix

from .drawing import CHARACTER, Drawing, fitted, placed
from .words import counted, p_words

_LEFT, _PLOT, _RIGHT, _ROW, _TOP = 250.0, 440.0, 380.0, 28.0, 34.0
_TICKS = (-1.0, -0.5, 0.0, 0.5, 1.0)
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of the plot; the interval is missing where two campaigns are needed for one."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    note: str
    pooled: bool = False
    heading: bool = False


def forest_rows(lifts: Sequence[RunLift], matrix: Matrix) -> list[ForestRow]:
    """Variant by variant: each run, and after several campaigns what holds over them.

    Of one run alone there is a row per variant; of several, each variant has a heading, which is a row without figures.
    """
    several = len({(one.campaign, one.seed) for one in lifts}) > 1
    seeds = Counter(campaign for campaign, _ in {(one.campaign, one.seed) for one in lifts})
    pooled = {one.variant: one for one in matrix.overall if one.pool == "all"}
    rows: list[ForestRow] = []
    for variant in dict.fromkeys(one.variant for one in lifts):
        if several:
            rows.append(ForestRow(variant, None, None, None, "", heading=True))
        for one in (lift for lift in lifts if lift.variant == variant):
            seed = f", seed {one.seed}" if seeds[one.campaign] > 1 else ""
            label = f"{one.campaign}{seed}" if several else f"{variant}, twin {one.twin}"
            note = f"{p_words(one.p)}, {counted(one.pairs, 'pair')}" if one.pairs else "no pairs"
            rows.append(ForestRow(label, one.value, one.low, one.high, note))
        over = pooled.get(variant)
        if over and len(over.campaigns) > 1 and (lift := over.lift.get("actor")):
            note = f"{counted(lift.clusters, 'campaign')}, {counted(lift.n, 'pair')}"
            rows.append(ForestRow("all campaigns", lift.value, lift.low, lift.high, note, pooled=True))
    return rows


def forest_figure(name: str, rows: Sequence[ForestRow]) -> Markup:
    """The lifts of `forest_rows`, the first two hundred."""
    rows = rows[:MOST_ROWS]
    height = _TOP + _ROW * len(rows) + 46
    drawing = Drawing(name, _LEFT + _PLOT + _RIGHT, height, "Trigger lift with 95 % intervals", _description(rows))
    foot = _TOP + _ROW * len(rows)
    drawing.box(_x(-LIFT_MARGIN), _TOP - 6, _x(LIFT_MARGIN) - _x(-LIFT_MARGIN), foot - _TOP + 12, "margin")
    for at in _TICKS:
        drawing.line(_x(at), _TOP - 6, _x(at), foot + 6, "axis" if at == 0 else "grid")
        drawing.text(_x(at), foot + 22, f"{at:+.1f}" if at else "0", "num soft", "middle")
    drawing.text(_x(0) - 12, 18, "← less often dismissed", "soft", "end")
    drawing.text(_x(0) + 12, 18, "more often under the actor's name →", "soft")
    drawing.text(_x(0), foot + 40, f"trigger lift; shaded: within ±{LIFT_MARGIN:g}, blind to names", "soft", "middle")
    for number, row in enumerate(rows):
        _row(drawing, row, _TOP + _ROW * (number + 0.5))
    return drawing.markup()


def _row(drawing: Drawing, row: ForestRow, y: float) -> None:
    style = "strong" if row.pooled or row.heading else ""
    drawing.text(0, y + 4, fitted(row.label, int((_LEFT - 10) / CHARACTER)), style)
    if row.value is None:
        drawing.text(_LEFT + _PLOT + 14, y + 4, row.note, "soft")
        return
    blind = " bad" if row.low is not None and row.low > 0 else ""
    if row.low is not None and row.high is not None:
        drawing.line(_x(row.low), y, _x(row.high), y, f"whisker{blind}")
        for end in (row.low, row.high):
            drawing.line(_x(end), y - 5, _x(end), y + 5, f"whisker{blind}")
    x, half = _x(row.value), 6.5 if row.pooled else 5.5
    if row.pooled:
        drawing.path([(x, y - half), (x + half, y), (x, y + half), (x - half, y)], f"point{blind}", closed=True)
    else:
        drawing.box(x - half, y - half, 2 * half, 2 * half, f"point{blind}")
    drawing.text(_LEFT + _PLOT + 14, y + 4, _interval(row), f"num strong{blind}")
    drawing.text(_LEFT + _PLOT + 192, y + 4, row.note, "num soft")


def _description(rows: Sequence[ForestRow]) -> str:
    return " ".join(
        f"{row.label}:" if row.heading else f"{row.label} {'' if row.value is None else _interval(row)} ({row.note})."
        for row in rows
    )


def _interval(row: ForestRow) -> str:
    if row.low is None or row.high is None:
        return f"{row.value:+.2f}"
    return f"{row.value:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"


def _x(value: float) -> float:
    return placed(value, (-1.0, 1.0), (_LEFT, _LEFT + _PLOT))
