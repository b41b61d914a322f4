"""The words that a campaign file may use, each with the mistake that it makes when it is another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from . import attack, facts
from .families import families

FACTS: Mapping[str, type] = {
    "directory": facts.PersonNote,
    "sign_ins": facts.SignIns,
    "host_inventory": facts.HostRecord,
    "process_tree": facts.ProcessTree,
    "baseline": facts.Baseline,
    "peers": facts.Peers,
    "reputation": facts.Reputation,
    "network_flows": facts.NetworkFlows,
    "change_tickets": facts.ChangeTicket,
    "cloud_audit": facts.CloudAudit,
    "mail_trace": facts.MailTrace,
}
"""Tool -> the fact that a step may state for it. `related_alerts` is absent: it is counted from the stream."""

TOOL_NAMES = (*FACTS, "related_alerts")
SUBJECTS = ("user", "host", "indicator", "peer", "process")
"""Fields that say whom a fact is about; left out in a file, they come from the alert."""

NAMELESS_LOGIN = "u4711"
"""The principal of a campaign that is played with no name at all."""

LONGEST_QUOTE = 60
"""Characters of a wrong word that a message quotes and that near matches are sought for; the rest may be a megabyte."""

Truth = Literal["malicious", "benign"]
SeverityWord = Literal["informational", "low", "medium", "high", "critical"]
Failure = Literal["timeout", "outage"]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The cure for an unknown name: near matches, or all of a short list."""
    options = sorted(known)[:1_000]
    close = difflib.get_close_matches(word[:LONGEST_QUOTE], options, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    shown = ", ".join(options[:12])
    return f"known: {shown}" + (", ..." if len(options) > 12 else "")


def _fault(message: str, cure: str | Callable[[], str]) -> PydanticCustomError:
    """A mistake whose cure we know; the loader reads both from the context, because a template would read braces.

    A cure that takes work to find is a function: a hostile file makes thousands of mistakes, of which few are told.
    """
    return PydanticCustomError("turncoat", cast(Any, "see fault"), {"fault": message, "cure": cure})


def _known(what: str, options: Callable[[], Iterable[str]]) -> Any:
    def check(word: str) -> str:
        if word not in (known := set(options())):
            raise _fault(f"unknown {what} {quoted(word)}", partial(suggestion, word, known))
        return word

    return AfterValidator(check)


def _matching(pattern: str, what: str, cure: str) -> Any:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise _fault(f"{quoted(text)} is no {what}", cure)
        return text

    return AfterValidator(check)


def _known_technique(id_: str) -> str:
    if attack.technique(id_) is None:
        raise _fault(f"unknown technique {quoted(id_)}", partial(_near_techniques, id_))
    return id_


def _near_techniques(id_: str) -> str:
    return "did you mean " + " or ".join(attack.near(id_[:LONGEST_QUOTE])) + "?"


def pinned_attack_version(version: str) -> str:
    """The version itself, where it is the bundled one."""
    if version != attack.ATTACK_VERSION:
        raise _fault(f"ATT&CK {version[:20]} is not at hand", f"write attack_version: '{attack.ATTACK_VERSION}'")
    return version


def known_timezone(name: str) -> str:
    """The name itself, where the system knows it."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise _fault(f"unknown time zone {quoted(name)}", "write an IANA name such as Europe/London") from None
    return name


def plausible_day(day: date) -> date:
    """The day itself, where neither time zones nor long campaigns can leave the calendar from it."""
    if not 1990 <= day.year <= 2100:
        raise _fault(f"the year {day.year} is out of range", "choose a day from 1990 to 2100")
    return day


def _not_blank(text: str) -> str:
    if not text.strip():
        raise _fault("the text is blank", "write at least one word")
    return text


def quoted(word: str) -> str:
    """A word as a message quotes it."""
    return repr(word if len(word) <= LONGEST_QUOTE else word[: LONGEST_QUOTE - 3] + "...")


def _some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise _fault("the list is empty", "name at least one")
    return items


AT_LEAST_ONE = (AfterValidator(_some), Field(json_schema_extra={"minItems": 1}))
"""For lists; unlike `min_length` it is silent where an item is wrong."""

Id = Annotated[str, Field(max_length=60), _matching(r"[a-z0-9]+(-[a-z0-9]+)*", "id", "use a-z, digits and dashes")]
Login = Annotated[str, Field(max_length=40), _matching(r"[a-z][a-z0-9.]*", "login", "use a-z, digits and dots")]
Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_not_blank)]
Text = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_not_blank)]
Moment = Annotated[str, _matching(r"D[1-9]\d? ([01]\d|2[0-3]):[0-5]\d", "time", "write one like D2 21:40")]
Offset = Annotated[str, _matching(r"(?=.)(\d{1,2}d ?)?(\d{1,3}h ?)?(\d{1,4}m)?", "offset", "write one like 2h 30m")]
Country = Annotated[str, _matching(r"[A-Z]{2}", "country", "write its ISO 3166 code, such as GB, in quotes")]
Hour = Annotated[int, Field(ge=0, le=23)]
Share = Annotated[float, Field(ge=0, le=1)]
FamilyId = Annotated[str, _known("alert family", lambda: families())]
ToolName = Annotated[str, _known("tool", lambda: TOOL_NAMES)]
TechniqueId = Annotated[str, AfterValidator(_known_technique)]
