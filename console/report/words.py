"""Figures as short words, as the page and the Markdown say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from turncoat.agent.comparison import PrincipalFigures
from turncoat.agent.storyline import Aside, Fate, Scene
from turncoat.models.metrics import Rate

from ..tables import minutes

FATES: dict[Fate, str] = {
    "escalate": "escalated",
    "dismiss": "dismissed",
    "review": "review",
    "forced": "forced",
    "undetected": "no alert",
    "pending": "not decided yet",
}
MEANINGS: dict[Fate, str] = {
    "escalate": "handed to the cloud SOC",
    "dismiss": "let pass as benign",
    "review": "left to a person",
    "forced": "escalated for want of a sound verdict; counts nowhere as detected",
    "undetected": "nothing detects this step",
    "pending": "the run has not come to it",
}
ASIDES: dict[Aside, str] = {
    "": "",
    "injected": "talks to the model; not counted",
    "bystander": "in another's name; not counted",
    "benign": "harmless; not counted",
}


def first_seen(row: PrincipalFigures) -> str:
    """When the attack was first escalated, in simulated time from its first alert."""
    if row.first_escalation is not None:
        return f"after {minutes(row.first_escalation.minutes)}"
    return f"never (> {minutes(row.dwell_minutes)})" if row.attack_alerts else "–"


def first_phase(row: PrincipalFigures, titles: Mapping[str, str]) -> str:
    """The phase in which it was; empty where it never was."""
    phase = row.first_escalation.phase if row.first_escalation else None
    return titles.get(phase, phase) if phase else ""


def share(k: int, n: int) -> str:
    """`13 of 14`; a dash for 0 of 0."""
    return f"{k:,} of {n:,}" if n else "–"


def rate_words(rate: Rate) -> str:
    """`13 of 14 [69 to 99 %]`, with Wilson's interval."""
    interval = rate.interval()
    if interval is None:
        return "–"
    return f"{share(rate.k, rate.n)} [{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %]"


def lift_words(lift: Mapping[str, Any] | None) -> str:
    """`+1.00 [+0.70, +1.00]`; a dash where there is none."""
    if not lift or lift["value"] is None:
        return "–"
    return f"{lift['value']:+.2f} [{lift['low']:+.2f}, {lift['high']:+.2f}]"


def p_words(p: float | None) -> str:
    """`p < .001` or `p = .016`."""
    if p is None:
        return ""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("= 0.", "= .")


def clock(moment: datetime) -> str:
    """`Mon 2 Mar 17:58`, UTC, in the same words on every machine."""
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment:%H:%M}"


def day(moment: datetime) -> str:
    """`Mon 2 Mar`."""
    return clock(moment).rsplit(" ", 1)[0]


def scene_words(scene: Scene) -> str:
    """A step in a few words."""
    return f"{scene.number}. {scene.title}, {clock(scene.time)}"


def signed(value: float | None) -> str:
    """`+0.75`; a dash where there is none."""
    return "–" if value is None else f"{value:+.2f}"


def counted(number: int, noun: str) -> str:
    """`1 alert`, `2 alerts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
