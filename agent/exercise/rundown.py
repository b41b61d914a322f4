"""An exercise on paper, before it is played: what comes when, for whoever leads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from turncoat.scenarios.attack import technique
from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.exercise import ExercisePlan, Inject
from turncoat.scenarios.schema import Campaign

from .telling import when_told


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the rundown."""

    at: datetime
    kind: Literal["begin", "step", "inject", "expected", "end"]
    told: str
    whom: tuple[str, ...] = ()
    """Roles: those that an inject is for, or that an action is expected of."""
    technique: str = ""
    """Of a step: id and name."""
    malicious: bool = False
    user: str = ""
    """Of a step: the account that its alert names; empty where no alert tells of it."""


@dataclass(frozen=True, slots=True)
class WaitingInject:
    """An inject with how it comes, in words."""

    inject: Inject
    when: str


def rundown(campaign: Campaign, plan: ExercisePlan, seed: int) -> tuple[Entry, ...]:
    """Everything that has a time, in its order. Injects on a condition have none; `waiting` tells those.

    Args:
        campaign: Its steps, with the times of this seed.
        plan: Its exercise.
        seed: Of the world; shifts steps by minutes.
    """
    return tuple(sorted(_entries(campaign, plan, seed), key=lambda entry: entry.at))


def waiting(plan: ExercisePlan) -> tuple[WaitingInject, ...]:
    """Every inject in the order of the file, with how it comes."""
    return tuple(WaitingInject(inject, when_told(inject, plan)) for inject in plan.injects)


def clock_minutes(campaign: Campaign, plan: ExercisePlan) -> float:
    """Real minutes in which the clock runs, at the planned speed and without a skip."""
    calendar = Calendar.of(campaign)
    length = calendar.moment(plan.clock.ends) - calendar.moment(plan.clock.begins)
    return length.total_seconds() / 60 / plan.clock.speed


def _entries(campaign: Campaign, plan: ExercisePlan, seed: int) -> Iterator[Entry]:
    calendar = Calendar.of(campaign)
    times = calendar.steps(seed)
    yield Entry(calendar.moment(plan.clock.begins), "begin", "The clock starts.")
    for phase, step in campaign.steps():
        found = technique(step.technique)
        named = f"{step.technique} {found.name}" if found else step.technique
        malicious = step.expect.truth == "malicious"
        user = (step.alert.user or campaign.actor.login) if step.alert else ""
        yield Entry(times[step.id], "step", f"{phase.title}: {step.title}", (), named, malicious, user)
    for inject in plan.injects:
        if inject.at is not None:
            yield Entry(calendar.moment(inject.at), "inject", inject.id, inject.to)
    for expected in plan.expected:
        yield Entry(calendar.moment(expected.by), "expected", expected.text, (expected.role,))
    yield Entry(calendar.moment(plan.clock.ends), "end", "The clock stops.")
