"""What the facilitator's view has beyond a player's. The only part of the views that reads a truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from ..records import Outcome
from .expectations import expectations
from .material import Material
from .state import Fate, State
from .telling import line_of, when_told
from .view_records import (
    AlertView,
    DiscussionView,
    ExpectedView,
    HiddenAlert,
    PlannedInject,
    StepView,
    TruthView,
)

AlertViewOf = Callable[[str, Material, State], AlertView]


def additions(material: Material, state: State, now: datetime, alert_view: AlertViewOf) -> dict[str, Any]:
    """The fields of `FacilitatorView` that `PlayerView` has not."""
    plan = material.plan
    hidden = [uid for uid, passed in state.fates.items() if passed.fate == "dismiss" and uid not in state.known]
    truths = {uid: truth_of(material, uid) for uid in state.fates}
    return {
        "truths": truths,
        "hidden": tuple(HiddenAlert(alert_view(uid, material, state), truths[uid]) for uid in reversed(hidden)),
        "steps": tuple(step_views(material, state)),
        "expected": tuple(_expected(material, state, now)),
        "planned": tuple(
            PlannedInject(x.id, x.to, when_told(x, plan), x.text, state.given.get(x.id)) for x in plan.injects
        ),
        "discussion": tuple(_discussion(material, now)),
        "opening": plan.opening,
        "closing": plan.closing,
        "remarks": tuple(line_of(event, material) for event in state.log if event.kind == "remark"),
        "feedback": tuple(line_of(event, material) for event in state.log if event.kind == "feedback"),
        "variant": material.variant,
        "reference": material.reference,
    }


def truth_of(material: Material, uid: str) -> TruthView:
    """What is so about an alert; the same whichever model looked at it."""
    outcome: Outcome = material.outcomes[material.variant][uid]
    phases = {phase.id: phase.title for phase in material.campaign.phases}
    return TruthView(
        outcome.malicious, phases.get(outcome.phase or "", ""), outcome.step or "", outcome.lookalike, outcome.injected
    )


def step_views(material: Material, state: State) -> list[StepView]:
    """Every step of the campaign with what became of it, in order of time."""
    shown = []
    for phase, step in material.steps:
        uid, at = material.uids.get(step.id), material.times[step.id]
        passed = state.fates.get(uid or "")
        fate: Fate | Literal["coming", "undetected"] = passed.fate if passed is not None else "coming"
        if uid is None and at <= state.now:
            actor = state.disabled.get(material.campaign.actor.login)
            fate = "prevented" if actor is not None and actor <= at else "undetected"
        known_at = state.known.get(uid or "")
        malicious = step.expect.truth == "malicious"
        shown.append(StepView(step.id, step.title, phase.title, step.technique, malicious, at, uid, fate, known_at))
    return shown


def _expected(material: Material, state: State, now: datetime) -> list[ExpectedView]:
    return [
        ExpectedView(
            id=met.expected.id,
            role=met.expected.role,
            told=met.expected.text,
            by=met.by,
            met_at=met.met_at,
            ticked=met.tick.done if met.tick else None,
            note=met.tick.note if met.tick else "",
            standing=met.standing,
        )
        for met in expectations(material, state, now)
    ]


def _discussion(material: Material, now: datetime) -> list[DiscussionView]:
    """The phase of the campaign's latest step so far is the current one."""
    begun = [phase.id for phase, step in material.steps if material.times[step.id] <= now]
    titles = {phase.id: phase.title for phase in material.campaign.phases}
    return [
        DiscussionView(titles[x.phase], x.minutes, x.questions, x.hints, bool(begun) and x.phase == begun[-1])
        for x in material.plan.discussion
    ]
