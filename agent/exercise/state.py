"""The state of an exercise: a pure fold over what happened. The same events give the same state, today and after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from turncoat.tools.records import Evidence

from ..records import Action
from .records import DEEDS, DEPLOYED, Occurrence

Mode = Literal["waiting", "running", "paused", "ended"]
Fate = Literal["escalate", "review", "dismiss", "prevented"]

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of an alert before the team had a say."""

    fate: Fate
    model: str
    """Which of the two decided; empty where containment prevented it."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """What a team decided about an alert, over the model's head."""

    action: Action
    reason: str
    role: str
    participant: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Work:
    """An action that was begun and takes simulated time."""

    seq: int
    kind: str
    payload: Mapping[str, Any]
    role: str
    participant: str
    begun: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """An action of the team, for conditions and expected actions; `target` is empty where it has none."""

    kind: str
    target: str
    role: str
    at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The facilitator's mark on an expected action."""

    done: bool
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """Everything that has happened, as far as it still matters. Holds no truth."""

    now: datetime
    """Of the last event."""
    speed: float
    """Simulated seconds per second."""
    mode: Mode = "waiting"
    seq: int = 0
    fates: Mapping[str, Passed] = field(default_factory=dict)
    """uid -> what became of it; alerts that are still to come have none."""
    known: Mapping[str, datetime] = field(default_factory=dict)
    """uid -> since when it is before the team."""
    audited: frozenset[str] = frozenset()
    opened: Mapping[str, datetime] = field(default_factory=dict)
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    """uid -> what the team has asked itself."""
    calls: Mapping[str, Call] = field(default_factory=dict)
    """uid -> the team's last word."""
    works: Mapping[int, Work] = field(default_factory=dict)
    """In hand, by the seq of the event that began them."""
    isolated: Mapping[str, datetime] = field(default_factory=dict)
    disabled: Mapping[str, datetime] = field(default_factory=dict)
    preserved: Mapping[str, datetime] = field(default_factory=dict)
    swapped: datetime | None = None
    """From when on the replacement decides."""
    declared: Occurrence | None = None
    """The first declaration of an incident."""
    given: Mapping[str, datetime] = field(default_factory=dict)
    """Inject of the plan -> when it came."""
    branched: Mapping[tuple[str, int], str | None] = field(default_factory=dict)
    """(inject, number of the branch) -> the inject that it chose, once it was looked at."""
    taken: tuple[Taken, ...] = ()
    ticks: Mapping[str, Tick] = field(default_factory=dict)
    """Expected action -> the facilitator's mark."""
    participants: tuple[tuple[str, str], ...] = ()
    """(role, name), in order of joining."""
    log: tuple[Occurrence, ...] = field(default=(), repr=False)
    """All but the ticks of the clock."""

    def model_at(self, moment: datetime) -> str:
        """Which model decides about an alert of that time."""
        return "replacement" if self.swapped is not None and moment >= self.swapped else DEPLOYED


def begin(now: datetime, speed: float) -> State:
    """Before anything has happened."""
    return State(now=now, speed=speed)


def fold(state: State, events: Iterable[Occurrence]) -> State:
    """The state after these events."""
    for event in events:
        state = apply(state, event)
    return state


def apply(state: State, event: Occurrence) -> State:
    """The state after one more event. Raises ValueError, KeyError or TypeError for one that no exercise records."""
    if event.seq != state.seq + 1 or event.at < state.now:
        raise ValueError(f"event {event.seq} at {event.at} does not follow event {state.seq} at {state.now}")
    log = state.log if event.kind == "tick" else (*state.log, event)
    state = replace(state, now=event.at, seq=event.seq, log=log)
    if event.kind in DEEDS:
        state = replace(state, taken=(*state.taken, _taken(event)))
    change = _CHANGES.get(event.kind)
    return replace(state, **change(state, event)) if change else state


