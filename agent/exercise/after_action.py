"""What an exercise came to: computed once it has ended, or at any time before, from its material and its log.

Terms are those of HSEEP, the exercise programme of the United States' Department of Homeland Security: objectives with
core capabilities, rated P, S, M or U; strengths; areas for improvement, which the facilitator finishes in a draft.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from turncoat.scenarios.attack import technique
from turncoat.scenarios.exercise import Objective

from ..comparison import PrincipalFigures
from ..records import Outcome
from .expectations import Met, expectations
from .facilitator import step_views
from .material import Material
from .records import CLOCK, DEPLOYED, REPLACEMENT, Occurrence
from .state import State, begin, fold
from .team import scored
from .telling import line_of
from .view_records import LogLine, StepView

Rating = Literal["P", "S", "M", "U"]
RATINGS: dict[Rating, str] = {
    "P": "Performed without challenges",
    "S": "Performed with some challenges",
    "M": "Performed with major challenges",
    "U": "Unable to be performed",
}
_SHUT = timedelta(minutes=10)
"""A clock that runs leaves an event every five minutes or sooner; a longer gap is time in which nobody had it open."""
DECISIONS = ("override", "audit", "isolate", "disable", "preserve", "call", "swap", "declare")


@dataclass(frozen=True, slots=True)
class Rated:
    """An objective, and how far the team met what was expected for it."""

    objective: Objective
    expected: tuple[Met, ...]
    proposed: Rating | None
    """From the expected actions alone; None where none belongs to it. The facilitator has the last word."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of the campaign beside what either model made of it and what the team knew."""

    step: StepView
    deployed: str
    """What the deployed model did with its alert; empty where nothing detects it."""
    reference: str
    reference_at: datetime | None
    """When the reference decided."""


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """Something that the team decided."""

    line: LogLine
    sound: bool | None
    """Whether the truth bears it out: an escalated attack, a dismissed harmless alert, containment of what took part.
    None where the truth says nothing about it."""


@dataclass(frozen=True, slots=True)
class Times:
    """When what was known. None: never, as far as the exercise went."""

    begun: datetime | None
    """The first malicious step, detected or not."""
    known: datetime | None
    """The first malicious alert came before the team."""
    acted: datetime | None
    """The team first acted on the attack: escalated one of its alerts, contained what took part, declared an incident."""
    contained: datetime | None
    """From then on no step of the attack could succeed."""
    reference_known: datetime | None
    """When the team would have known, had the reference stood before the desk from the beginning."""

    @property
    def lost(self) -> timedelta | None:
        """What the deployed model cost: from when the reference would have told to when the team knew."""
        if self.reference_known is None or self.known is None:
            return None
        return max(self.known - self.reference_known, timedelta(0))

    @property
    def reference_contained(self) -> datetime | None:
        """Containment, had the team taken as long from knowing as it did."""
        if self.reference_known is None or self.known is None or self.contained is None:
            return None
        return min(self.reference_known + max(self.contained - self.known, timedelta(0)), self.contained)


@dataclass(frozen=True, slots=True)
class Coverage:
    """One technique of the attack: how often it was used, and who saw it."""

    technique: str
    name: str
    steps: int
    alerts: int
    """Those that came up while the exercise ran; the counts below are of these."""
    deployed: int
    """Alerts that the deployed model escalated or left for review."""
    reference: int
    known: int
    """Alerts that came before the team."""
    prevented: int


@dataclass(frozen=True, slots=True)
class AfterAction:
    """Everything that the report says, but for what the facilitator adds."""

    material: Material
    state: State
    events: Sequence[Occurrence]
    objectives: tuple[Rated, ...]
    timeline: tuple[Moment, ...]
    decisions: tuple[DecisionLine, ...]
    times: Times
    figures: dict[str, PrincipalFigures]
    """`team`, the deployed model and the reference, by the scoring of a replay."""
    prevented: int
    """Malicious alerts that the team's containment prevented."""
    innocent: tuple[str, ...]
    """Accounts and hosts that were switched off and had no part in the attack."""
    coverage: tuple[Coverage, ...]
    feedback: tuple[LogLine, ...]
    remarks: tuple[LogLine, ...]

    @property
    def wall_minutes(self) -> float:
        """Real minutes from the start to the end or the last event so far: pauses count, and time in which the exercise
        was not open does not."""
        kinds = [event.kind for event in self.events]
        if "started" not in kinds:
            return 0.0
        end = kinds.index("ended") if "ended" in kinds else len(kinds)
        spent, running = timedelta(0), True
        for before, event in pairwise(self.events[kinds.index("started") : end + 1]):
            running = {"resumed": True, "paused": False}.get(before.kind, running)
            gap = max(event.wall - before.wall, timedelta(0))
            if not running or gap <= _SHUT:
                spent += gap
        return spent.total_seconds() / 60


def after_action(material: Material, events: Sequence[Occurrence]) -> AfterAction:
    """What an exercise came to.

    Args:
        material: What it was played with.
        events: Its log.
    """
    state = fold(begin(material.begins, material.plan.clock.speed), events)
    judged = scored(material, state)
    involved = _involved(material)
    met = expectations(material, state, state.now)
    lines = {kind: tuple(line_of(e, material) for e in state.log if e.kind == kind) for kind in ("feedback", "remark")}
    return AfterAction(
        material=material,
        state=state,
        events=events,
        objectives=tuple(_rated(objective, met) for objective in material.plan.objectives),
        timeline=tuple(_moment(material, step) for step in step_views(material, state) if step.malicious),
        decisions=tuple(_decisions(material, state, involved)),
        times=_times(material, state, involved),
        figures={name: one.principals[material.stream.principal] for name, one in judged.comparison.variants.items()},
        prevented=sum(outcome.malicious for outcome in judged.prevented),
        innocent=tuple(name for name in (*state.disabled, *state.isolated) if name not in involved),
        coverage=tuple(_coverage(material, state)),
        feedback=lines["feedback"],
        remarks=lines["remark"],
    )


