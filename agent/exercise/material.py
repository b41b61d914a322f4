"""What an exercise is played with: computed before it begins, the same for its whole length, and known to the engine alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.exercise import ExercisePlan
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.scenarios.schema import Campaign, Phase, Step
from turncoat.tools.toolbox import Toolbox

from ..records import Investigation, Outcome, Settings
from .records import REPLACEMENT


@dataclass(frozen=True)
class Material:
    """Campaign, exercise, alerts, and what both models decided about each alert.

    The outcomes hold the truth. They go to the facilitator's view and to the scoring; no other view reads more of them
    than the investigation.
    """

    campaign: Campaign
    plan: ExercisePlan
    seed: int
    stream: AlertStream
    variant: str
    """Name of the model that stands before the desk."""
    reference: str
    """Name of the one that a swap brings."""
    outcomes: Mapping[str, Mapping[str, Outcome]]
    """Variant -> uid -> what it did, held against the truth."""
    settings: Settings
    judge: Callable[[Iterable[Investigation]], list[Outcome]] = field(repr=False)
    """Holds rows of these alerts against the truth: `scoring.score`."""

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar.of(self.campaign)

    @cached_property
    def begins(self) -> datetime:
        return self.calendar.moment(self.plan.clock.begins)

    @cached_property
    def ends(self) -> datetime:
        return self.calendar.moment(self.plan.clock.ends)

    @cached_property
    def alerts(self) -> Mapping[str, Alert]:
        """By uid, in order of time."""
        return {alert.uid: alert for alert in self.stream.alerts}

    @cached_property
    def toolbox(self) -> Toolbox:
        return Toolbox(self.stream)

    @cached_property
    def times(self) -> Mapping[str, datetime]:
        """When each step of the campaign happens, detected or not."""
        return self.calendar.steps(self.seed)

    @cached_property
    def uids(self) -> Mapping[str, str]:
        """Step -> uid of its alert; no entry where nothing detects it."""
        return {o.step: uid for uid, o in self.outcomes[self.variant].items() if o.step}

    @cached_property
    def steps(self) -> Sequence[tuple[Phase, Step]]:
        """In order of time."""
        return sorted(self.campaign.steps(), key=lambda pair: self.times[pair[1].id])

    def outcome(self, uid: str, model: str) -> Outcome:
        """What the deployed model, or its replacement, did with an alert."""
        return self.outcomes[self.reference if model == REPLACEMENT else self.variant][uid]
