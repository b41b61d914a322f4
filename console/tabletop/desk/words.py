"""Times, spans and decisions in words, and text from outside made safe for the screen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.text import Text

from turncoat.console.terminal import clean

ACCENT, GOOD, WARN, BAD, QUIET = "#7fb4ca", "#98bb6c", "#e6c384", "#e46876", "#8a94a0"
ACTIONS = {"escalate": ("▲ escalate", "bold"), "review": ("◇ review", WARN), "dismiss": ("· dismiss", QUIET)}
"""Sign, word and style of a decision."""
SEVERITIES = {
    "critical": ("crit", f"bold {BAD}"),
    "high": ("high", BAD),
    "medium": ("med", WARN),
    "low": ("low", ""),
    "informational": ("info", QUIET),
}
LONG = 4_000
"""Characters of one field that a case shows."""


def when(moment: datetime, zone: str) -> str:
    """`Mon 09:12`, in the campaign's own time."""
    return f"{moment.astimezone(ZoneInfo(zone)):%a %H:%M}"


def full_time(moment: datetime, zone: str) -> str:
    """`Mon 2 Mar 09:12:40`."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b %H:%M:%S}"


def span(length: timedelta | float) -> str:
    """`12 s`, `30 min`, `1 h 15 min`, `2 d 4 h`; takes a span of time or seconds."""
    seconds = round(length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def action_text(action: str) -> Text:
    """Sign and word of a decision."""
    return Text(*ACTIONS.get(action, (clean(action, 20), "")))


def severity_text(severity: str) -> Text:
    """At most four letters."""
    return Text(*SEVERITIES.get(severity, (clean(severity, 4), "")))


def outside(words: object, style: str = "", limit: int = LONG) -> Text:
    """Text from an alert, a file or a person: cleaned, never markup, and it may wrap."""
    return Text(clean(words, limit), style=style)


def lines(parts: Iterable[Text]) -> Text:
    """One under the other."""
    return Text("\n").join(parts)
