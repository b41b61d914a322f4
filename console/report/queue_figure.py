"""The analysts' queue over simulated time: how many alerts wait, hour by hour, one panel per variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from turncoat.agent.cascade import CloudLoad

from ..cascade_tables import brief
from .drawing import Drawing, fitted, placed, ticks
from .words import counted, day

_LEFT, _PLOT, _RIGHT, _PANEL, _GAP, _TOP = 182.0, 630.0, 250.0, 72.0, 18.0, 10.0
_LONGEST_MINUTES = 1_000 * 24 * 60
"""Further than any axis reaches; rows of a run folder may claim what no calendar holds."""


def queue_figure(name: str, loads: Sequence[CloudLoad], first_attack: datetime | None) -> Markup:
    """Panels that share both axes.

    Args:
        name: Unique on the page.
        loads: One per variant, under one name.
        first_attack: When the attack's first alert was raised; None without an attack.
    """
    spans = [span for load in loads if (span := _span(load))]
    top = max((max(load.queue, default=0) for load in loads), default=0)
    height = _TOP + len(loads) * (_PANEL + _GAP) + 34
    drawing = Drawing(name, _LEFT + _PLOT + _RIGHT, height, "Alerts that wait for an analyst", _description(loads))
    if not spans:
        drawing.text(_LEFT, 30, "Nothing was escalated, so nothing waited.", "soft")
        return drawing.markup()
    begin, end = min(s[0] for s in spans), max(s[1] for s in spans)
    if first_attack is not None:
        begin, end = min(begin, first_attack), max(end, first_attack)
    begin, end = _midnight(begin), _midnight(end + timedelta(days=1))
    for number, load in enumerate(loads):
        foot = _TOP + number * (_PANEL + _GAP) + _PANEL
        _panel(drawing, load, foot, ticks(float(top), 2), (begin, end), first_attack)
    _days(drawing, begin, end, _TOP + len(loads) * (_PANEL + _GAP))
    return drawing.markup()


def _panel(
    drawing: Drawing,
    load: CloudLoad,
    foot: float,
    scale: Sequence[float],
    span: tuple[datetime, datetime],
    first_attack: datetime | None,
) -> None:
    for at in scale:
        y = _y(at, scale, foot)
        drawing.line(_LEFT, y, _LEFT + _PLOT, y, "axis" if at == 0 else "grid")
        drawing.text(_LEFT - 8, y + 4, f"{at:g}", "num soft", "end")
    drawing.text(0, foot - _PANEL / 2 + 4, fitted(load.variant, 14), "strong")
    points = [(_x(moment, span), _y(waiting, scale, foot)) for moment, waiting in _corners(load)]
    if points:
        drawing.path([(points[0][0], foot), *points, (points[-1][0], foot)], "area", closed=True)
        drawing.path(points, "curve")
    if first_attack is not None:
        _moment(drawing, first_attack, span, foot, "event")
        if load.first_look_or_forced_minutes is not None:
            look = first_attack + timedelta(minutes=min(load.first_look_or_forced_minutes, _LONGEST_MINUTES))
            _moment(drawing, look, span, foot, "event look")
    drawing.text(_LEFT + _PLOT + 12, foot - 38, f"peak {load.queue_peak:,}", "num strong")
    drawing.text(_LEFT + _PLOT + 12, foot - 20, f"{load.analyst_hours:,.1f} analyst hours", "num soft")
    if load.attack_alerts:
        seen = load.first_look_or_forced_minutes
        words = "attack never looked at" if seen is None else f"attack seen after {brief(seen)}"
        drawing.text(_LEFT + _PLOT + 12, foot - 2, words, "num bad" if seen is None else "num soft")


def _moment(drawing: Drawing, moment: datetime, span: tuple[datetime, datetime], foot: float, style: str) -> None:
    x = _x(moment, span)
    drawing.line(x, foot - _PANEL, x, foot, style)


def _days(drawing: Drawing, begin: datetime, end: datetime, y: float) -> None:
    number = (end - begin).days
    every = max(1, -(-number // 10))
    for at in range(0, number + 1, every):
        moment = begin + timedelta(days=at)
        x = _x(moment, (begin, end))
        drawing.line(x, y - _GAP, x, y - _GAP + 5, "axis")
        if at < number:
            drawing.text(x + 3, y + 2, day(moment), "soft")
    drawing.text(_LEFT, y + 24, "dashed: first attack alert; solid: an analyst first looks at one", "soft")


def _corners(load: CloudLoad) -> Iterator[tuple[datetime, int]]:
    """The queue as steps, points only where it changes."""
    span = _span(load)
    if span is None:
        return
    begin, before = span[0], 0
    for hour, waiting in enumerate(load.queue):
        if waiting != before or hour in (0, len(load.queue) - 1):
            moment = begin + timedelta(hours=hour)
            yield moment, before
            yield moment, waiting
            before = waiting


def _span(load: CloudLoad) -> tuple[datetime, datetime] | None:
    """From when until when something waited; None where nothing did, or at a time that no campaign can have."""
    try:
        begin = datetime.fromisoformat(load.queue_begins)
    except ValueError:
        return None
    return (begin, begin + timedelta(hours=max(1, len(load.queue)))) if 1990 <= begin.year < 2200 else None


def _description(loads: Sequence[CloudLoad]) -> str:
    words = []
    for load in loads:
        seen = "the attack was never looked at"
        if load.first_look_or_forced_minutes is not None:
            seen = f"an analyst first looked at the attack {brief(load.first_look_or_forced_minutes)} after its first alert"
        seen = seen if load.attack_alerts else "there was no attack"
        words.append(
            f"{load.variant}: {counted(load.escalations, 'escalation')}, at most {load.queue_peak} waiting; {seen}."
        )
    return " ".join(words)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _x(moment: datetime, span: tuple[datetime, datetime]) -> float:
    return placed(moment.timestamp(), (span[0].timestamp(), span[1].timestamp()), (_LEFT, _LEFT + _PLOT))


def _y(waiting: float, scale: Sequence[float], foot: float) -> float:
    return placed(waiting, (0.0, scale[-1]), (foot, foot - _PANEL + 6))
