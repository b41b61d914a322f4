"""The investigation tools: each answers one kind of question from the case's facts and the world, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ValidationError

from turncoat.scenarios import facts as f
from turncoat.scenarios.enterprise import World
from turncoat.scenarios.records import Alert, AlertStream

from . import arguments as a
from .records import Evidence
from .render import SENTENCES, entry

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool


class InvestigationTool(Protocol):
    """What the loop, a planner or a person can ask."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def cost_s(self) -> float:
        """Simulated seconds that one call takes."""
        ...

    @property
    def schema(self) -> type[BaseModel]:
        """Typed arguments."""
        ...

    def arguments(self, alert: Alert) -> BaseModel | None:
        """The question that this alert suggests; None where the alert names no such entity."""
        ...

    def answer(self, question: BaseModel, facts: tuple[f.Fact, ...], world: World) -> str:
        """One line from the facts of the case and the world. An entity that neither knows is `unknown ...`."""
        ...


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A tool that finds the case's fact of one type about one subject, and else what the world says."""

    name: str
    description: str
    cost_s: float
    schema: type[BaseModel]
    fact: type
    subject: str
    """Attribute of the fact and of the arguments that must agree."""
    entity: Callable[[Alert], str | None]
    otherwise: Callable[[World, str], str]

    def arguments(self, alert: Alert) -> BaseModel | None:
        value = self.entity(alert)
        return self.schema(**{self.subject: value}) if value else None

    def answer(self, question: BaseModel, facts: tuple[f.Fact, ...], world: World) -> str:
        value = getattr(question, self.subject)
        for fact in facts:
            if isinstance(fact, self.fact) and getattr(fact, self.subject) == value:
                return SENTENCES[self.fact](fact)
        return self.otherwise(world, value)


@dataclass(frozen=True, slots=True)
class _Directory:
    """The directory joins the world's person with HR's note of the day."""

    name: str = "directory"
    description: str = "Role, department, HR status and whereabouts of a person, by login."
    cost_s: float = 2.0
    schema: type[BaseModel] = a.UserQuestion

    def arguments(self, alert: Alert) -> BaseModel | None:
        return a.UserQuestion(user=alert.entities.user) if alert.entities.user else None

    def answer(self, question: BaseModel, facts: tuple[f.Fact, ...], world: World) -> str:
        login = getattr(question, "user")  # noqa: B009 - the protocol types it as BaseModel
        person = world.person(login)
        note = next((x for x in facts if isinstance(x, f.PersonNote) and x.user == login), None)
        return entry(person, note) if person else "unknown user"


@dataclass(frozen=True, slots=True)
class _Changes:
    """Approved changes: the one of the case, whatever its scope, because the nearest ticket is what a search returns."""

    name: str = "change_tickets"
    description: str = "The approved change nearest to a host or resource at that time."
    cost_s: float = 20.0
    schema: type[BaseModel] = a.ScopeQuestion

    def arguments(self, alert: Alert) -> BaseModel | None:
        scope = alert.entities.host or alert.entities.resource
        return a.ScopeQuestion(scope=scope) if scope else None

    def answer(self, question: BaseModel, facts: tuple[f.Fact, ...], world: World) -> str:
        ticket = next((x for x in facts if isinstance(x, f.ChangeTicket)), None)
        return SENTENCES[f.ChangeTicket](ticket) if ticket else "none approved"


def _unknown(what: str) -> Callable[[World, str], str]:
    return lambda world, value: f"unknown {what}"


def _user_or(known: str) -> Callable[[World, str], str]:
    return lambda world, login: known if world.person(login) else "unknown user"


def _host(world: World, name: str) -> str:
    host = world.host(name)
    if host is None:
        return "unknown host"
    return SENTENCES[f.HostRecord](f.HostRecord(host.name, host.kind, host.owner, host.criticality))


def _indicator(world: World, name: str) -> str:
    known = world.indicator(name)
    return SENTENCES[f.Reputation](f.Reputation(name, known.category, known.age_days)) if known else "unknown indicator"


def _partner(world: World, login: str) -> str:
    person = world.person(login)
    partner = world.partners.get(person.department) if person else None
    return SENTENCES[f.MailTrace](f.MailTrace(login, partner)) if partner else "unknown user"


def _user(alert: Alert) -> str | None:
    return alert.entities.user


