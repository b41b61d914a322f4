"""The campaign as a picture: phases and steps from left to right, and a lane per variant and name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from turncoat.agent.comparison import Comparison, PrincipalFigures
from turncoat.agent.storyline import Fate, Lane, Scene, Storyline

from .drawing import CHARACTER, MARK, Drawing, fitted, wrapped
from .shown import visible
from .words import FATES, day, first_seen, scene_words, share

_LEFT, _RIGHT, _STEP, _LANE, _LINE, _FOOT = 170.0, 212.0, 40.0, 32.0, 15.0, 44.0
_GAP = 10.0
MOST_STEPS = 60
"""Steps that the figure draws; the table beside it goes on."""


def timeline_figure(name: str, story: Storyline, comparison: Comparison) -> Markup:
    """Escalated, dismissed, reviewed, forced, undetected: each step in the lane of each variant and name."""
    frame = _Frame.of(story.scenes[:MOST_STEPS], len(story.lanes), len({lane.variant for lane in story.lanes}))
    drawing = Drawing(
        name, frame.right + _RIGHT, frame.foot + _FOOT, "What became of every step", _description(story, comparison)
    )
    for number, band in enumerate(frame.bands):
        drawing.box(band.x + 1, 2, band.width - 2, frame.foot - 2, f"band b{number % 2}")
        for line, words in enumerate(band.lines):
            drawing.text(band.x + 7, 18 + _LINE * line, words, "strong")
    y, before = frame.top + _LANE / 2, ""
    for lane in story.lanes:
        if before and lane.variant != before:
            y += _GAP
        if lane.variant != before:
            drawing.text(0, y + 4, fitted(lane.variant, 10), "strong")
        _lane(drawing, frame, lane, y, _row(comparison, lane))
        before, y = lane.variant, y + _LANE
    _days(drawing, frame)
    return drawing.markup()


@dataclass(frozen=True, slots=True)
class _Band:
    """Neighbouring steps of one phase; a phase that takes turns with another has several."""

    x: float
    width: float
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where everything stands."""

    scenes: Sequence[Scene]
    middles: Sequence[float]
    """Of the columns, one per scene."""
    bands: Sequence[_Band]
    top: float
    foot: float
    right: float

    @classmethod
    def of(cls, scenes: Sequence[Scene], lanes: int, variants: int) -> _Frame:
        x, bands, middles = _LEFT, list[_Band](), list[float]()
        for phase, members in groupby(scenes, key=lambda s: s.phase):
            number = len(list(members))
            longest = max((len(word) for word in visible(phase, 200).split()), default=0)
            width = max(_STEP * number, min(longest, 14) * CHARACTER + 16)
            bands.append(_Band(x, width, wrapped(phase, width - 12, 3)))
            middles += [x + width * (place + 0.5) / number for place in range(number)]
            x += width
        top = 14 + _LINE * max((len(band.lines) for band in bands), default=1)
        return cls(scenes, middles, bands, top, top + _LANE * lanes + _GAP * (variants - 1), x)


def _lane(drawing: Drawing, frame: _Frame, lane: Lane, y: float, row: PrincipalFigures | None) -> None:
    """Name, the line that says how long the attack went unseen, the marks, and the figures at the end."""
    drawing.text(92, y + 4, fitted(f"as {lane.principal}", 11), "soft")
    end, places = frame.right - 4, frame.middles
    begin = next((i for i, s in enumerate(frame.scenes) if s.detected and not s.aside), None)
    if begin is not None:
        seen = places[lane.first] if lane.first is not None and lane.first < len(places) else None
        if seen is None or seen > places[begin]:
            drawing.line(places[begin], y, seen or end, y, "unseen")
        if seen is not None:
            drawing.line(seen, y, end, y, "seen")
    for scene, fate, x in zip(frame.scenes, lane.fates, places, strict=False):
        if scene.aside:
            drawing.box(x - MARK - 5, y - MARK - 5, 2 * MARK + 10, 2 * MARK + 10, "aside")
        drawing.mark(fate, x, y, f"{scene_words(scene)}: {lane.variant} as {lane.principal}: {FATES[fate]}")
    if row is not None:
        drawing.text(frame.right + 10, y + 4, share(row.escalated, row.attack_alerts), "strong num")
        style = "num bad" if lane.first is None and row.attack_alerts else "num"
        drawing.text(frame.right + 84, y + 4, fitted(first_seen(row), 19), style)


def _days(drawing: Drawing, frame: _Frame) -> None:
    """The number of each step, and the days below."""
    drawing.text(92, frame.foot + 15, "step", "soft")
    for scene, x in zip(frame.scenes, frame.middles, strict=True):
        drawing.text(x, frame.foot + 15, str(scene.number), "num soft", "middle")
    columns = list(zip(frame.scenes, frame.middles, strict=True))
    for date, members in groupby(columns, key=lambda column: column[0].time.date()):
        inside = list(members)
        x, room = inside[0][1] - _STEP / 2 + 1, inside[-1][1] - inside[0][1] + _STEP - 6
        words = day(inside[0][0].time)
        drawing.line(x, frame.foot + 22, x, frame.foot + 40, "axis")
        drawing.text(x + 4, frame.foot + 38, words if len(words) * CHARACTER < room else f"{date.day}", "soft")


def _description(story: Storyline, comparison: Comparison) -> str:
    """The figure in words."""
    words = []
    for lane in story.lanes:
        counts: dict[Fate, int] = {}
        for fate in lane.fates:
            counts[fate] = counts.get(fate, 0) + 1
        each = ", ".join(f"{number} {FATES[fate]}" for fate, number in counts.items())
        row = _row(comparison, lane)
        seen = f"; first escalated {first_seen(row)}" if row else ""
        words.append(f"{lane.variant} as {lane.principal}: {each}{seen}.")
    left_out = f" The first {MOST_STEPS} steps are drawn." if len(story.scenes) > MOST_STEPS else ""
    return " ".join(words) + left_out + " The table below has every step."


def _row(comparison: Comparison, lane: Lane) -> PrincipalFigures | None:
    figures = comparison.variants.get(lane.variant)
    return figures.principals.get(lane.principal) if figures else None
