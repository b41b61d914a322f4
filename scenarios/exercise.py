"""What an exercise file may say: the campaign played with people. One pydantic model per part, as in `schema.py`.

The campaign stays as it is; an exercise adds who plays, what they are told when, and what is expected of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .schema import Part
from .vocabulary import AT_LEAST_ONE, Id, Line, Moment, Offset, Text

PlayerWord = Literal["analyst", "lead", "executive"]
ActionWord = Literal[
    "open", "ask", "override", "audit", "isolate", "disable", "preserve", "call", "swap", "declare", "note"
]
"""What a team can do."""

MAX_INJECTS = 200
MAX_BRANCHES = 20
"""Of one inject."""
MAX_PARTS = 60
"""Of one condition, which is looked at after every event, and at every moment that it names."""


class PlayClock(Part):
    """When the play begins and ends, in the campaign's own time, and how fast it runs."""

    begins: Moment
    ends: Moment
    speed: Annotated[int, Field(ge=1, le=600)] = 120
    """Simulated seconds per second; the facilitator may change it at any time."""
    minutes: Annotated[int, Field(ge=5, le=480)] = 75
    """Planned length in the room, discussion included."""


class Objective(Part):
    id: Id
    text: Line
    capability: Line
    """Core capability that it shows, as HSEEP has it: `Intelligence and information sharing`."""


class Briefs(Part):
    """What each role is told before the play; says nothing of the model."""

    analyst: Text
    lead: Text
    executive: Text


class Deed(Part):
    """Something that the team does."""

    action: ActionWord
    target: Line | None = None
    """Login, host, `hr` or `legal`; for open, ask and override the step whose alert it is. None: any."""


class Undone(Deed):
    by: Moment
    """True from then on, unless it was done before."""


class Condition(Part):
    """Exactly one of these. What is about a step is about its alert."""

    at: Moment | None = None
    dismissed: Id | None = None
    """The model dismissed it."""
    escalated: Id | None = None
    reviewed: Id | None = None
    known: Id | None = None
    """It is before the team, handed over or found by an audit."""
    done: Deed | None = None
    undone: Undone | None = None
    given: Id | None = None
    """That inject was given."""
    all: Annotated[tuple[Condition, ...], *AT_LEAST_ONE] | None = None
    any: Annotated[tuple[Condition, ...], *AT_LEAST_ONE] | None = None


class Branch(Part):
    """What follows an inject: some time later the condition is looked at, once."""

    after: Offset
    when: Condition | None = None
    """None: always."""
    give: Id
    """Inject that is given if so."""
    otherwise: Id | None = None


class Inject(Part):
    """Something that a role is told. Comes at a time, on a condition, or by a branch of another inject."""

    id: Id
    to: Annotated[tuple[PlayerWord, ...], *AT_LEAST_ONE]
    text: Text
    at: Moment | None = None
    when: Condition | None = None
    then: tuple[Branch, ...] = ()


class Expected(Part):
    """What a good team does."""

    id: Id
    role: PlayerWord
    text: Line
    deed: Deed
    by: Moment
    objective: Id


class Discussion(Part):
    """What the facilitator asks while a phase of the campaign is played, or after it."""

    phase: Id
    minutes: Annotated[int, Field(ge=1, le=120)]
    questions: Annotated[tuple[Line, ...], *AT_LEAST_ONE]
    hints: tuple[Line, ...] = ()
    """For a team that is stuck; said by the facilitator, one after the other."""


class Reply(Part):
    """What a department answers when it is called."""

    text: Text
    takes: Offset = "30m"


class Replies(Part):
    hr: Reply = Reply(text="HR has noted the call and will look for the file.")
    legal: Reply = Reply(text="Legal has noted the call and asks for everything in writing.")


class Costs(Part):
    """Simulated time that actions take. A tool takes what it takes in an investigation by the agent."""

    audit_per_alert: Offset = "3m"
    isolate: Offset = "10m"
    disable: Offset = "5m"
    preserve: Offset = "30m"
    swap: Offset = "1h"


class ExercisePlan(Part):
    """One campaign as an exercise."""

    schema_: Literal[1] = Field(alias="schema")
    campaign: Id
    title: Line
    """Shown to everybody, so it gives nothing away."""
    situation: Text
    """What all players know at the beginning."""
    opening: Text
    """What the facilitator says at the beginning."""
    closing: Text
    clock: PlayClock
    objectives: Annotated[tuple[Objective, ...], *AT_LEAST_ONE]
    briefs: Briefs
    injects: tuple[Inject, ...] = ()
    expected: tuple[Expected, ...] = ()
    discussion: tuple[Discussion, ...] = ()
    replies: Replies = Replies()
    costs: Costs = Costs()
    lessons: tuple[Text, ...] = ()

    def inject(self, id_: str) -> Inject | None:
        """The inject of that id."""
        return next((inject for inject in self.injects if inject.id == id_), None)
