"""Events, conditions and work in one line each, for people."""

from __future__ import annotations

from typing import Any

from turncoat.scenarios.exercise import Condition, Deed, ExercisePlan, Inject

from .material import Material
from .records import Occurrence
from .view_records import LogLine

_PLAIN = {
    "joined": "joined",
    "started": "The exercise begins.",
    "paused": "The clock is paused.",
    "resumed": "The clock runs again.",
    "skipped": "The clock was moved on.",
    "tick": "",
    "ended": "The exercise has ended.",
}
_ACTIONS = {
    "open": "Opened {alert}",
    "ask": "Asks {tool} about {subject}",
    "override": "Overrules: {action} {alert}. {reason}",
    "audit": "Pulls {count} dismissed alerts{scope}",
    "isolate": "Isolates {host}. {reason}",
    "disable": "Disables {user}. {reason}",
    "preserve": "Preserves evidence of {target}. {reason}",
    "call": "Calls {whom}: {about}",
    "swap": "Replaces the triage model. {reason}",
    "declare": "Declares an incident: {summary}",
    "note": "Notes: {text}",
    "feedback": "Feedback ({rating} of 5): {text}",
    "remark": "{text}",
    "speed": "The clock runs at {speed:g} times.",
    "inject": "Inject for {to}: {text}",
    "tick-expected": "Marks {id} as {mark}. {note}",
    "branched": "Branch {branch} of {inject}: {gave}",
}
_RESULTS = {
    "ask": "{tool}: {answer}",
    "audit": "The sample is here: {count} alerts",
    "isolate": "{target} is off the network",
    "disable": "{target} is disabled",
    "preserve": "Evidence of {target} is secured",
    "call": "{whom} answers: {answer}",
    "swap": "The replacement decides from now on",
}
_DEEDS = {
    "open": "open the case",
    "ask": "ask a tool about",
    "override": "escalate",
    "audit": "audit dismissed alerts",
    "isolate": "isolate",
    "disable": "disable",
    "preserve": "preserve",
    "call": "call",
    "swap": "replace the model",
    "declare": "declare an incident",
    "note": "write a note",
}


def line_of(event: Occurrence, material: Material) -> LogLine:
    """The event in one line; says nothing that is not in the event."""
    return LogLine(
        event.seq, event.at, event.source, event.participant, event.kind, " ".join(told(event, material).split())
    )


def told(event: Occurrence, material: Material) -> str:
    """The event in words."""
    said = dict(event.payload)
    uid = str(said.get("uid", ""))
    words: dict[str, Any] = {"alert": _alert(uid, material)} | said
    match event.kind:
        case "handed":
            verb = "asks for a review of" if said["action"] == "review" else "hands over"
            return f"The model {verb} {_alert(uid, material)}"
        case "dismissed":
            return f"The model dismisses {_alert(uid, material)}"
        case "prevented":
            return f"Containment prevents {_alert(uid, material)}"
        case "result":
            evidence = said.get("evidence") or {}
            words |= {"tool": evidence.get("tool"), "count": len(said.get("uids", ()))}
            words["answer"] = evidence.get("answer", said.get("answer"))
            words["whom"] = "HR" if said.get("whom") == "hr" else "Legal"
            return _RESULTS[str(said["kind"])].format(**words)
    if event.kind in _PLAIN:
        return _PLAIN[event.kind]
    about = said.get("user") or said.get("host")
    words["scope"] = f" of {about}" if event.kind == "audit" and about else ""
    words["subject"] = said.get("value") or words["alert"]
    words["to"] = ", ".join(said.get("to", ()))
    words["mark"] = "done" if said.get("done") else "not done"
    words["gave"] = said.get("gave") or "nothing"
    if event.kind == "call":
        words["whom"] = "HR" if said["whom"] == "hr" else "legal"
    return _ACTIONS[event.kind].format(**words)


def _alert(uid: str, material: Material) -> str:
    alert = material.alerts.get(uid)
    if alert is None:
        return uid
    whose = f" ({alert.entities.user})" if alert.entities.user else ""
    return f"{alert.title}{whose}"


def when_told(inject: Inject, plan: ExercisePlan) -> str:
    """How an inject comes, in words."""
    if inject.at is not None:
        return f"at {inject.at}"
    if inject.when is not None:
        return f"when {condition_told(inject.when)}"
    ways = [
        f"{branch.after} after {other.id}" + (f" {word} {condition_told(branch.when)}" if branch.when else "")
        for other in plan.injects
        for branch in other.then
        for target, word in ((branch.give, "if"), (branch.otherwise, "unless"))
        if target == inject.id
    ]
    return ", or ".join(ways) or "by hand"


def condition_told(condition: Condition) -> str:
    """A condition in words."""
    fates = {"dismissed": condition.dismissed, "escalated": condition.escalated, "left for review": condition.reviewed}
    for verb, step in fates.items():
        if step is not None:
            return f"the model has {verb} {step}"
    if condition.known is not None:
        return f"{condition.known} is before the team"
    if condition.at is not None:
        return f"it is {condition.at} or later"
    if condition.given is not None:
        return f"{condition.given} was given"
    if condition.done is not None:
        return f"the team did: {deed_told(condition.done)}"
    if condition.undone is not None:
        return f"the team did not, by {condition.undone.by}: {deed_told(condition.undone)}"
    parts, word = (condition.all, " and ") if condition.all is not None else (condition.any or (), " or ")
    return word.join(condition_told(part) for part in parts)


def deed_told(deed: Deed) -> str:
    """An action of the team in words."""
    return f"{_DEEDS[deed.action]} {deed.target}" if deed.target else _DEEDS[deed.action]
