"""Who chooses the tools: the playbook of the alert's kind, or a chat model. One seam, one registry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from pydantic import BaseModel

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert
from turncoat.tools.playbooks import PLAYBOOKS, Playbook
from turncoat.tools.records import Context, Evidence

PLANNER = "planner"
"""Stands for a tool's name in the failed evidence that a planner's own faults leave."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask of one tool."""

    tool: str
    arguments: BaseModel | None = None
    """None: what the tool itself asks about this alert."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in one round of gathering."""

    steps: tuple[Question | Evidence, ...] = ()
    """In order: questions to put, and as failed evidence what the planner wanted and may not."""
    ended: bool = False
    """The planner has nothing (more) to ask about this alert."""
    faults: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """What the planner did wrong this time: kind -> how often."""


class PlannerFault(Exception):
    """The planner gave no plan. The text is ours: nothing that a model or a server said is in it."""


@runtime_checkable
class Planner(Protocol):
    """Chooses tools, round by round. Whatever it does, `nodes.gather_round` keeps rounds and budget."""

    @property
    def name(self) -> str:
        """As in the registry."""
        ...

    @property
    def identity(self) -> str:
        """Name, and all else that its plans depend on; part of a run's manifest."""
        ...

    @property
    def foreseeable(self) -> bool:
        """Whether plans depend on alert and context alone and cost nothing, so that verdicts can be computed ahead."""
        ...

    def plan(self, alert: Alert, context: Context) -> Plan:
        """Which tools, with which arguments, to ask next about this alert, given what is known so far.

        Raises:
            PlannerFault: There is no plan; the playbook then takes over for this alert. So it does after any other error.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds; nothing is planned after it."""
        ...


@dataclass(frozen=True)
class PlaybookPlanner:
    """The tools of the alert's playbook, cheapest first. Also says which kinds of alert there are and how many rounds."""

    playbooks: Mapping[str, Playbook] = field(default_factory=lambda: PLAYBOOKS)
    name: str = "playbook"
    identity: str = "playbook"
    foreseeable: bool = True

    def rounds(self, alert: Alert) -> tuple[tuple[str, ...], ...] | None:
        """The tools, round by round; empty for alerts from outside; None for a kind that nobody knows."""
        if alert.kind in self.playbooks:
            return self.playbooks[alert.kind].rounds
        return () if alert.kind == "external" else None

    def plan(self, alert: Alert, context: Context) -> Plan:
        rounds = self.rounds(alert) or ()
        if context.round >= len(rounds):
            return Plan(ended=True)
        return Plan(tuple(Question(tool) for tool in rounds[context.round]))

    def catch_up(self, alert: Alert, context: Context) -> Plan:
        """The tools of this round and of those before it that were not asked yet: another planner led us here."""
        rounds = (self.rounds(alert) or ())[: context.round + 1]
        asked = {evidence.tool for evidence in context.evidence}
        return Plan(tuple(Question(tool) for tools in rounds for tool in tools if tool not in asked))

    def close(self) -> None:
        """Holds nothing."""


PLAYBOOK = PlaybookPlanner()


@dataclass(frozen=True, slots=True)
class PlannerOptions:
    """How to reach a planner's chat model. What of it decides about rows is in `Planner.identity`."""

    url: str = field(default="", repr=False)
    """Of an OpenAI-compatible endpoint, up to `/v1`; https, or http on loopback."""
    model: str = ""
    """As the endpoint names it."""
    token_env: str = field(default="", repr=False)
    """Name of the environment variable that holds the bearer token. Not shown: people give the token by mistake."""
    timeout_s: float = 30.0
    """For one plan."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.timeout_s) and 0.0 < self.timeout_s <= 600.0):
            raise InputError.at("timeout_s", f"{self.timeout_s:g} is out of range", "give seconds above 0, at most 600")


def _playbook(options: PlannerOptions) -> Planner:
    del options
    return PLAYBOOK


def _llm(options: PlannerOptions) -> Planner:
    from .chat_endpoint import open_chat_model  # here: the playbook needs no chat model
    from .llm_planner import LlmPlanner

    return LlmPlanner(open_chat_model(options), options.model, timeout_s=options.timeout_s + 1.0)


PLANNERS: dict[str, Callable[[PlannerOptions], Planner]] = {"llm": _llm, "playbook": _playbook}


def open_planner(name: str, options: PlannerOptions | None = None) -> Planner:
    """The planner of that name; connects to nothing yet.

    Raises:
        InputError: No planner has that name (the known ones are listed), or the options do not fit it.
    """
    if name not in PLANNERS:
        raise InputError.at("planner", f"unknown planner {name!r}", f"known are {', '.join(sorted(PLANNERS))}")
    return PLANNERS[name](options or PlannerOptions())
