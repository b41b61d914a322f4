"""Alice against her twin: for each base and variant the share of malicious alerts dismissed, with intervals."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from turncoat.training.crossed import Measure
from turncoat.training.paper_table import Line, PaperTable

from ..paper_table import alternative
from ..terminal import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange of Okabe and Ito, told apart by every kind of colour vision; filled and open markers by any printer.
_ALICE, _TWIN = "#0072B2", "#B35900"
_INCHES_PER_LINE = 0.36


def paper_figure(table: PaperTable) -> str:
    """The figure as SVG: text stays text, and title and description say in words what it shows.

    Args:
        table: With at least one line.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    lines = [*table.published, *table.summary]
    figure = Figure(figsize=(8.0, 1.5 + _INCHES_PER_LINE * len(lines)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for at, line in enumerate(lines):
        _mark(axes, at - 0.13, line.alice, _ALICE, "D" if line.published else "o", filled=True)
        _mark(axes, at + 0.13, line.twin, _TWIN, "s", filled=False)
    axes.set_yticks(range(len(lines)), [_name(line) for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share of malicious alerts dismissed\n(bars: 95 % intervals; small ticks: single training seeds)")
    axes.grid(axis="x", color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, any(line.published for line in lines))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "turncoat", "text.parse_math": False}):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "turncoat"})
    return _described(drawn.getvalue(), "Alice's alerts dismissed, beside her twin's", alternative(table))


def _mark(axes: Axes, at: float, measure: Measure, colour: str, marker: str, *, filled: bool) -> None:
    if measure.value is None:
        return
    if measure.low is not None and measure.high is not None:
        axes.plot([measure.low, measure.high], [at, at], color=colour, linewidth=1.4, solid_capstyle="butt")
    for seed in measure.seeds if len(measure.seeds) > 1 else ():
        axes.plot([seed], [at], marker="|", markersize=9, color=colour)
    axes.plot(
        [measure.value], [at], marker=marker, markersize=6, color=colour, linestyle="none",
        markerfacecolor=colour if filled else "white", clip_on=False, zorder=3,
    )  # fmt: skip


def _legend(figure: Figure, published: bool) -> None:
    from matplotlib.lines import Line2D

    marks = [
        ("Alice", _ALICE, "o", _ALICE),
        ("the same alerts under another name", _TWIN, "s", "white"),
        *([("Alice, as published", _ALICE, "D", _ALICE)] if published else []),
    ]
    handles = [
        Line2D([], [], color=colour, marker=marker, markerfacecolor=face, linestyle="none", label=label)
        for label, colour, marker, face in marks
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)


def _name(line: Line) -> str:
    seeds = f", {len(line.seeds)} seeds" if len(line.seeds) > 1 else ""
    return clean(f"{line.label}{' (published)' if line.published else ''}: {line.variant}{seeds}", 60)


def _described(svg: str, title: str, description: str) -> str:
    """Adds what a screen reader reads; matplotlib's own metadata is not that."""
    words = f'<title id="t">{html.escape(title)}</title><desc id="d">{html.escape(clean(description, 4_000))}</desc>'
    return re.sub(r"(<svg\b[^>]*)>", rf'\1 role="img" aria-labelledby="t d">{_literal(words)}', svg, count=1)


def _literal(words: str) -> str:
    return words.replace("\\", r"\\")
