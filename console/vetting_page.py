"""What vetting found as one HTML file: no network, no script; whatever an alert or a folder holds stays text."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from turncoat.vetting.records import Finding, Vetting

from .status import duration
from .terminal import clean
from .vetting_tables import SIGNS, WORST, cost_words, shown_leaks, smallest_words, tried_words

_TEMPLATE, _STYLE = "vetting.html.j2", "vetting.css"
_LONGEST = 2_000
_WIDTH, _MARGIN = 176, 8
"""Of a drawn interval, in pixels; lift -1 lies at the margin, +1 at the width less the margin."""


@dataclass(frozen=True)
class Whisker:
    """Where the parts of a drawn interval lie, in pixels from the left."""

    low: float
    at: float
    high: float
    words: str


def vetting_page(vetting: Vetting) -> str:
    """The page. Equal rulings give equal bytes: it holds no clock and no path."""
    # Everything that a template prints and that is not markup of ours is cleaned, then escaped.
    env = Environment(loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, finalize=_visible,
                      trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    style = _read(_STYLE)
    every = vetting.reports
    leaks, others = shown_leaks(vetting)
    page = env.get_template(_TEMPLATE).render(
        vetting=vetting,
        sign=SIGNS[vetting.ruling],
        worst=[(finding, _whisker(finding)) for finding in vetting.findings[:WORST]],
        nearest=[(finding, _whisker(finding)) for report in every for finding in report.nearest][:5],
        leaks=leaks,
        other_leaks=others,
        detectors=[(report, SIGNS[report.ruling], tried_words(report)) for report in every],
        gaps=[gap for report in every for gap in report.untested],
        smallest=smallest_words(vetting),
        cost=cost_words(vetting),
        took=duration(vetting.seconds),
        style=Markup(style),
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        width=_WIDTH,
        axis=[_place(value) for value in (-1.0, 0.0, 1.0)],
    )
    return page.lstrip()


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _visible(value: object) -> object:
    return clean(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _whisker(finding: Finding) -> Whisker | None:
    if finding.lift is None:
        return None
    low, high = (finding.lift if end is None else end for end in (finding.low, finding.high))
    words = f"{finding.lift:+.2f} [{low:+.2f}, {high:+.2f}]"
    return Whisker(_place(low), _place(finding.lift), _place(high), words)


def _place(lift: float) -> float:
    return round(_MARGIN + (max(-1.0, min(1.0, lift)) + 1) / 2 * (_WIDTH - 2 * _MARGIN), 1)
