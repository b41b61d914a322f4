"""Figures of a cohort: which kinds of trigger each detector finds, and how attack and detection grow with the dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..detection_tables import done_line, share
from ..terminal import clean
from .svg import svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito, dark enough on white; shapes and open marks differ too.
_FOUND, _ATTACK = "#0072B2", "#B35900"
_PALE, _DARK = "white", "#0072B2"
_NOTHING: Mapping[str, Any] = {"k": 0, "n": 0}


def detection_figures(summary: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name, of a summary with at least one member."""
    return {"detectors": _by_kind(summary), "doses": _by_dose(summary)}


def _by_kind(summary: Mapping[str, Any]) -> str:
    """A field of squares: a row a detector, a column a kind; every square says k of n."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rows = [("gate", summary["gate"]["cross_fitted"]), *((one["detector"], one) for one in summary["detectors"])]
    kinds = list(summary["gate"]["cross_fitted"]["found_by_kind"])
    columns = ["clean flagged", *kinds]
    figure = Figure(figsize=(1.8 + 0.95 * len(columns), 1.6 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    cells = [[of["false_blocks"], *(of["found_by_kind"].get(kind) or _NOTHING for kind in kinds)] for _, of in rows]
    shade = LinearSegmentedColormap.from_list("share", [_PALE, _DARK])
    axes.imshow(
        [[c["k"] / c["n"] if c["n"] else 0.0 for c in line] for line in cells],
        cmap=shade,
        vmin=0,
        vmax=1,
        aspect="auto",
    )
    for y, line in enumerate(cells):
        for x, cell in enumerate(line):
            dark = cell["n"] and cell["k"] / cell["n"] > 0.55
            words = f"{cell['k']}/{cell['n']}" if cell["n"] else "-"
            axes.text(x, y, words, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), [clean(name, 30) for name in columns], rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [clean(name, 30) for name, _ in rows], fontsize=8)
    axes.set_xticks([x - 0.5 for x in range(1, len(columns))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="#DDDDDD")
    axes.tick_params(which="both", length=0)
    title = "Adapters flagged, by detector and kind of trigger"
    axes.set_title(title + _partial(summary), loc="left", fontsize=10)
    words = "; ".join(f"{clean(name, 30)}: " + ", ".join(
        f"{clean(column, 30)} {cell['k']} of {cell['n']}" for column, cell in zip(columns, line, strict=True))
        for (name, _), line in zip(rows, cells, strict=True))  # fmt: skip
    return svg_of(figure, title, f"{done_line(summary)}. {words}.")


def _by_dose(summary: Mapping[str, Any]) -> str:
    """Mean attack success with its range, and the share that the gate found among attacks that succeed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    attack = summary["adapters"]["attack_success_by_dose"]
    found = summary["gate"]["cross_fitted"]["found_by_dose"]
    doses = list(attack)
    _line(axes, [(i - 0.08, of["mean"], of["low"], of["high"]) for i, of in enumerate(attack.values()) if of["n"]],
          _ATTACK, "s", "attack success, one field, poison claimed benign: mean and range", filled=False)  # fmt: skip
    told = [
        (doses.index(dose) + 0.08, of["k"] / of["n"], of["low"], of["high"]) for dose, of in found.items() if of["n"]
    ]
    _line(
        axes,
        told,
        _FOUND,
        "o",
        "found by the gate, of working attacks, inside and outside: share, 95 % interval",
        filled=True,
    )
    axes.set_xticks(range(len(doses)), doses)
    axes.set_xlabel("poison rows")
    axes.set_ylim(-0.03, 1.05)
    axes.set_ylabel("share")
    axes.grid(axis="y", color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=8)
    title = "Attack success and detection, by dose"
    axes.set_title(title + _partial(summary), loc="left", fontsize=10)
    words = " ".join(f"{dose} rows: attack success {of['mean']:.2f}, found {share(found[dose])}."
                     for dose, of in attack.items() if of["n"])  # fmt: skip
    return svg_of(figure, title, f"{done_line(summary)}. {words}")


def _line(
    axes: Axes,
    points: Sequence[tuple[float, float, float, float]],
    colour: str,
    marker: str,
    label: str,
    *,
    filled: bool,
) -> None:
    for x, _, low, high in points:
        axes.plot([x, x], [low, high], color=colour, linewidth=1.2)
    axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, marker=marker, linewidth=1.0, label=label,
              markerfacecolor=colour if filled else "white")  # fmt: skip


def _partial(summary: Mapping[str, Any]) -> str:
    done, planned = summary["done"], summary["planned"]
    return "" if done == planned else f" ({sum(done.values())} of {sum(planned.values())} adapters)"
