"""What falls due next: alerts, results of what the team began, injects, and the end. A function of the state alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from turncoat.scenarios.clock import offset_of
from turncoat.scenarios.exercise import Inject
from turncoat.scenarios.records import Alert
from turncoat.tools.records import Evidence
from turncoat.tools.toolbox import TOOLS

from .conditions import holds, moments
from .material import Material
from .records import REPLACEMENT, Draft
from .state import State, Work


def earliest(material: Material, state: State) -> Draft | None:
    """The next thing that happens if nobody does anything; None once the exercise has ended.

    Of several at one moment, results come before alerts, and alerts before injects, whose conditions may look at both.
    """
    if state.mode == "ended":
        return None
    options = [*_results(material, state), *_alerts(material, state), *_injects(material, state)]
    options.append(Draft(material.ends, "ended", {"reason": "time"}))
    return min(options, key=lambda draft: draft.at)


def _results(material: Material, state: State) -> Iterator[Draft]:
    if state.works:
        work = min(state.works.values(), key=lambda work: (work.due, work.seq))
        yield Draft(
            max(work.due, state.now), "result", {"work": work.seq, "kind": work.kind} | _result(material, state, work)
        )


def _alerts(material: Material, state: State) -> Iterator[Draft]:
    """The next alert. Decisions take time, so that one that is raised later may be handed over earlier."""
    first: Draft | None = None
    for alert in material.stream.alerts:
        if alert.uid in state.fates:
            continue
        if first is not None and alert.time >= first.at:
            break
        draft = _passing(material, state, alert)
        if first is None or draft.at < first.at:
            first = draft
    if first is not None:
        yield first


def _passing(material: Material, state: State, alert: Alert) -> Draft:
    if _contained(state, alert):
        return Draft(max(alert.time, state.now), "prevented", {"uid": alert.uid})
    model = state.model_at(alert.time)
    decision = material.outcome(alert.uid, model).investigation.decision
    at = max(decision.simulated_time, state.now)
    if decision.action == "dismiss":
        return Draft(at, "dismissed", {"uid": alert.uid, "model": model})
    return Draft(at, "handed", {"uid": alert.uid, "action": decision.action, "model": model})


def _contained(state: State, alert: Alert) -> bool:
    """Whether account or host could no longer do what would have raised the alert."""
    entities = alert.entities
    since = [state.disabled.get(entities.user or ""), state.isolated.get(entities.host or "")]
    return any(moment is not None and moment <= alert.time for moment in since)


def _injects(material: Material, state: State) -> Iterator[Draft]:
    chosen = set(state.branched.values())
    for inject in material.plan.injects:
        if inject.id in state.given:
            yield from _branches(material, state, inject)
        elif inject.id in chosen:
            yield _inject(inject, state.now)
        elif inject.at is not None:
            yield _inject(inject, max(material.calendar.moment(inject.at), state.now))
        elif inject.when is not None:
            for at in sorted({state.now, *(x for x in moments(inject.when, material) if x > state.now)}):
                if holds(inject.when, material, state, at):
                    yield _inject(inject, at)
                    break


def _inject(inject: Inject, at: datetime) -> Draft:
    return Draft(at, "inject", {"id": inject.id, "to": list(inject.to), "text": inject.text, "by_hand": False})


def _branches(material: Material, state: State, inject: Inject) -> Iterator[Draft]:
    for number, branch in enumerate(inject.then):
        if (inject.id, number) in state.branched:
            continue
        at = max(state.given[inject.id] + offset_of(branch.after), state.now)
        chosen = branch.give if branch.when is None or holds(branch.when, material, state, at) else branch.otherwise
        yield Draft(at, "branched", {"inject": inject.id, "branch": number, "gave": chosen})


def _result(material: Material, state: State, work: Work) -> dict[str, Any]:
    said = work.payload
    match work.kind:
        case "ask":
            evidence = _answer(material, str(said["uid"]), str(said["tool"]), str(said["value"]))
            return {"uid": said["uid"], "evidence": asdict(evidence)}
        case "audit":
            return {"uids": _sample(material, state, work)}
        case "call":
            replies = material.plan.replies
            reply = replies.hr if said["whom"] == "hr" else replies.legal
            return {"whom": said["whom"], "answer": reply.text}
        case "swap":
            return {"model": REPLACEMENT}
    return {"target": next(said[key] for key in ("host", "user", "target") if said.get(key))}


def _answer(material: Material, uid: str, tool: str, value: str) -> Evidence:
    """The tool's own question about the alert, or the same question about something else."""
    alert = material.alerts[uid]
    if not value:
        return material.toolbox.ask(tool, alert)
    schema = TOOLS[tool].schema
    try:
        question = schema(**dict.fromkeys(schema.model_fields, value))
    except ValidationError:
        return Evidence(tool, "", "no answer (not a valid question)", 0.0, failed=True)
    return material.toolbox.look_up(tool, alert, question)


def _sample(material: Material, state: State, work: Work) -> list[str]:
    """Some of what the model dismissed and the team has not seen, drawn by a generator of the audit's own."""
    user, host, count = work.payload["user"], work.payload["host"], int(work.payload["count"])
    pool = [
        alert.uid
        for alert in material.stream.alerts
        if alert.uid not in state.known
        and (passed := state.fates.get(alert.uid)) is not None
        and passed.fate == "dismiss"
        and user in ("", alert.entities.user)
        and host in ("", alert.entities.host)
    ]
    rng = random.Random(f"{material.campaign.id}/{material.seed}/audit/{work.seq}")
    chosen = set(pool if len(pool) <= count else rng.sample(pool, count))
    return [uid for uid in pool if uid in chosen]
