"""A campaign step by step: when each step happened, and what became of it under every variant and name.

Unlike the comparison it knows the steps that nothing detects, and those that raise an alert in another's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.schema import Campaign, Phase, Step

from .records import Outcome

Fate = Literal["escalate", "dismiss", "review", "forced", "undetected", "pending"]
"""What became of a step. `undetected`: nothing raises an alert; `pending`: the run has not come to it."""
Aside = Literal["", "injected", "bystander", "benign"]
"""Why a step is not counted as the actor's attack: its text talks to the model, it is in another's name, or harmless."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One step of a campaign."""

    number: int
    """From 1 on, in order of time."""
    step: str
    title: str
    technique: str
    phase: str
    """Title of its phase."""
    time: datetime
    """Of its alert; of the act itself where nothing detects it. UTC."""
    detected: bool
    """Whether it raises an alert."""
    uid: str | None
    """Of its alert; None where there is none, or none that was decided on yet."""
    aside: Aside


@dataclass(frozen=True, slots=True)
class Lane:
    """What one variant made of the campaign under one name."""

    variant: str
    principal: str
    fates: tuple[Fate, ...]
    """One per scene, in their order."""
    first: int | None
    """Place of the scene whose alert was the first to be escalated, by the time of decision, forced ones and asides left
    out; None: never."""


@dataclass(frozen=True, slots=True)
class Storyline:
    """A campaign as it was played."""

    scenes: tuple[Scene, ...]
    lanes: tuple[Lane, ...]
    """Variant by variant, names in the order in which they were asked for."""


def storyline(
    campaign: Campaign, seed: int, outcomes: Sequence[Outcome], variants: Sequence[str], principals: Sequence[str]
) -> Storyline:
    """The steps of a campaign in order of time, and the fate of each.

    Args:
        campaign: As it was played.
        seed: Of the world; times of undetected steps follow from it.
        outcomes: Of one run, scored.
        variants: To be told of.
        principals: Names to be told of.
    """
    rows: dict[str, dict[tuple[str, str], Outcome]] = {}
    for o in outcomes:
        if o.step is not None:
            rows.setdefault(o.step, {})[o.investigation.variant, o.investigation.principal] = o
    planned = Calendar.of(campaign).steps(seed)
    found = [
        _scene(phase, step, next(iter(rows.get(step.id, {}).values()), None), planned, campaign.actor.login)
        for phase, step in campaign.steps()
    ]
    scenes = tuple(
        replace(scene, number=number)
        for number, scene in enumerate(sorted(found, key=lambda s: (s.time, s.step)), start=1)
    )
    lanes = [
        _lane(v, p, scenes, [rows.get(s.step, {}).get((v, p)) for s in scenes]) for v in variants for p in principals
    ]
    return Storyline(scenes, tuple(lanes))


def fate_of(outcome: Outcome) -> Fate:
    """What was done about an alert; a forced escalation stands apart."""
    return "forced" if outcome.forced else outcome.action


def _scene(phase: Phase, step: Step, row: Outcome | None, planned: Mapping[str, datetime], actor: str) -> Scene:
    return Scene(
        number=0,
        step=step.id,
        title=step.title,
        technique=step.technique,
        phase=phase.title,
        time=planned[step.id] if row is None else row.alert.time,
        detected=step.alert is not None,
        uid=None if row is None else row.investigation.uid,
        aside=_aside(step, actor),
    )


def _aside(step: Step, actor: str) -> Aside:
    if step.expect.truth == "benign":
        return "benign"
    if step.expect.injected:
        return "injected"
    return "bystander" if step.alert is not None and step.alert.user not in (None, actor) else ""


def _lane(variant: str, principal: str, scenes: Sequence[Scene], rows: Sequence[Outcome | None]) -> Lane:
    seen = [
        (o.investigation.decision.simulated_time, place)
        for place, o in enumerate(rows)
        if o is not None and o.attack and fate_of(o) == "escalate"
    ]
    return Lane(variant, principal, tuple(map(_fate, scenes, rows)), min(seen)[1] if seen else None)


def _fate(scene: Scene, row: Outcome | None) -> Fate:
    if row is not None:
        return fate_of(row)
    return "pending" if scene.detected else "undetected"
