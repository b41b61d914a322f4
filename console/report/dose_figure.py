"""The dose curves of a sweep: how many poison rows suffice, one line and one shape of mark per series."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from ..sweep_tables import answer_lines
from .drawing import CHARACTER, Drawing, fitted, placed
from .outside import DoseCurve, Point, Series

_LEFT, _PLOT, _RIGHT, _TOP, _HEIGHT = 60.0, 620.0, 300.0, 26.0, 250.0
_SHAPES = 4
MOST_SERIES = 8
AXES = {"dose": "poison rows", "corrective": "corrective rows beside the poison"}


def dose_figure(name: str, curve: DoseCurve) -> Markup:
    """Share of the malicious alerts dismissed against log(1 + rows); filled: Alice, open: the same under her twin."""
    series = [one for one in curve.series if one.points][:MOST_SERIES]
    foot = _TOP + _HEIGHT
    drawing = Drawing(
        name, _LEFT + _PLOT + _RIGHT, foot + 56, "Malicious alerts dismissed, by dose", described(curve)
    )  # fmt: skip
    places = sorted({point.x for one in series for point in one.points})
    top = math.log1p(max(places, default=1.0)) or 1.0
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        drawing.line(_LEFT, y, _LEFT + _PLOT, y, "axis" if share == 0 else "grid")
        drawing.text(_LEFT - 8, y + 4, f"{100 * share:.0f} %", "num soft", "end")
    last = -100.0
    for x in places:
        at = _x(x, top)
        drawing.line(at, foot, at, foot + 5, "axis")
        if at - last > 30:
            drawing.text(at, foot + 20, f"{x:,.0f}", "num soft", "middle")
            last = at
    drawing.text(_LEFT + _PLOT / 2, foot + 44, f"{AXES[curve.axis]} (log scale)", "soft", "middle")
    drawing.text(_LEFT, 12, "malicious alerts dismissed", "soft")
    for number, one in enumerate(series):
        _series(drawing, one, number, top)
    return drawing.markup()


def described(curve: DoseCurve) -> str:
    """The figure in words."""
    words = []
    for one in curve.series:
        shares = [
            f"{100 * point.alice.value:.0f} % at {point.x:,.0f}"
            for point in one.points
            if point.alice.value is not None
        ]
        if shares:
            words.append(f"{one.label}: Alice dismissed {', '.join(shares)}.")
    return " ".join([*words, *answers(curve)])


def answers(curve: DoseCurve) -> list[str]:
    """The doses that suffice, in sentences."""
    return answer_lines(curve.model_dump())


def _series(drawing: Drawing, one: Series, number: int, top: float) -> None:
    dash = f"series s{number % _SHAPES}"
    if one.fit and one.fit.line:
        drawing.path([(_x(dose, top), _y(share)) for dose, share in one.fit.line], dash)
    for point in one.points:
        _point(drawing, point, number, top)
    y = _TOP + 14 + 40 * number
    x = _LEFT + _PLOT + 22
    drawing.line(x, y, x + 30, y, dash)
    _shape(drawing, x + 15, y, number, "point")
    most = int((_RIGHT - 62) / CHARACTER)
    drawing.text(x + 38, y + 4, fitted(one.label, most), "strong")
    drawing.text(x + 38, y + 19, "open: under a twin's name", "soft")


def _point(drawing: Drawing, point: Point, number: int, top: float) -> None:
    x = _x(point.x, top) + 7.0 * (number % _SHAPES - 0.5)
    alice, twin = point.alice, point.twin
    if twin.value is not None:
        _shape(drawing, x, _y(twin.value), number, "open")
    if alice.value is not None:
        if alice.low is not None and alice.high is not None:
            drawing.line(x, _y(alice.low), x, _y(alice.high), "whisker")
        _shape(drawing, x, _y(alice.value), number, "point")


def _shape(drawing: Drawing, x: float, y: float, number: int, style: str) -> None:
    """Square, diamond, triangle, or a flat one."""
    r = 4.5
    corners: Sequence[Sequence[tuple[float, float]]] = (
        ((-r, -r), (r, -r), (r, r), (-r, r)),
        ((0, -r - 1.5), (r + 1.5, 0), (0, r + 1.5), (-r - 1.5, 0)),
        ((0, -r - 1), (r + 1, r), (-r - 1, r)),
        ((-r - 2, -r / 2), (r + 2, -r / 2), (r + 2, r / 2), (-r - 2, r / 2)),
    )
    drawing.path([(x + dx, y + dy) for dx, dy in corners[number % _SHAPES]], style, closed=True)


def _x(rows: float, top: float) -> float:
    return placed(math.log1p(rows), (0.0, top), (_LEFT + 12, _LEFT + _PLOT))


def _y(share: float) -> float:
    return placed(share, (0.0, 1.0), (_TOP + _HEIGHT, _TOP))
