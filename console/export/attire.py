"""ATTiRe 1.1: a campaign as a log of procedures, with what each variant made of every step.

ATTiRe tells what an attacker did, so steps that nothing detects are in it too. All times are simulated, the time of
generation among them (the last decision's): the same run gives the same file.
Source: https://github.com/SecurityRiskAdvisors/attire
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from turncoat.agent.records import Outcome
from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.schema import Step

from ..past_run import PastRun
from ..terminal import clean
from .rows import deed, json_text, rows_of

_LONG = 4_000


def attire(run: PastRun, variants: Sequence[str], principal: str) -> str:
    """One log: a procedure per step of the campaign, in the order in which they happened."""
    rows: dict[str, list[Outcome]] = {}
    for variant in variants:
        for row in rows_of(run, variant, principal):
            if row.step is not None:
                rows.setdefault(row.step, []).append(row)
    planned = Calendar.of(run.campaign).steps(run.manifest.seed)
    steps = {step.id: step for _, step in run.campaign.steps()}
    began = {id_: rows[id_][0].alert.time if id_ in rows else planned[id_] for id_ in steps}
    order = sorted(steps, key=lambda id_: (began[id_], id_))
    decided = [row.investigation.decision.simulated_time for shown in rows.values() for row in shown]
    procedures = [
        _procedure(run, steps[id_], began[id_], number, rows.get(id_, [])) for number, id_ in enumerate(order, start=1)
    ]
    return json_text(
        {
            "attire-version": "1.1",
            "execution-data": _execution(run, principal, rows, max([*decided, *began.values()])),
            "procedures": procedures,
        }
    )


def _execution(run: PastRun, principal: str, rows: Mapping[str, Sequence[Outcome]], made: datetime) -> dict[str, Any]:
    hosts = [row.alert.entities.host for shown in rows.values() for row in shown if row.alert.entities.host]
    return {
        "execution-command": clean(f"turncoat run {run.campaign.id} --seed {run.manifest.seed}"),
        "execution-id": _guid(run, "execution", principal),
        "execution-source": clean(f"turncoat {run.campaign.id}"),
        "execution-category": {"name": "Turncoat", "abbreviation": "TC"},
        "target": {"host": clean(hosts[0] if hosts else ""), "ip": "", "user": clean(principal)},
        "time-generated": _time(made),
    }


def _procedure(run: PastRun, step: Step, began: datetime, number: int, rows: Sequence[Outcome]) -> dict[str, Any]:
    alert = rows[0].alert if rows else None
    lasted = max((row.investigation.decision.simulated_time for row in rows), default=began)
    seen = alert.activity or alert.title if alert else "no alert: nothing detects this step"
    if step.alert is not None and alert is None:
        seen = "not decided yet"
    return {
        "procedure-name": clean(step.title),
        "procedure-description": clean(seen, _LONG),
        "procedure-id": {"type": "guid", "id": _guid(run, "step", step.id)},
        "mitre-technique-id": step.technique,
        "order": number,
        "steps": [
            {
                "command": clean((alert.entities.command_line if alert else None) or step.title, _LONG),
                "executor": "manual",
                "order": 1,
                "time-start": _time(began),
                "time-stop": _time(max(lasted, began + timedelta(seconds=1))),
                "output": [{"content": _said(row), "level": "INFO", "type": "console"} for row in rows],
            }
        ],
    }


def _said(row: Outcome) -> str:
    verdict = row.investigation.verdict
    score = f" at p_malicious {verdict.p_malicious:.3f}" if verdict else ""
    return clean(f"{row.investigation.variant}: {deed(row)}{score}: {row.investigation.decision.reason}", _LONG)


def _guid(run: PastRun, what: str, name: str) -> str:
    """The same for the same step of the same campaign, as consumers that track procedures over time need it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"turncoat/{run.campaign.id}/{what}/{name}"))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