def _with(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    return {**mapping, key: value}


def _first(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """With the key at its first value."""
    return {**mapping, key: mapping.get(key, value)}


def _taken(event: Occurrence) -> Taken:
    said = event.payload
    if event.kind == "override" and said["action"] != "escalate":
        return Taken("override-down", str(said["uid"]), event.source, event.at, event.seq)
    keys = ("uid", "host", "user", "target", "whom")
    target = next((str(said[key]) for key in keys if said.get(key)), "")
    return Taken(event.kind, target, event.source, event.at, event.seq)


def _passed(state: State, event: Occurrence) -> dict[str, Any]:
    uid, model = str(event.payload["uid"]), str(event.payload.get("model", ""))
    fate: Fate = "dismiss" if event.kind == "dismissed" else event.payload.get("action", "prevented")
    changes: dict[str, Any] = {"fates": _with(state.fates, uid, Passed(fate, model, event.at))}
    return changes | ({"known": _first(state.known, uid, event.at)} if event.kind == "handed" else {})


def _work(state: State, event: Occurrence) -> dict[str, Any]:
    due = event.at + timedelta(seconds=float(event.payload["cost_s"]))
    work = Work(event.seq, event.kind, event.payload, event.source, event.participant, event.at, due)
    return {"works": _with(state.works, event.seq, work)}


def _override(state: State, event: Occurrence) -> dict[str, Any]:
    said = event.payload
    call = Call(said["action"], str(said["reason"]), event.source, event.participant, event.at)
    return {"calls": _with(state.calls, str(said["uid"]), call)}


def _result(state: State, event: Occurrence) -> dict[str, Any]:
    said = event.payload
    works = {seq: work for seq, work in state.works.items() if seq != said["work"]}
    changes: dict[str, Any] = {"works": works}
    match said["kind"]:
        case "ask":
            uid, evidence = str(said["uid"]), Evidence(**said["evidence"])
            changes["evidence"] = _with(state.evidence, uid, (*state.evidence.get(uid, ()), evidence))
        case "audit":
            fresh = {str(uid): event.at for uid in said["uids"]}
            changes["known"] = {**fresh, **state.known}
            changes["audited"] = state.audited | set(fresh)
        case "isolate":
            changes["isolated"] = _first(state.isolated, str(said["target"]), event.at)
        case "disable":
            changes["disabled"] = _first(state.disabled, str(said["target"]), event.at)
        case "preserve":
            changes["preserved"] = _first(state.preserved, str(said["target"]), event.at)
        case "swap":
            changes["swapped"] = state.swapped or event.at
    return changes


def _inject(state: State, event: Occurrence) -> dict[str, Any]:
    name = str(event.payload["id"])  # empty for one that the facilitator wrote: of those there may be many
    return {"given": _first(state.given, name, event.at)} if name else {}


def _mark(state: State, event: Occurrence) -> dict[str, Any]:
    said = event.payload
    name, done = str(said["id"]), said["done"]
    if done is None:
        return {"ticks": {key: tick for key, tick in state.ticks.items() if key != name}}
    return {"ticks": _with(state.ticks, name, Tick(bool(done), str(said["note"]), event.at))}


def _branched(state: State, event: Occurrence) -> dict[str, Any]:
    said = event.payload
    return {"branched": _with(state.branched, (str(said["inject"]), int(said["branch"])), said["gave"])}


def _joined(state: State, event: Occurrence) -> dict[str, Any]:
    return {"participants": tuple(dict.fromkeys((*state.participants, (event.source, event.participant))))}


_CHANGES: Mapping[str, Callable[[State, Occurrence], dict[str, Any]]] = {
    "joined": _joined,
    "started": lambda state, event: {"mode": "running"},
    "resumed": lambda state, event: {"mode": "running"},
    "paused": lambda state, event: {"mode": "paused"},
    "ended": lambda state, event: {"mode": "ended"},
    "speed": lambda state, event: {"speed": float(event.payload["speed"])},
    "handed": _passed,
    "dismissed": _passed,
    "prevented": _passed,
    "open": lambda state, event: {"opened": _first(state.opened, str(event.payload["uid"]), event.at)},
    "override": _override,
    **dict.fromkeys(("ask", "audit", "isolate", "disable", "preserve", "call", "swap"), _work),
    "declare": lambda state, event: {"declared": state.declared or event},
    "result": _result,
    "inject": _inject,
    "branched": _branched,
    "tick-expected": _mark,
}
