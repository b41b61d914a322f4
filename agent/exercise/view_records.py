"""What a screen shows of an exercise, as plain records. Text in them comes from alerts and people: a screen escapes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .state import Fate, Mode


@dataclass(frozen=True, slots=True)
class ClockView:
    now: datetime
    begins: datetime
    ends: datetime
    mode: Mode
    speed: float
    zone: str
    """IANA name; times of the campaign are local to it."""


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    tool: str
    question: str
    answer: str
    cost_s: float
    failed: bool
    by: Literal["model", "team"]


@dataclass(frozen=True, slots=True)
class OverrideView:
    action: str
    reason: str
    role: str
    participant: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert that is before the team, with the case as the model left it and what the team has added."""

    uid: str
    time: datetime
    title: str
    severity: str
    product: str
    technique: str
    """As the rule claims it; empty if it claims none."""
    kind: str
    activity: str
    entities: Mapping[str, str]
    raw: Mapping[str, str]
    since: datetime
    """When it came before the team."""
    source: Literal["handed", "audit", "hidden"]
    """`hidden`: the team has not seen it; such stand in the facilitator's view alone."""
    model: str
    """`deployed` or `replacement`."""
    action: str
    """What the model did with it: escalate, review or dismiss."""
    p_malicious: float | None
    """None: the model gave no verdict."""
    reason: str
    evidence: tuple[EvidenceLine, ...]
    opened: bool
    override: OverrideView | None
    asking: tuple[str, ...]
    """Tools whose answer is awaited."""


@dataclass(frozen=True, slots=True)
class InjectView:
    seq: int
    at: datetime
    text: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkView:
    seq: int
    kind: str
    told: str
    role: str
    participant: str
    begun: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    seq: int
    at: datetime
    role: str
    """Or `clock`."""
    participant: str
    kind: str
    told: str
    """One line."""


@dataclass(frozen=True, slots=True)
class ToolView:
    name: str
    description: str
    cost_s: float


@dataclass(frozen=True, slots=True)
class PlayerView:
    """All that a role may know now. Holds no truth, no name of a model, and no alert that is not before the team."""

    role: str
    title: str
    situation: str
    brief: str
    objectives: tuple[str, ...]
    clock: ClockView
    seq: int
    """Of the last event that the view knows."""
    alerts: tuple[AlertView, ...]
    """The latest to come first."""
    injects: tuple[InjectView, ...]
    """Those addressed to the role; the latest first."""
    work: tuple[WorkView, ...]
    """In hand, the next to be done first."""
    log: tuple[LogLine, ...]
    """The latest last."""
    isolated: tuple[str, ...]
    disabled: tuple[str, ...]
    preserved: tuple[str, ...]
    model: Literal["deployed", "being replaced", "replacement"]
    declared: str | None
    """Summary of the incident that was declared."""
    dismissed: int
    """How many alerts the model has closed so far: a number that any console shows."""
    participants: tuple[tuple[str, str], ...]
    """(role, name)."""
    may: tuple[str, ...]
    """Actions that the role has."""
    tools: tuple[ToolView, ...]
    costs_minutes: Mapping[str, float]
    """Action -> simulated minutes that it takes; `audit` for each alert of the sample."""


@dataclass(frozen=True, slots=True)
class TruthView:
    malicious: bool
    phase: str
    """Title of the campaign's phase; empty for ordinary life."""
    step: str
    lookalike: bool
    injected: bool
    """Its text talks to the model."""


@dataclass(frozen=True, slots=True)
class HiddenAlert:
    alert: AlertView
    truth: TruthView


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of the attack, or a harmless one that the campaign has beside it."""

    id: str
    title: str
    phase: str
    technique: str
    malicious: bool
    at: datetime
    uid: str | None
    fate: Fate | Literal["coming", "undetected"]
    known_at: datetime | None
    """When its alert came before the team."""


@dataclass(frozen=True, slots=True)
class ExpectedView:
    id: str
    role: str
    told: str
    by: datetime
    met_at: datetime | None
    ticked: bool | None
    """The facilitator's mark; None: no mark."""
    note: str
    standing: Literal["open", "met", "late", "overdue"]


@dataclass(frozen=True, slots=True)
class PlannedInject:
    id: str
    to: tuple[str, ...]
    when: str
    """In words."""
    text: str
    given_at: datetime | None


@dataclass(frozen=True, slots=True)
class DiscussionView:
    phase: str
    minutes: int
    questions: tuple[str, ...]
    hints: tuple[str, ...]
    current: bool
    """Whether the campaign is in that phase now."""


@dataclass(frozen=True, slots=True)
class FacilitatorView(PlayerView):
    """Everything. No player's page may hold any part of what is below."""

    truths: Mapping[str, TruthView]
    """uid -> truth, of all alerts that were decided."""
    hidden: tuple[HiddenAlert, ...]
    """What the model dismissed and the team has not seen; the latest first."""
    steps: tuple[StepView, ...]
    """In order of time."""
    expected: tuple[ExpectedView, ...]
    planned: tuple[PlannedInject, ...]
    discussion: tuple[DiscussionView, ...]
    opening: str
    closing: str
    remarks: tuple[LogLine, ...]
    feedback: tuple[LogLine, ...]
    variant: str
    """Name of the model that stands before the desk."""
    reference: str
