"""What was expected of the team, and what it did: found in its actions, or marked by the facilitator, who has the last word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from turncoat.scenarios.exercise import Expected

from .conditions import first_deed
from .material import Material
from .state import State, Tick

Standing = Literal["open", "met", "late", "overdue"]


@dataclass(frozen=True, slots=True)
class Met:
    """One expected action and where it stands."""

    expected: Expected
    by: datetime
    met_at: datetime | None
    """When the team first did it."""
    tick: Tick | None
    standing: Standing
    """`late`: done after `by`; `overdue`: not done, and `by` has passed."""


def expectations(material: Material, state: State, now: datetime) -> tuple[Met, ...]:
    """All of them, in the order of the file."""
    return tuple(_met(material, state, now, expected) for expected in material.plan.expected)


def _met(material: Material, state: State, now: datetime, expected: Expected) -> Met:
    by = material.calendar.moment(expected.by)
    taken, tick = first_deed(expected.deed, material, state), state.ticks.get(expected.id)
    met_at = taken.at if taken else None
    if tick is not None:
        met_at = (met_at or tick.at) if tick.done else None
    standing: Standing = "open"
    if met_at is not None:
        standing = "met" if met_at <= by else "late"
    elif now > by or state.mode == "ended":
        standing = "overdue"
    return Met(expected, by, met_at, tick, standing)