def _attack(material: Material, model: str) -> list[Outcome]:
    """Malicious alerts as one of the models left them; those that talk to the model are apart, as in a comparison."""
    rows = (material.outcome(uid, model) for uid in material.alerts)
    return [o for o in rows if o.malicious and not o.injected]


def _involved(material: Material) -> frozenset[str]:
    """Accounts and hosts that took part in the attack, as its alerts name them; and the actor's account."""
    named = [material.campaign.actor.login]
    for outcome in _attack(material, DEPLOYED):
        named += [name for name in (outcome.alert.entities.user, outcome.alert.entities.host) if name]
    return frozenset(named)


def _rated(objective: Objective, met: Sequence[Met]) -> Rated:
    """P: all done in time; S: at least half done, some late or missing; M: something done; U: nothing."""
    mine = tuple(one for one in met if one.expected.objective == objective.id)
    done = [one for one in mine if one.met_at is not None]
    proposed: Rating | None = None
    if mine:
        proposed = "U" if not done else "S" if 2 * len(done) >= len(mine) else "M"
        proposed = "P" if all(one.standing == "met" for one in mine) else proposed
    return Rated(objective, mine, proposed)


def _moment(material: Material, step: StepView) -> Moment:
    if step.uid is None:
        return Moment(step, "", "", None)
    deployed, reference = (material.outcome(step.uid, model) for model in (DEPLOYED, REPLACEMENT))
    return Moment(step, deployed.action, reference.action, reference.investigation.decision.simulated_time)


def _decisions(material: Material, state: State, involved: frozenset[str]) -> Iterator[DecisionLine]:
    for event in state.log:
        if event.kind in DECISIONS and event.source != CLOCK:
            yield DecisionLine(line_of(event, material), _sound(event, material, involved))


def _sound(event: Occurrence, material: Material, involved: frozenset[str]) -> bool | None:
    said = event.payload
    match event.kind:
        case "override" if said["action"] != "review":
            malicious = material.outcome(str(said["uid"]), DEPLOYED).malicious
            return malicious is (said["action"] == "escalate")
        case "isolate":
            return said["host"] in involved
        case "disable":
            return said["user"] in involved
        case "swap":
            return material.variant != material.reference
    return None


def _times(material: Material, state: State, involved: frozenset[str]) -> Times:
    steps = [step for step in step_views(material, state) if step.malicious and step.at >= material.begins]
    seen = [step for step in steps if step.at <= state.now and step.fate != "prevented"]
    attack = {outcome.alert.uid for outcome in _attack(material, DEPLOYED)}
    told = [
        outcome.investigation.decision.simulated_time
        for outcome in _attack(material, REPLACEMENT)
        if outcome.action != "dismiss" and outcome.alert.uid in state.fates
    ]
    return Times(
        begun=min((step.at for step in seen), default=None),
        known=min((state.known[uid] for uid in attack if uid in state.known), default=None),
        acted=min(_acted(state, attack, involved), default=None),
        contained=_contained(material, state, steps),
        reference_known=min(told, default=None),
    )


def _acted(state: State, attack: set[str], involved: frozenset[str]) -> Iterator[datetime]:
    for taken in state.taken:
        if (taken.kind == "override" and taken.target in attack) or taken.kind == "declare":
            yield taken.at
        if taken.kind in ("disable", "isolate") and taken.target in involved:
            yield taken.at


def _contained(material: Material, state: State, steps: Sequence[StepView]) -> datetime | None:
    """The first moment, once the last step has come through, at which the measures in force stop all that still would."""
    last = max((s.at for s in steps if s.at <= state.now and s.fate != "prevented"), default=material.begins)
    left = [step for step in steps if step.at > last]
    if not left:
        return None  # whatever is done now stops nothing: what there was to take has been taken
    later = sorted(at for at in (*state.disabled.values(), *state.isolated.values()) if at > last)
    return next((at for at in (last, *later) if all(_stopped(material, state, s, at) for s in left if s.at > at)), None)


def _stopped(material: Material, state: State, step: StepView, by: datetime) -> bool:
    """Whether the measures in force by then stop a step."""
    if step.uid is None:
        account, host = material.campaign.actor.login, None
    else:
        account, host = (getattr(material.alerts[step.uid].entities, name) for name in ("user", "host"))
    taken = (state.disabled.get(account or ""), state.isolated.get(host or ""))
    return any(at is not None and at <= by for at in taken)


def _coverage(material: Material, state: State) -> Iterator[Coverage]:
    steps = [step for step in step_views(material, state) if step.malicious]
    for id_ in sorted({step.technique for step in steps}):
        mine = [step for step in steps if step.technique == id_]
        uids = [step.uid for step in mine if step.uid is not None and step.uid in state.fates]
        found = technique(id_)
        yield Coverage(
            technique=id_,
            name=found.name if found else "",
            steps=len(mine),
            alerts=len(uids),
            deployed=sum(material.outcome(uid, DEPLOYED).action != "dismiss" for uid in uids),
            reference=sum(material.outcome(uid, REPLACEMENT).action != "dismiss" for uid in uids),
            known=sum(uid in state.known for uid in uids),
            prevented=sum(step.fate == "prevented" for step in mine),
        )
