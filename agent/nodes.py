"""The steps of an investigation, one method each, and the question that is asked between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from turncoat.models.classifier import AlertClassifier, Case
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.records import Context, Evidence

from .course import Course, PlannedState, course_of, plain_course
from .guards import decide_guarded, unusable, worth_more_evidence
from .plain_text import error_line
from .planner import PLANNER, PLAYBOOK, Plan, Planner, PlannerFault, PlaybookPlanner, Question
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


@runtime_checkable
class SearchableToolset(Protocol):
    """A toolbox that also takes questions which are not the tool's own."""

    def look_up(self, tool: str, alert: Alert, question: BaseModel) -> Evidence:
        """As `Toolset.ask`."""
        ...


@dataclass(frozen=True)
class Desk:
    """Everything that the nodes of one graph work with."""

    toolbox: Toolset
    classifier: AlertClassifier
    policy: EscalationPolicy
    sink: CloudSink
    settings: Settings
    planner: Planner = PLAYBOOK
    playbook: PlaybookPlanner = PLAYBOOK
    """Knows the kinds of alerts and their number of rounds whoever plans, and takes over where a planner fails."""

    @cached_property
    def alerts(self) -> Mapping[str, Alert]:
        return {alert.uid: alert for alert in self.toolbox.stream.alerts}


def foreseeable(desk: Desk, alert: Alert) -> bool:
    """Whether what will be asked about an alert can be told ahead, at no cost."""
    rounds = desk.playbook.rounds(alert)
    if rounds is None:
        return False
    return desk.planner.foreseeable or desk.settings.withhold_evidence or not rounds


def evidence_left(desk: Desk, alert: Alert, context: Context, course: Course | None = None) -> bool:
    """Whether there may be another round to ask, and simulated time to ask it in."""
    if desk.settings.withhold_evidence or (course is not None and course.ended):
        return False
    rounds = desk.playbook.rounds(alert) or ()
    return context.round < len(rounds) and context.cost_s < desk.settings.evidence_budget_s


def gather_round(desk: Desk, alert: Alert, context: Context, course: Course | None = None) -> tuple[Context, Course]:
    """One more round of evidence, question by question, until the budget is spent.

    With a foreseeable planner a function of its arguments alone, which leaves the course as it is.
    """
    course = course or Course()
    if not evidence_left(desk, alert, context, course):
        return context, course
    plan, course = _plan(desk, alert, context, course)
    if plan.ended and not plan.steps:
        return (context if context.evidence else _unasked(context)), course
    gathered = replace(context, round=context.round + 1)
    for step in plan.steps:
        if isinstance(step, Question):
            if gathered.cost_s >= desk.settings.evidence_budget_s:
                continue
            step = ask(desk.toolbox, step, alert)
        gathered = replace(gathered, evidence=(*gathered.evidence, step))
    return gathered, course


def _plan(desk: Desk, alert: Alert, context: Context, course: Course) -> tuple[Plan, Course]:
    """The planner's plan, or the playbook's from where the planner failed until the alert is decided."""
    if course.fallback:
        return desk.playbook.catch_up(alert, context), course
    try:
        plan = desk.planner.plan(alert, context)
        return plan, course.after(plan)
    except PlannerFault as fault:
        why = str(fault)
    except Exception as error:  # its text may be a server's, so the kind must do
        why = type(error).__name__
    return desk.playbook.catch_up(alert, context), replace(course, fallback=why)


def _unasked(context: Context) -> Context:
    """Nothing was asked though there are tools: alert text may have talked the planner into it, so no dismissal."""
    return replace(context, evidence=(Evidence(PLANNER, "", "no answer (nothing was asked)", 0.0, failed=True),))


def ask(toolbox: Toolset, question: Question, alert: Alert) -> Evidence:
    """Asks a tool; one that breaks its word and raises has failed, which bars a dismissal."""
    try:
        if question.arguments is None:
            return toolbox.ask(question.tool, alert)
        if isinstance(toolbox, SearchableToolset):
            return toolbox.look_up(question.tool, alert, question.arguments)
        return Evidence(question.tool, "", "no answer (only the tool's own question can be put)", 0.0, failed=True)
    except Exception as error:
        return Evidence(question.tool, "", f"no answer ({type(error).__name__})", 0.0, failed=True)


class Nodes:
    """The nodes of the graph. Each takes the state and returns what changes in it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def ingest(self, state: State) -> PlannedState:
        """Finds the alert and lays out an empty case file, whatever an earlier run left in it."""
        alert = self._alert(state)
        known = self.desk.playbook.rounds(alert) is not None
        fault = "" if known else f"no playbook for alerts of kind {alert.kind!r}"
        course = plain_course(Course())
        return PlannedState(round=0, evidence=[], verdict=None, verdicts=0, fault=fault, decision=None, course=course)

    def gather(self, state: PlannedState) -> PlannedState:
        """Asks the tools of the next round."""
        context, course = gather_round(self.desk, self._alert(state), context_of(state), course_of(state))
        plain = plain_context(context)
        return PlannedState(evidence=plain["evidence"], round=plain["round"], course=plain_course(course))

    def classify(self, state: PlannedState) -> State:
        """Asks the model. Whatever it raises or lacks becomes a fault, never a lost alert."""
        if course_of(state).ended and state["verdict"] is not None:
            return State()  # nothing was added to the case that it has judged
        try:
            answers = self.desk.classifier.classify([self._case(state)])
            verdict = answers[0] if len(answers) == 1 else None
            fault = unusable(verdict)
        except Exception as error:
            verdict, fault = None, f"the classifier failed: {error_line(error)}"
        plain = None if fault or verdict is None else plain_verdict(verdict)
        return State(verdict=plain, verdicts=state["verdicts"] + 1, fault=fault)

    def decide(self, state: PlannedState) -> State:
        """Guards first, then the policy; the reason also tells where the planner failed."""
        case = self._case(state)
        decision = decide_guarded(self.desk.policy, case, verdict_of(state), state["fault"], self._now(state))
        if remark := course_of(state).remark:
            decision = replace(decision, reason=f"{decision.reason}; {remark}")
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

    def uncertain(self, state: PlannedState) -> Literal["gather", "decide"]:
        """After classify: uncertain and evidence left to gather?"""
        if state["fault"] or not worth_more_evidence(self.desk.policy, verdict_of(state)):
            return "decide"
        left = evidence_left(self.desk, self._alert(state), context_of(state), course_of(state))
        return "gather" if left else "decide"

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
