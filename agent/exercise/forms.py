"""What a person fills in for each action: text from outside becomes a record here, or is refused with a cure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from turncoat.scenarios.errors import InputError, Mistake

from .records import PLAYERS, Role

MAX_NAME = 60


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("say at least one word")
    return text.strip()


Said = Annotated[str, Field(max_length=2_000), AfterValidator(_said)]
"""Must be said."""
Maybe = Annotated[str, Field(max_length=2_000), AfterValidator(str.strip)]
"""May be empty."""
Name = Annotated[str, Field(max_length=256), AfterValidator(_said)]
AnyName = Annotated[str, Field(max_length=256), AfterValidator(str.strip)]
Mark = Annotated[bool | None, BeforeValidator(lambda given: None if given == "" else given)]
"""Empty, as web forms send it, is neither."""
PlayerRole = Literal["analyst", "lead", "executive"]


class Form(BaseModel):
    """Fields of one action. Numbers may come as text, as web forms send them; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Open(Form):
    """Open the case of an alert."""

    uid: Name


class Ask(Form):
    """Ask an investigation tool."""

    uid: Name
    tool: Name
    value: AnyName = ""
    """Somebody or something else than the alert itself names."""


class Override(Form):
    """Overrule the model, or an earlier word of the team."""

    uid: Name
    action: Literal["escalate", "dismiss", "review"]
    reason: Said


class Audit(Form):
    """Pull a sample of what the model dismissed."""

    count: int = Field(10, ge=1, le=100)
    user: AnyName = ""
    """Only of this account; empty: of all."""
    host: AnyName = ""


class Isolate(Form):
    """Take a host off the network."""

    host: Name
    reason: Said


class Disable(Form):
    """Disable an account."""

    user: Name
    reason: Said


class Preserve(Form):
    """Preserve evidence of a host, an account or a mailbox."""

    target: Name
    reason: Maybe = ""


class CallFor(Form):
    """Call HR or legal."""

    whom: Literal["hr", "legal"]
    about: Said


class Swap(Form):
    """Take the triage model out and have another put in its place."""

    reason: Said


class Declare(Form):
    """Declare an incident."""

    summary: Said


class Note(Form):
    """Write something down for the team."""

    text: Said
    uid: AnyName = ""


class Feedback(Form):
    """What a participant thinks of the exercise; the report has it, with the role."""

    text: Said
    rating: int = Field(3, ge=1, le=5)


class Nothing(Form):
    """No fields."""


class Speed(Form):
    """How fast the simulated clock runs."""

    speed: float = Field(ge=1, le=600, allow_inf_nan=False)


class Skip(Form):
    """Move the clock on: by minutes, or to the next event that players can see."""

    minutes: int | None = Field(None, ge=1, le=100_000)


class Give(Form):
    """Give an inject of the plan, or one of the facilitator's own."""

    id: AnyName = ""
    to: tuple[PlayerRole, ...] = ()
    text: Maybe = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> Give:
        if bool(self.id) == bool(self.text) or (self.text and not self.to):
            raise ValueError("name an inject of the plan, or give a text and whom it is for")
        return self


class TickExpected(Form):
    """Mark an expected action as done or as not done, whatever the log says; without either, take the mark away."""

    id: Name
    done: Mark = True
    note: Maybe = ""


class Remark(Form):
    """A note of the facilitator's own."""

    text: Said


PLAYER_FORMS: Mapping[str, type[Form]] = MappingProxyType(
    {
        "open": Open,
        "ask": Ask,
        "override": Override,
        "audit": Audit,
        "isolate": Isolate,
        "disable": Disable,
        "preserve": Preserve,
        "call": CallFor,
        "swap": Swap,
        "declare": Declare,
        "note": Note,
        "feedback": Feedback,
    }
)
FACILITATOR_FORMS: Mapping[str, type[Form]] = MappingProxyType(
    {
        "start": Nothing,
        "pause": Nothing,
        "resume": Nothing,
        "speed": Speed,
        "skip": Skip,
        "inject": Give,
        "tick-expected": TickExpected,
        "remark": Remark,
        "end": Nothing,
    }
)
FORMS: Mapping[str, type[Form]] = MappingProxyType({**PLAYER_FORMS, **FACILITATOR_FORMS})
"""Action -> its form."""

_MAY: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        "facilitator": tuple(FACILITATOR_FORMS),
        "analyst": ("open", "ask", "override", "audit", "isolate", "preserve", "note", "feedback"),
        "lead": ("open", "ask", "override", "audit", "isolate", "disable", "preserve", "call", "swap", "declare",
                 "note", "feedback"),
        "executive": ("call", "declare", "note", "feedback"),
    }
)  # fmt: skip


def allowed(role: Role) -> tuple[str, ...]:
    """What a role may do."""
    return _MAY[role]


def roles_for(kind: str) -> tuple[Role, ...]:
    """The roles that may do it, those of players only where players may."""
    return tuple(role for role in (*PLAYERS, "facilitator") if kind in _MAY[role])


def read_form(kind: str, fields: Mapping[str, Any]) -> Form:
    """The filled-in form of an action.

    Raises:
        InputError: No such action, or fields that do not fit; every one of them is named.
    """
    if kind not in FORMS:
        raise InputError.at("action", f"unknown action {kind[:60]!r}", f"known are {', '.join(FORMS)}")
    try:
        return FORMS[kind].model_validate(dict(fields))
    except ValidationError as fault:
        found = fault.errors(include_url=False, include_input=False)
        raise InputError(*(_mistake(kind, error["loc"], error["msg"]) for error in found)) from None


def _mistake(kind: str, place: tuple[int | str, ...], message: str) -> Mistake:
    told = message.removeprefix("Value error, ")
    return Mistake(str(place[0]) if place else kind, told[0].lower() + told[1:], "mend the field and send it again")
