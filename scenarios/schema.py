"""What a campaign file may say: one pydantic model per part. `loader.py` reads files; this module knows no files."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Annotated, Any, Literal, cast, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from .vocabulary import (
    AT_LEAST_ONE,
    FACTS,
    SUBJECTS,
    Country,
    Failure,
    FamilyId,
    Hour,
    Id,
    Line,
    Login,
    Moment,
    Offset,
    SeverityWord,
    Share,
    TechniqueId,
    Text,
    ToolName,
    Truth,
    known_timezone,
    pinned_attack_version,
    plausible_day,
)


class Part(BaseModel):
    """Every part refuses keys that it does not know and values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Clock(Part):
    start: Annotated[date, AfterValidator(plausible_day)]
    """First day, `D1`."""
    days: Annotated[int, Field(ge=1, le=60)]
    timezone: Annotated[str, AfterValidator(known_timezone)] = "UTC"
    """IANA name; times of the file are local to it."""


class Named(Part):
    name: Line
    login: Login


class Character(Named):
    """Somebody who must exist in the world: the actor, or a further person of the file."""

    department: Line
    role: Line
    privilege: Literal["standard", "privileged", "admin"] = "standard"
    country: Country = "GB"
    work_start: Hour = 9
    work_end: Hour = 17
    status: Literal["in office", "remote", "travelling", "on leave", "notice given", "new joiner"] = "in office"


class ExtraHost(Part):
    name: Line
    kind: Literal["laptop", "workstation", "server", "virtual machine"] = "server"
    owner: Login
    criticality: Literal["normal", "critical"] = "normal"
    purpose: Line = "application"


class ExtraIndicator(Part):
    indicator: Line
    category: Line
    age_days: Annotated[int, Field(ge=0)]


class ExtraEntities(Part):
    people: tuple[Character, ...] = ()
    hosts: tuple[ExtraHost, ...] = ()
    indicators: tuple[ExtraIndicator, ...] = ()


class Noise(Part):
    per_day: Annotated[int, Field(ge=0, le=500)]
    lookalikes: Share
    """Share of the noise that resembles the attack."""
    families: tuple[FamilyId, ...] = ()
    """Families that it is drawn from, each as often; none named: all."""
    actor_share: Share = 0.0
    """Share of the noise that is the actor's own ordinary life."""


class Outage(Part):
    tool: ToolName
    kind: Failure = "outage"
    since: Moment
    until: Moment


class After(Part):
    step: Id
    offset: Offset


class AlertSpec(Part):
    """What the alert shows, where it differs from what its family would draw."""

    family: FamilyId
    user: Login | None = None
    """Another account of the file in whose name the alert is raised; the actor's if None. Such alerts count as those of
    a bystander, not as the actor's."""
    activity: Line | None = None
    severity: SeverityWord | None = None
    host: Line | None = None
    resource: Line | None = None
    domain: Line | None = None
    address: Line | None = None
    process: Line | None = None
    command_line: Line | None = None
    file: Line | None = None
    amount: Annotated[int, Field(ge=0)] | None = None
    raw: dict[str, str] = Field(default_factory=dict)


def _fact_model(fact: type) -> type[Part]:
    """The fact's own fields; the subject may be left out."""
    hints = get_type_hints(fact)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(fact):
        fields[field.name] = (hints[field.name] | None, None) if field.name in SUBJECTS else (hints[field.name], ...)
    model = create_model(f"{fact.__name__}Fact", __base__=Part, **fields)
    model.__doc__ = fact.__doc__
    return model


FactSet: type[Part] = create_model(
    "FactSet", __base__=Part, **cast(Any, {tool: (_fact_model(fact) | None, None) for tool, fact in FACTS.items()})
)
"""Facts by tool. A tool that is not named answers as on an ordinary day; `null` says that there is nothing to find."""


class Expect(Part):
    truth: Truth
    escalate: bool
    must_cite: tuple[ToolName, ...] = ()
    lookalike: bool = False
    injected: bool = False
    """The alert carries text that talks to the model; it is reported apart from the rest of the attack."""


class Step(Part):
    id: Id
    title: Line
    technique: TechniqueId
    at: Moment | None = None
    after: After | None = None
    jitter_minutes: Annotated[int, Field(ge=0, le=720)] = 0
    alert: AlertSpec | None
    """None: nothing detects this step."""
    facts: FactSet = Field(default_factory=FactSet)
    outages: dict[ToolName, Failure] = Field(default_factory=dict)
    expect: Expect


class Phase(Part):
    id: Id
    title: Line
    steps: Annotated[tuple[Step, ...], *AT_LEAST_ONE]


class Result(Part):
    id: Id
    text: Text


class Counterfactuals(Part):
    twins: Annotated[tuple[Named, ...], *AT_LEAST_ONE]
    """The first one is the twin that paired tests use."""
    aliases: tuple[Named, ...] = ()
    no_name: bool = False


class Campaign(Part):
    """One campaign: who does what when, what is detected, and what is so."""

    schema_: Literal[1] = Field(alias="schema")
    attack_version: Annotated[str, AfterValidator(pinned_attack_version)]
    id: Id
    title: Line
    summary: Text
    seed: Annotated[int, Field(ge=0, lt=2**53)]
    clock: Clock
    actor: Character
    objectives: Annotated[tuple[Line, ...], *AT_LEAST_ONE]
    entities: ExtraEntities = Field(default_factory=ExtraEntities)
    noise: Noise
    outages: tuple[Outage, ...] = ()
    phases: Annotated[tuple[Phase, ...], *AT_LEAST_ONE]
    outcomes: tuple[Result, ...] = ()
    counterfactuals: Counterfactuals
    lessons: tuple[Text, ...] = ()
    references: tuple[Line, ...] = ()

    def steps(self) -> tuple[tuple[Phase, Step], ...]:
        """Every step with its phase, in the order of the file."""
        return tuple((phase, step) for phase in self.phases for step in phase.steps)
