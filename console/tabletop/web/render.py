"""Templates to HTML. Every text is foreign: it is cleaned as for a terminal, then escaped, and there is no way around both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ...terminal import clean
from .statics import Statics

LONGEST_TEXT = 4000
ROLE_WORDS = {
    "facilitator": "Facilitator",
    "analyst": "SOC analyst",
    "lead": "SOC lead",
    "executive": "Executive",
    "clock": "Clock",
}
STATE_WORDS = {"waiting": "Not begun", "running": "Running", "paused": "Paused", "ended": "Ended"}
ACTION_WORDS = {"escalate": "Escalated", "review": "For review", "dismiss": "Dismissed"}


class Pages:
    """Renders the templates of this package."""

    def __init__(self, statics: Statics) -> None:
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_cleaned,
        )
        self._templates.globals |= {
            "static": statics.url,
            "role_words": ROLE_WORDS,
            "state_words": STATE_WORDS,
            "action_words": ACTION_WORDS,
            "whole": whole,
            "lines": lines,
        }
        self._templates.filters |= {
            "moment": moment,
            "hour": hour,
            "short": short,
            "paragraphs": paragraphs,
            "length_of": length_of,
        }

    def html(self, template: str, values: Mapping[str, Any]) -> str:
        """A whole page or a panel."""
        return self._templates.get_template(template).render(values)


def _cleaned(value: Any) -> Any:
    """What every expression of a template passes through. Markup is our own: jinja makes it of macros."""
    return clean(value, LONGEST_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value


def whole(text: str) -> Markup:
    """A text of several lines for a form, each line cleaned and escaped."""
    return escape("\n".join(clean(line, LONGEST_TEXT) for line in text.splitlines()))


def lines(texts: Iterable[str]) -> Markup:
    """Several texts for a form, one a line."""
    return escape("\n".join(clean(text, LONGEST_TEXT) for text in texts))


def moment(at: datetime, zone: str) -> str:
    """`Tue 3 Mar 09:22`, as clocks in the company show it."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def short(at: datetime, zone: str) -> str:
    """`Tue 09:22`, for lists in which days follow each other."""
    return f"{at.astimezone(ZoneInfo(zone)):%a %H:%M}"


def hour(at: datetime, zone: str) -> str:
    """`09:22`."""
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M}"


def length_of(span: timedelta | float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `2 d 3 h`; a float counts seconds."""
    seconds = round(span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (rest if not days else 0, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def paragraphs(text: str) -> list[str]:
    """A text of several paragraphs, cut at its blank lines."""
    return [part for part in (part.strip() for part in text.split("\n\n")) if part]
