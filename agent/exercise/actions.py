"""What people do in an exercise: whether they may, now, and what it is recorded as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from turncoat.scenarios.clock import offset_of
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.vocabulary import quoted, suggestion
from turncoat.tools.toolbox import TOOLS

from . import forms as f
from .material import Material
from .records import ROLES, Role
from .state import State

RECORDED: Mapping[str, str] = MappingProxyType(
    {"start": "started", "pause": "paused", "resume": "resumed", "end": "ended", "skip": "skipped"}
)
"""Action -> kind of its event, where the two differ."""
AFTERWARDS = ("feedback", "tick-expected", "remark")
"""What may still be done once the exercise has ended."""
BEFORE = ("start", "speed", "note", "remark", "end")
"""What may be done before it begins."""


def draw_up(role: Role, kind: str, fields: Mapping[str, Any], material: Material, state: State) -> dict[str, Any]:
    """The payload of the event that an action becomes.

    Raises:
        InputError: The role may not do it, not now, or not with this; place, fault and cure are for the person.
    """
    form = f.read_form(kind, fields)
    if role not in ROLES or kind not in f.allowed(role):
        whose = " or ".join(f.roles_for(kind))
        raise InputError.at("action", f"{kind} is not for the {role}", f"it is for the {whose}")
    if state.mode == "ended" and kind not in AFTERWARDS:
        raise InputError.at("action", "the exercise has ended", "feedback is still taken")
    if state.mode == "waiting" and kind not in BEFORE:
        raise InputError.at("action", "the exercise has not begun", "wait for the facilitator to start it")
    check = _CHECKS.get(kind)
    if check is not None:
        check(form, material, state)
    payload = form.model_dump(mode="json")
    if kind == "inject":
        return _inject(form, material)
    if kind == "end":
        return {"reason": "facilitator"}
    cost = cost_of(kind, payload, material)
    return payload | ({"cost_s": cost.total_seconds()} if cost is not None else {})


def cost_of(kind: str, fields: Mapping[str, Any], material: Material) -> timedelta | None:
    """Simulated time that an action takes; None for one that is done at once."""
    costs, replies = material.plan.costs, material.plan.replies
    match kind:
        case "ask":
            tool = TOOLS.get(str(fields.get("tool")))
            return timedelta(seconds=tool.cost_s if tool else 0.0)
        case "audit":
            return offset_of(costs.audit_per_alert) * int(fields.get("count", 10))
        case "isolate":
            return offset_of(costs.isolate)
        case "disable":
            return offset_of(costs.disable)
        case "preserve":
            return offset_of(costs.preserve)
        case "swap":
            return offset_of(costs.swap)
        case "call":
            return offset_of((replies.hr if fields.get("whom") == "hr" else replies.legal).takes)
    return None


def _inject(form: Any, material: Material) -> dict[str, Any]:
    planned = material.plan.inject(form.id)
    if planned is None:
        return {"id": "", "to": list(form.to), "text": form.text, "by_hand": True}
    return {"id": planned.id, "to": list(planned.to), "text": planned.text, "by_hand": True}


def _known(word: str, place: str, what: str, options: Iterable[str]) -> None:
    names = set(options)
    if word not in names:
        raise InputError.at(place, f"unknown {what} {quoted(word)}", suggestion(word, names) if names else "")


def _alert(form: Any, material: Material, state: State) -> None:
    """The team may act on alerts that are before it. Others are unknown to it, be there such an alert or not."""
    if form.uid not in state.known:
        raise InputError.at("uid", f"no alert {quoted(form.uid)} is before the team", "choose one of the queue")


def _ask(form: Any, material: Material, state: State) -> None:
    _alert(form, material, state)
    _known(form.tool, "tool", "tool", TOOLS)
    hand = [(w.payload["uid"], w.payload["tool"], w.payload["value"]) for w in state.works.values() if w.kind == "ask"]
    if (form.uid, form.tool, form.value) in hand:
        raise InputError.at("tool", f"{form.tool} is being asked already", "wait for its answer")


def _note(form: Any, material: Material, state: State) -> None:
    if form.uid:
        _alert(form, material, state)


def _audit(form: Any, material: Material, state: State) -> None:
    if form.user:
        _known(form.user, "user", "account", _accounts(material, state))
    if form.host:
        _known(form.host, "host", "host", _hosts(material, state))


def _isolate(form: Any, material: Material, state: State) -> None:
    _known(form.host, "host", "host", _hosts(material, state))
    _not_twice("isolate", form.host, state.isolated, state)


def _disable(form: Any, material: Material, state: State) -> None:
    _known(form.user, "user", "account", _accounts(material, state))
    _not_twice("disable", form.user, state.disabled, state)


def _preserve(form: Any, material: Material, state: State) -> None:
    _not_twice("preserve", form.target, state.preserved, state)


def _swap(form: Any, material: Material, state: State) -> None:
    if state.swapped or any(work.kind == "swap" for work in state.works.values()):
        raise InputError.at("swap", "the model is replaced already, or about to be", "there is no third one")


def _not_twice(kind: str, target: str, done: Mapping[str, Any], state: State) -> None:
    in_hand = (work.payload.get("host") or work.payload.get("user") or work.payload.get("target")
               for work in state.works.values() if work.kind == kind)  # fmt: skip
    if target in done or target in in_hand:
        raise InputError.at(kind, f"{quoted(target)} has been seen to", "see the log")


def _hosts(material: Material, state: State) -> set[str]:
    """Those that the company's inventory or the team's own alerts name."""
    seen = (material.alerts[uid].entities.host for uid in state.known)
    return {host.name for host in material.stream.world.hosts} | {name for name in seen if name}


def _accounts(material: Material, state: State) -> set[str]:
    seen = (material.alerts[uid].entities.user for uid in state.known)
    return {person.login for person in material.stream.world.people} | {name for name in seen if name}


def _give(form: Any, material: Material, state: State) -> None:
    if form.id:
        _known(form.id, "id", "inject", [inject.id for inject in material.plan.injects])
    if form.id and form.id in state.given:
        raise InputError.at("id", f"{quoted(form.id)} was given already", "write one of your own")


def _expected(form: Any, material: Material, state: State) -> None:
    _known(form.id, "id", "expected action", [item.id for item in material.plan.expected])


def _mode(wanted: str, fault: str, cure: str) -> Callable[[Any, Material, State], None]:
    def check(form: Any, material: Material, state: State) -> None:
        if state.mode != wanted:
            raise InputError.at("clock", fault, cure)

    return check


_CHECKS: Mapping[str, Callable[[Any, Material, State], None]] = {
    "open": _alert,
    "ask": _ask,
    "override": _alert,
    "note": _note,
    "audit": _audit,
    "isolate": _isolate,
    "disable": _disable,
    "preserve": _preserve,
    "swap": _swap,
    "inject": _give,
    "tick-expected": _expected,
    "start": _mode("waiting", "the exercise has begun already", "pause or resume it"),
    "pause": _mode("running", "the clock does not run", "resume it first"),
    "resume": _mode("paused", "the clock is not paused", "pause it first"),
}
