"""The steps of an investigation, one method each, and the question that is asked between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol

from turncoat.models.classifier import AlertClassifier, Case
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.playbooks import PLAYBOOKS, Playbook
from turncoat.tools.records import Context, Evidence

from .guards import decide_guarded, one_line, unusable, worth_more_evidence
from .policy import EscalationPolicy
from .records import Settings
from .sinks import CloudSink
from .state import (
    State,
    context_of,
    decision_of,
    investigation_of,
    plain_context,
    plain_decision,
    plain_verdict,
    verdict_of,
)


class Toolset(Protocol):
    """What the agent needs of a toolbox: the stream that it looks into, and answers about its alerts."""

    @property
    def stream(self) -> AlertStream: ...

    def ask(self, tool: str, alert: Alert) -> Evidence:
        """Never raises: a tool that fails answers with failed evidence."""
        ...


@dataclass(frozen=True)
class Desk:
    """Everything that the nodes of one graph work with."""

    toolbox: Toolset
    classifier: AlertClassifier
    policy: EscalationPolicy
    sink: CloudSink
    settings: Settings
    playbooks: Mapping[str, Playbook] = field(default_factory=lambda: PLAYBOOKS)

    @cached_property
    def alerts(self) -> Mapping[str, Alert]:
        return {alert.uid: alert for alert in self.toolbox.stream.alerts}


def rounds_for(alert: Alert, playbooks: Mapping[str, Playbook]) -> tuple[tuple[str, ...], ...] | None:
    """The tools to ask, round by round; empty for alerts from outside; None for a kind that nobody knows."""
    if alert.kind in playbooks:
        return playbooks[alert.kind].rounds
    return () if alert.kind == "external" else None


def evidence_left(desk: Desk, alert: Alert, context: Context) -> bool:
    """Whether there is another round to ask, and simulated time to ask it in."""
    if desk.settings.withhold_evidence:
        return False
    rounds = rounds_for(alert, desk.playbooks) or ()
    return context.round < len(rounds) and context.cost_s < desk.settings.evidence_budget_s


def gather_round(desk: Desk, alert: Alert, context: Context) -> Context:
    """One more round of evidence, tool by tool, until the budget is spent. A function of its arguments alone."""
    if not evidence_left(desk, alert, context):
        return context
    gathered = replace(context, round=context.round + 1)
    for tool in (rounds_for(alert, desk.playbooks) or ())[context.round]:
        if gathered.cost_s >= desk.settings.evidence_budget_s:
            break
        gathered = replace(gathered, evidence=(*gathered.evidence, ask(desk.toolbox, tool, alert)))
    return gathered


def ask(toolbox: Toolset, tool: str, alert: Alert) -> Evidence:
    """Asks a tool; one that breaks its word and raises has failed, which bars a dismissal."""
    try:
        return toolbox.ask(tool, alert)
    except Exception as error:
        return Evidence(tool, "", f"no answer ({type(error).__name__})", 0.0, failed=True)


class Nodes:
    """The nodes of the graph. Each takes the state and returns what changes in it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def ingest(self, state: State) -> State:
        """Finds the alert and lays out an empty case file, whatever an earlier run left in it."""
        alert = self._alert(state)
        known = rounds_for(alert, self.desk.playbooks) is not None
        fault = "" if known else f"no playbook for alerts of kind {alert.kind!r}"
        return State(round=0, evidence=[], verdict=None, verdicts=0, fault=fault, decision=None)

    def gather(self, state: State) -> State:
        """Asks the tools of the next round."""
        return plain_context(gather_round(self.desk, self._alert(state), context_of(state)))

    def classify(self, state: State) -> State:
        """Asks the model. Whatever it raises or lacks becomes a fault, never a lost alert."""
        try:
            answers = self.desk.classifier.classify([self._case(state)])
            verdict = answers[0] if len(answers) == 1 else None
            fault = unusable(verdict)
        except Exception as error:
            verdict, fault = None, f"the classifier failed: {one_line(error)}"
        plain = None if fault or verdict is None else plain_verdict(verdict)
        return State(verdict=plain, verdicts=state["verdicts"] + 1, fault=fault)

    def decide(self, state: State) -> State:
        """Guards first, then the policy."""
        case = self._case(state)
        decision = decide_guarded(self.desk.policy, case, verdict_of(state), state["fault"], self._now(state))
        return State(decision=plain_decision(decision))

    def escalate(self, state: State) -> None:
        """Hands the alert up to the cloud."""
        self.desk.sink.send(self._alert(state), investigation_of(state, self.desk.toolbox.stream.principal))

    def dismiss(self, state: State) -> None:
        """Closes the alert."""

    def review(self, state: State) -> None:
        """Leaves the alert to a person."""

    def known(self, state: State) -> Literal["gather", "decide"]:
        """After ingest: an alert that nothing is known to do about is decided at once, by the guards."""
        return "decide" if state["fault"] else "gather"

    def uncertain(self, state: State) -> Literal["gather", "decide"]:
        """After classify: uncertain and evidence left to gather?"""
        if state["fault"] or not worth_more_evidence(self.desk.policy, verdict_of(state)):
            return "decide"
        return "gather" if evidence_left(self.desk, self._alert(state), context_of(state)) else "decide"

    def decided(self, state: State) -> Literal["escalate", "dismiss", "review"]:
        """After decide: where the decision leads."""
        decision = decision_of(state)
        return "escalate" if decision is None else decision.action

    def _alert(self, state: State) -> Alert:
        uid = state["uid"]
        if uid not in self.desk.alerts:
            raise RunError(f"no alert {uid!r} in this stream of {len(self.desk.alerts)} alerts")
        return self.desk.alerts[uid]

    def _case(self, state: State) -> Case:
        return Case(self._alert(state), context_of(state))

    def _now(self, state: State) -> datetime:
        spent_s = context_of(state).cost_s + state["verdicts"] * self.desk.settings.verdict_cost_s
        begun = self._alert(state).time
        try:
            return begun + timedelta(seconds=spent_s)
        except OverflowError:  # an alert that claims the last second of the calendar
            return begun
