"""SVG drawn by hand: text stays text, colours come from the page's style sheet, so that dark and print follow along."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from turncoat.agent.storyline import Fate
from turncoat.models.metrics import Rate

from .shown import visible

MARK = 7.0
"""Half the size of a mark."""
CHARACTER = 7.8
"""Width of an average character at the size of the figures' text; generous, since fonts differ."""


_GAUGE = 51


class Drawing:
    """Collects shapes, and gives them out as one `<svg>` with a name and a description for whoever cannot see it."""

    def __init__(self, name: str, width: float, height: float, title: str, description: str) -> None:
        """`name` is unique on the page and of our own making: ids are made of it."""
        self._name, self._width, self._height = name, width, height
        self._title, self._description = title, description
        self._parts: list[Markup] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self._parts.append(_tag(f'<line class="{style}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'))

    def box(self, x: float, y: float, width: float, height: float, style: str) -> None:
        size = f'width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"'
        self._parts.append(_tag(f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" {size}/>'))

    def path(self, points: Iterable[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        way = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        if way:
            self._parts.append(_tag(f'<path class="{style}" d="M{way}{"Z" if closed else ""}"/>'))

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """One line; what it says may come from anywhere."""
        place = f'class="t {style}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"'
        self._parts.append(_tag(f"<text {place}>{escape(visible(words))}</text>"))

    def mark(self, fate: Fate, x: float, y: float, told: str = "") -> None:
        """The sign of a fate: each has a shape of its own, so that colour only repeats it."""
        tip = f"<title>{escape(visible(told))}</title>" if told else ""
        self._parts.append(_tag(f'<g class="m {fate}" transform="translate({_n(x)} {_n(y)})">{tip}{MARKS[fate]}</g>'))

    def markup(self) -> Markup:
        """The whole figure."""
        size = (
            f'viewBox="0 0 {_n(self._width)} {_n(self._height)}" width="{_n(self._width)}" height="{_n(self._height)}"'
        )
        names = f'role="img" aria-labelledby="{self._name}-t {self._name}-d"'
        told = (
            f'<title id="{self._name}-t">{escape(visible(self._title))}</title>'
            f'<desc id="{self._name}-d">{escape(visible(self._description, 4_000))}</desc>'
        )
        return _tag(f'<svg xmlns="http://www.w3.org/2000/svg" {size} {names}>{told}') + Markup("").join(
            self._parts
        ) + Markup("</svg>")  # fmt: skip


MARKS: dict[Fate, str] = {
    "escalate": '<path d="M0 -7.5 8 6.5H-8Z"/>',
    "dismiss": '<circle r="7.5"/><path class="x" d="M-3.2 -3.2 3.2 3.2M-3.2 3.2 3.2 -3.2"/>',
    "review": '<path d="M0 -8 8 0 0 8 -8 0Z"/>',
    "forced": '<rect x="-7" y="-7" width="14" height="14"/><path class="x" d="M0 -4V1M0 3V4.4"/>',
    "undetected": '<circle r="6.5"/>',
    "pending": '<circle r="1.6"/>',
}
"""Shapes around the origin, of our own making."""


def sign(fate: Fate) -> Markup:
    """The sign of a fate as a small picture within words that say the same."""
    return _tag(
        f'<svg class="sign" viewBox="-9 -9 18 18" width="14" height="14" aria-hidden="true">'
        f'<g class="m {fate}">{MARKS[fate]}</g></svg>'
    )


def gauge(rate: Rate) -> Markup:
    """A bar beside a share that stands there in words."""
    style = "good" if 2 * rate.k > rate.n else "bad"
    filled = _n(_GAUGE * (rate.value or 0.0))
    return _tag(
        f'<svg class="bar {style}" viewBox="0 0 {_GAUGE + 1} 10" width="{_GAUGE + 1}" height="10" aria-hidden="true">'
        f'<rect x=".5" y=".5" width="{_GAUGE}" height="9"/><rect class="fill" x=".5" y=".5" width="{filled}" height="9"/>'
        "</svg>"
    )


def wrapped(words: str, width: float, lines: int) -> list[str]:
    """Words broken into at most so many lines of that width; what does not fit ends in an ellipsis."""
    most = max(4, int(width / CHARACTER))
    found = [""]
    for word in visible(words, 200).split():
        if found[-1] and len(found[-1]) + 1 + len(word) > most:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    cut = [line if len(line) <= most else f"{line[: most - 1]}…" for line in found[:lines]]
    if len(found) > lines:
        cut[-1] = f"{cut[-1][: most - 1].rstrip(' …')}…"
    return cut


def fitted(words: str, most: int) -> str:
    """On one line of at most so many characters. What is too long keeps both ends: names of variants differ in either."""
    words = visible(words, 200)
    tail = (most - 1) // 2
    return words if len(words) <= most else f"{words[: most - 1 - tail]}…{words[len(words) - tail :]}"


def ticks(top: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least `top`, about so many steps apart."""
    if not math.isfinite(top) or top <= 0:
        return [0.0, 1.0]
    raw = top / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = max(1.0, next(size * m for m in (1, 2, 5, 10) if size * m >= raw))
    return [step * i for i in range(math.ceil(top / step) + 1)]


def placed(value: float, domain: Sequence[float], span: Sequence[float]) -> float:
    """Where a value of `domain` falls in `span`; values beyond it fall on its ends."""
    low, high = domain
    share = 0.0 if high == low else min(1.0, max(0.0, (value - low) / (high - low)))
    return span[0] + share * (span[1] - span[0])


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _tag(text: str) -> Markup:
    """Of our own making: every text in it is escaped by now."""
    return Markup(text)
