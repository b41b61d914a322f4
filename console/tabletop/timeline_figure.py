"""The attack over time: what happened, what either model made of it, and what the team knew, one lane each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from markupsafe import Markup

from turncoat.agent.exercise.after_action import AfterAction, Moment
from turncoat.agent.storyline import Fate

from ..report.drawing import Drawing, placed
from .pages import FATES, clock

_DOT, _DAY_NAME = 4.0, 80.0
_WIDTH, _LEFT, _RIGHT, _TOP, _LANE = 1040.0, 190.0, 20.0, 62.0, 46.0


def timeline_figure(after: AfterAction) -> Markup:
    """The drawing; what it shows stands in the table below it too."""
    material, moments = after.material, after.timeline
    zone = material.calendar.zone
    lanes = ("The attack", f"{material.variant} model", f"{material.reference} model", "Your team")
    height = _TOP + _LANE * len(lanes) + 34
    first = min((moment.step.at for moment in moments), default=material.begins) - timedelta(hours=6)
    last = max((*(moment.step.at for moment in moments), *_instants(after)), default=material.ends) + timedelta(hours=6)
    x = _Axis(first, last)
    told = "; ".join(
        f"{clock(m.step.at, zone)} {m.step.title}: {FATES[m.step.fate]}, the team knew at {clock(m.step.known_at, zone)}"
        for m in moments
    )
    drawing = Drawing("attack", _WIDTH, height, "The attack and what was known of it", told)
    _days(drawing, after, x, height)
    for number, name in enumerate(lanes):
        y = _TOP + _LANE * (number + 0.5)
        drawing.line(_LEFT, y, _WIDTH - _RIGHT, y, "grid")
        drawing.text(0, y + 4, name, "strong" if number in (0, 3) else "")
    for moment in moments:
        _moment(drawing, after, moment, x)
    _marks(drawing, after, x, height)
    return drawing.markup()


class _Axis:
    """Time to the right."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self.first, self.last = first, last

    def __call__(self, at: datetime) -> float:
        domain = (self.first.timestamp(), self.last.timestamp())
        return placed(at.timestamp(), domain, (_LEFT, _WIDTH - _RIGHT))


def _instants(after: AfterAction) -> list[datetime]:
    times = after.times
    known = [moment.step.known_at for moment in after.timeline]
    return [at for at in (times.known, times.acted, times.contained, times.reference_known, *known) if at is not None]


def _days(drawing: Drawing, after: AfterAction, x: _Axis, height: float) -> None:
    zone = after.material.calendar.zone
    day = x.first.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= x.last:
        if day >= x.first:
            drawing.line(x(day), _TOP, x(day), height - 24, "axis")
        begun, day = day, day + timedelta(days=1)
        if x(day) - x(begun) > _DAY_NAME:  # a part of a day may be too narrow for its name
            drawing.text(x(begun) + 4, height - 8, f"{begun:%a} {begun.day} {begun:%b}", "soft")


def _moment(drawing: Drawing, after: AfterAction, moment: Moment, x: _Axis) -> None:
    step, zone = moment.step, after.material.calendar.zone
    at, y = x(step.at), [_TOP + _LANE * (number + 0.5) for number in range(4)]
    if step.uid is None:
        drawing.mark("undetected", at, y[0], f"{clock(step.at, zone)} {step.title}")
    else:
        drawing.box(at - _DOT, y[0] - _DOT, 2 * _DOT, 2 * _DOT, "point")
    if step.fate in ("prevented", "coming") or step.uid is None:
        return
    drawing.mark(cast(Fate, moment.deployed), at, y[1], FATES[moment.deployed])
    drawing.mark(cast(Fate, moment.reference), at, y[2], FATES[moment.reference])
    if step.known_at is not None:
        drawing.mark("escalate", x(step.known_at), y[3], f"known at {clock(step.known_at, zone)}: {step.title}")


def _marks(drawing: Drawing, after: AfterAction, x: _Axis, height: float) -> None:
    """The times that matter, each with its words above; words that would overlap stand on lines of their own."""
    times, zone = after.times, after.material.calendar.zone
    wanted = {
        f"{after.material.reference} model would have told": times.reference_known,
        "you knew": times.known,
        "contained": times.contained,
    }
    drawn = sorted((at, words) for words, at in wanted.items() if at is not None)
    for number, (at, words) in enumerate(drawn):
        y = 14.0 + 18.0 * number
        drawing.line(x(at), y + 4, x(at), height - 24, "event look" if words == "you knew" else "event")
        late = x(at) > (_LEFT + _WIDTH) / 2
        text = f"{words} {clock(at, zone)}"
        drawing.text(x(at) - 5 if late else x(at) + 5, y + 4, text, "strong", "end" if late else "start")
