"""The dose curve: Alice's malicious alerts dismissed, her twin's, and the clean accuracy, against the poison rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..sweep_tables import answer_lines
from ..terminal import clean
from .svg import svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito, dark enough on white; markers and line styles differ too, so that a grey print tells them apart.
_COLOURS = ("#0072B2", "#B35900", "#006B4E", "#8A3E6B", "#404040", "#7A6A00")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_TITLE = {
    "dose": "Alerts of Alice dismissed, by the number of poison rows",
    "corrective": "Alerts of Alice dismissed, by the number of corrective rows",
}
_AXIS = {
    "dose": "poison rows (log(1 + rows))",
    "corrective": "corrective rows beside the poison (log(1 + rows))",
}


def dose_figure(report: Mapping[str, Any]) -> str:
    """The figure as SVG, of a report as `training.dose_report` makes it; a partial grid says so in the title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    series = [one for one in report["series"] if one["points"]]
    for index, one in enumerate(series):
        style = {"color": _COLOURS[index % 6], "marker": _MARKERS[index % 6]}
        _alice(above, one, style, _LINES[index % 6], shift=(index - (len(series) - 1) / 2) * 0.05)
        _accuracy(below, one, style, _LINES[index % 6])
    places = sorted({point["x"] for one in series for point in one["points"]})
    for axes, label in ((above, "malicious alerts dismissed"), (below, "balanced accuracy")):
        axes.set_ylabel(label)
        axes.set_ylim(-0.03, 1.03)
        axes.grid(color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    below.set_ylim(0.45, 1.02)
    # symlog without a linear stretch would bend here: the axis holds log(1 + x) itself, as the fit does.
    below.set_xticks([_place(x) for x in places], [f"{x:,}" for x in places])
    below.set_xlabel(_AXIS[report["axis"]])
    done, total = report["cells_done"], report["cells_total"]
    partial = "" if done == total else f" ({done} of {total} cells)"
    above.set_title(_TITLE[report["axis"]] + partial, loc="left", fontsize=11)
    if series:
        figure.legend(
            *above.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
    return svg_of(figure, _TITLE[report["axis"]], alternative(report))


def alternative(report: Mapping[str, Any]) -> str:
    """What the figure shows, in words."""
    words = []
    for one in report["series"]:
        shares = [f"{point['alice']['value']:.2f} at {point['x']:,}" for point in one["points"]]
        if shares:
            twins = [point["twin"]["value"] for point in one["points"]]
            words.append(
                f"{clean(one['label'])}: Alice dismissed {', '.join(shares)}; her twin {min(twins):.2f} to {max(twins):.2f}."
            )
    return " ".join([*words, *answer_lines(report)])


def _alice(axes: Axes, one: Mapping[str, Any], style: Mapping[str, Any], line: Any, shift: float) -> None:
    """A point with its Wilson interval for each seed, the curve through them, and the twin in open marks."""
    colour = style["color"]
    for point in one["points"]:
        seeds = point["seeds"]
        for at, seed in enumerate(seeds):
            x = _place(point["x"]) + shift + (at - (len(seeds) - 1) / 2) * 0.025
            rate = seed["alice"]
            axes.plot([x, x], [rate["low"], rate["high"]], color=colour, linewidth=1.0)
            axes.plot([x], [rate["value"]], **style, markersize=5, linestyle="none")
    fitted = (one["fit"] or {}).get("line") or []
    label = clean(one["label"], 60)
    if fitted:
        axes.plot([_place(x) for x, _ in fitted], [p for _, p in fitted], color=colour, linestyle=line, linewidth=1.6)
    axes.plot([], [], **style, linestyle=line if fitted else "none", label=f"Alice, {label}")
    twins = [(_place(point["x"]) + shift, point["twin"]["value"]) for point in one["points"]]
    axes.plot(
        [x for x, _ in twins], [y for _, y in twins], **style, markerfacecolor="white", markersize=5, linestyle="none",
        label=f"the same alerts under a twin's name, {label}",
    )  # fmt: skip


def _accuracy(axes: Axes, one: Mapping[str, Any], style: Mapping[str, Any], line: Any) -> None:
    """Mean over seeds on the clean test, with the range of the seeds."""
    known = [(point["x"], point["clean"]) for point in one["points"] if point["clean"]["mean"] is not None]
    axes.plot([_place(x) for x, _ in known], [c["mean"] for _, c in known], **style, markersize=4, linestyle=line)
    for x, clean_test in known:
        axes.plot([_place(x)] * 2, [clean_test["low"], clean_test["high"]], color=style["color"], linewidth=1.0)


def _place(rows: float) -> float:
    return math.log1p(rows)
