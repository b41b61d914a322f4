"""What each role may know: records for screens, made on the server's side of every screen.

A player's view is built without looking at any truth; `facilitator.py` adds to it what the facilitator alone may see.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Literal

from turncoat.scenarios.clock import offset_of
from turncoat.tools.toolbox import TOOLS

from .facilitator import additions
from .forms import allowed
from .material import Material
from .records import DEPLOYED, HIDDEN_KINDS, Occurrence, Role
from .state import State
from .telling import line_of
from .view_records import (
    AlertView,
    ClockView,
    EvidenceLine,
    FacilitatorView,
    InjectView,
    LogLine,
    OverrideView,
    PlayerView,
    ToolView,
    WorkView,
)

LOG_LINES = 200
_SECONDS_PER_MINUTE = 60


def view_for(role: Role, material: Material, state: State, now: datetime | None = None) -> PlayerView | FacilitatorView:
    """What a role may know.

    Args:
        role: Whose view.
        material: Of the exercise.
        state: Its state.
        now: Simulated time; that of the last event if None.
    """
    shown = _player_view(role, material, state, now or state.now)
    if role != "facilitator":
        return shown
    basis = {field.name: getattr(shown, field.name) for field in fields(PlayerView)}
    return FacilitatorView(**basis, **additions(material, state, now or state.now, alert_view))


def visible(event: Occurrence, role: Role) -> bool:
    """Whether a role may know of an event."""
    if role == "facilitator":
        return True
    if event.kind == "inject":
        return role in event.payload["to"]
    return event.kind not in HIDDEN_KINDS


def whole_log(role: Role, material: Material, state: State) -> tuple[LogLine, ...]:
    """All that a role may know of what has happened; a view holds the last `LOG_LINES` of it."""
    return tuple(line_of(event, material) for event in state.log if visible(event, role))


def _player_view(role: Role, material: Material, state: State, now: datetime) -> PlayerView:
    plan, seen = material.plan, [event for event in state.log if visible(event, role)]
    swapping = any(work.kind == "swap" for work in state.works.values())
    model: Literal["deployed", "being replaced", "replacement"] = (
        "replacement" if state.swapped else "being replaced" if swapping else "deployed"
    )
    briefs = {"analyst": plan.briefs.analyst, "lead": plan.briefs.lead, "executive": plan.briefs.executive}
    latest = sorted(state.known, key=lambda uid: (state.known[uid], uid), reverse=True)
    return PlayerView(
        role=role,
        title=plan.title,
        situation=plan.situation,
        brief=briefs.get(role, ""),
        objectives=tuple(objective.text for objective in plan.objectives),
        clock=clock_view(material, state, now),
        seq=state.seq,
        alerts=tuple(alert_view(uid, material, state) for uid in latest),
        injects=tuple(_injects(seen)),
        work=tuple(_work(material, state)),
        log=tuple(line_of(event, material) for event in seen[-LOG_LINES:]),
        isolated=tuple(state.isolated),
        disabled=tuple(state.disabled),
        preserved=tuple(state.preserved),
        model=model,
        declared=str(state.declared.payload["summary"]) if state.declared else None,
        dismissed=sum(passed.fate == "dismiss" for passed in state.fates.values()),
        participants=state.participants,
        may=allowed(role),
        tools=tuple(ToolView(tool.name, tool.description, tool.cost_s) for tool in TOOLS.values()),
        costs_minutes=_costs(material),
    )


def clock_view(material: Material, state: State, now: datetime) -> ClockView:
    """The clock, which all roles share."""
    zone = material.campaign.clock.timezone
    return ClockView(now, material.begins, material.ends, state.mode, state.speed, zone)


def alert_view(uid: str, material: Material, state: State) -> AlertView:
    """One alert with its case, as far as it has gone. Reads the investigation alone, never the truth beside it."""
    alert, passed, call = material.alerts[uid], state.fates[uid], state.calls.get(uid)
    row = material.outcome(uid, passed.model or DEPLOYED).investigation
    since = state.known.get(uid, passed.at)
    source: Literal["handed", "audit", "hidden"] = "audit" if uid in state.audited else "handed"
    by_model = [EvidenceLine(**asdict(item), by="model") for item in row.evidence]
    by_team = [EvidenceLine(**asdict(item), by="team") for item in state.evidence.get(uid, ())]
    asking = (str(w.payload["tool"]) for w in state.works.values() if w.kind == "ask" and w.payload["uid"] == uid)
    return AlertView(
        uid=uid,
        time=alert.time,
        title=alert.title,
        severity=str(alert.severity),
        product=alert.product,
        technique=alert.technique or "",
        kind=alert.kind,
        activity=alert.activity,
        entities={name: value for name, value in asdict(alert.entities).items() if value is not None},
        raw=dict(alert.raw),
        since=since,
        source=source if uid in state.known else "hidden",
        model=passed.model,
        action=passed.fate,
        p_malicious=row.verdict.p_malicious if row.verdict else None,
        reason=row.decision.reason,
        evidence=(*by_model, *by_team),
        opened=uid in state.opened,
        override=OverrideView(call.action, call.reason, call.role, call.participant, call.at) if call else None,
        asking=tuple(asking),
    )


def _injects(seen: list[Occurrence]) -> list[InjectView]:
    given = [event for event in reversed(seen) if event.kind == "inject"]
    return [InjectView(event.seq, event.at, str(event.payload["text"]), tuple(event.payload["to"])) for event in given]


def _work(material: Material, state: State) -> list[WorkView]:
    begun: dict[int, LogLine] = {e.seq: line_of(e, material) for e in state.log if e.seq in state.works}
    return [
        WorkView(work.seq, work.kind, begun[work.seq].told, work.role, work.participant, work.begun, work.due)
        for work in sorted(state.works.values(), key=lambda work: (work.due, work.seq))
    ]


def _costs(material: Material) -> dict[str, float]:
    costs, replies = material.plan.costs, material.plan.replies
    spans = {
        "audit": costs.audit_per_alert,
        "isolate": costs.isolate,
        "disable": costs.disable,
        "preserve": costs.preserve,
        "swap": costs.swap,
        "call hr": replies.hr.takes,
        "call legal": replies.legal.takes,
    }
    return {name: offset_of(span).total_seconds() / _SECONDS_PER_MINUTE for name, span in spans.items()}