_TOOLS: tuple[InvestigationTool, ...] = (
    _Directory(),
    _Lookup("sign_ins", "Sign-ins of an account: how many, from where, by which method.", 5.0,
            a.UserQuestion, f.SignIns, "user", _user, _user_or("none today")),
    _Lookup("host_inventory", "Kind, owner and criticality of a host.", 2.0,
            a.HostQuestion, f.HostRecord, "host", lambda x: x.entities.host, _host),
    _Lookup("process_tree", "Parent, signer and prevalence of the process on a host.", 10.0,
            a.HostQuestion, f.ProcessTree, "host", lambda x: x.entities.host, _unknown("process")),
    _Lookup("related_alerts", "Number of other alerts on the same user within a day.", 3.0,
            a.UserQuestion, f.RelatedAlerts, "user", _user, _user_or("0 in 24 h")),
    _Lookup("baseline", "The highest usual amount a day for a user.", 8.0,
            a.UserQuestion, f.Baseline, "user", _user, _unknown("baseline")),
    _Lookup("peers", "How many colleagues of the department did the same.", 12.0,
            a.UserQuestion, f.Peers, "user", _user, _unknown("peers")),
    _Lookup("reputation", "Category and age of a domain or an address.", 6.0,
            a.IndicatorQuestion, f.Reputation, "indicator",
            lambda x: x.entities.domain or x.entities.address, _indicator),
    _Lookup("network_flows", "How many of our hosts talk to a peer, and how much was sent.", 15.0,
            a.PeerQuestion, f.NetworkFlows, "peer", lambda x: x.entities.domain or x.entities.address, _unknown("peer")),
    _Changes(),
    _Lookup("cloud_audit", "How long an account has had its role, and how often it used it.", 10.0,
            a.UserQuestion, f.CloudAudit, "user", _user, _user_or("no role held")),
    _Lookup("mail_trace", "The outside company with which the user's department works.", 25.0,
            a.UserQuestion, f.MailTrace, "user", _user, _partner),
)  # fmt: skip

TOOLS: Mapping[str, InvestigationTool] = MappingProxyType({tool.name: tool for tool in _TOOLS})
"""Every tool by name."""


class Toolbox:
    """The tools, bound to one stream of alerts with its facts, world and outages."""

    def __init__(self, stream: AlertStream) -> None:
        self._stream = stream

    @property
    def stream(self) -> AlertStream:
        """What the tools look into."""
        return self._stream

    def ask(self, tool: str, alert: Alert) -> Evidence:
        """Puts the tool's own question about this alert. Never raises: an outage is failed evidence."""
        try:
            asked = TOOLS[tool].arguments(alert)
        except ValidationError:  # such as a login of a thousand letters: no question, hence no dismissal
            return Evidence(tool, "", "no answer (not a valid question)", 0.0, failed=True)
        if asked is None:
            return Evidence(tool, "", "nothing to look up", 0.0)
        return self.look_up(tool, alert, asked)

    def look_up(self, tool: str, alert: Alert, question: BaseModel) -> Evidence:
        """Puts any question to a tool, within the case of this alert."""
        found = TOOLS[tool]
        text = ", ".join(str(v) for v in question.model_dump().values())
        outage = self._stream.outages.get(alert.uid, {}).get(tool)
        if outage:
            return Evidence(tool, text, f"no answer ({outage})", found.cost_s, failed=True)
        try:
            answer = found.answer(question, self._stream.facts.get(alert.uid, ()), self._stream.world)
        except Exception as fault:  # a broken tool must bar a dismissal, not end the run
            return Evidence(tool, text, f"no answer ({type(fault).__name__})", found.cost_s, failed=True)
        return Evidence(tool, text, answer, found.cost_s)

    def as_langchain(self, alert: Alert) -> list[StructuredTool]:
        """The same tools for a LangChain planner, bound to the case of this alert."""
        from langchain_core.tools import StructuredTool  # here: the loop's own playbooks do without it

        def bound(tool: InvestigationTool) -> Callable[..., str]:
            def call(**given: Any) -> str:
                return self.look_up(tool.name, alert, tool.schema(**given)).answer

            return call

        return [
            StructuredTool.from_function(
                func=bound(tool), name=tool.name, description=tool.description, args_schema=tool.schema
            )
            for tool in TOOLS.values()
        ]
