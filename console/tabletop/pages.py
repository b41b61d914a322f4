"""Pages of an exercise on paper: one self-contained HTML file each, or Markdown.

Text from outside can neither mark up nor hide in either.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from turncoat.agent.exercise.records import ROLE_NAMES

from ..report.drawing import sign
from ..report.markdown import sentence
from ..report.shown import shown

_NAMES: dict[str, str] = {str(role): name for role, name in ROLE_NAMES.items()}
FATES = {
    "escalate": "escalated",
    "review": "left for review",
    "dismiss": "dismissed",
    "prevented": "prevented",
    "undetected": "nothing detects it",
    "coming": "not reached",
    "": "–",
}
_SIGNS = {"escalate": "escalate", "review": "review", "dismiss": "dismiss", "undetected": "undetected"}


def html_page(name: str, zone: ZoneInfo, told: Mapping[str, Any]) -> str:
    """The HTML page of a template. Equal contents give equal bytes."""
    style = _text("report", "report.css") + _text("tabletop", "paper.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    env = Environment(
        loader=FunctionLoader(lambda template: _text("tabletop", template)), autoescape=True, undefined=StrictUndefined,
        finalize=shown, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    _add(env, zone)
    env.globals |= {"fate": _fate, "style": Markup(style), "style_hash": f"sha256-{digest}"}
    return env.get_template(f"{name}.html.j2").render(told)


def markdown_page(name: str, zone: ZoneInfo, told: Mapping[str, Any]) -> str:
    """The same in Markdown. Every text that a template prints is harmless or a code span."""
    env = Environment(
        loader=FunctionLoader(lambda template: _text("tabletop", template)), autoescape=False, undefined=StrictUndefined,
        finalize=lambda value: sentence(value) if isinstance(value, str) else value, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    _add(env, zone)
    return env.get_template(f"{name}.md.j2").render(told)


def _add(env: Environment, zone: ZoneInfo) -> None:
    env.globals |= {"ROLES": ROLE_NAMES, "FATES": FATES}
    env.filters |= {
        "clock": lambda at: clock(at, zone),
        "span": span,
        "role": lambda name: _NAMES.get(str(name), str(name)),
        "dwell": lambda minutes: span(timedelta(minutes=minutes)),
    }


def clock(at: datetime | None, zone: ZoneInfo) -> str:
    """`Tue 3 Mar 09:22`, local to the campaign; a dash for never."""
    return f"{at.astimezone(zone):%a} {at.astimezone(zone).day} {at.astimezone(zone):%b %H:%M}" if at else "–"


def span(length: timedelta | None) -> str:
    """`2 d 4 h`, `5 h 12 min`, `8 min`; a dash for none."""
    if length is None:
        return "–"
    minutes = round(length.total_seconds() / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def _fate(name: str) -> Markup:
    """The sign of a fate and its words; those that have no sign are words alone."""
    drawn = sign(_SIGNS[name]) if name in _SIGNS else Markup("")  # type: ignore[arg-type]
    return Markup('<span class="nb">{}{}</span>').format(drawn, FATES[name])


def _text(place: str, name: str) -> str:
    return resources.files("turncoat.console").joinpath(f"{place}/templates/{name}").read_text(encoding="utf-8")
