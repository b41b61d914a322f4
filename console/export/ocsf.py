"""OCSF Detection Findings (class 2004), one JSON line per escalation: what the cloud SOC would have received.

Beyond what `scenarios.formats.to_ocsf` carries: the profiles security_control (action, disposition) and host (device),
names of techniques, the variant as the analytic that found it. Nothing in it says what is really so.
Source: https://schema.ocsf.io/1.4.0/classes/detection_finding?profiles=security_control,host
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from turncoat.agent.records import Outcome
from turncoat.scenarios.attack import technique
from turncoat.scenarios.formats import to_ocsf

from ..past_run import PastRun
from .rows import rows_of

_ALLOWED, _ALERT, _NEW, _LEARNING = 1, 19, 1, 4
"""action_id, disposition_id, status_id; type_id of an analytic."""


def ocsf(run: PastRun, variants: Sequence[str], principal: str) -> str:
    """Every escalation of the variants, forced ones and those of benign alerts too, in the order of the alerts.

    Text of alerts is carried as it is, for it is evidence; JSON escapes whatever is not ASCII.
    """
    events = [
        _finding(run, row)
        for variant in variants
        for row in rows_of(run, variant, principal)
        if row.action == "escalate"
    ]
    return "".join(json.dumps(event, ensure_ascii=True, allow_nan=False) + "\n" for event in events)


def _finding(run: PastRun, row: Outcome) -> dict[str, Any]:
    event, decision, verdict = to_ocsf(row.alert), row.investigation.decision, row.investigation.verdict
    variant = row.investigation.variant
    event["finding_info"]["analytic"] = _analytic(run, variant)
    if row.alert.technique:
        event["finding_info"]["attacks"] = [_attack(run, row.alert.technique)]
    evidence = event.get("evidences", [{}])[0]
    if device := evidence.pop("device", None):
        event["device"] = device | {"type_id": 0}
        if not evidence:
            del event["evidences"]
    profiles = ["security_control", *(["host"] if device else [])]
    labels = {"campaign": run.campaign.id, "seed": run.manifest.seed, "variant": variant}
    labels |= {"principal": row.investigation.principal, "forced": str(row.forced).lower()}
    event["metadata"] |= {
        "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, "turncoat/" + "/".join(map(str, (*labels.values(), row.alert.uid))))),
        "profiles": profiles,
        "labels": [f"{name}:{value}" for name, value in labels.items()],
    }
    event |= {
        "class_name": "Detection Finding",
        "category_name": "Findings",
        "activity_name": "Create",
        "type_name": "Detection Finding: Create",
        "status_id": _NEW,
        "status": "New",
        "action_id": _ALLOWED,
        "action": "Allowed",
        "disposition_id": _ALERT,
        "disposition": "Alert",
        "comment": decision.reason,
    }
    return event | ({"confidence_score": round(100 * verdict.p_malicious)} if verdict else {})


def _analytic(run: PastRun, variant: str) -> dict[str, Any]:
    fingerprint = run.manifest.variants[variant]
    return {"name": variant, "uid": fingerprint, "type_id": _LEARNING, "type": "Learning (ML/DL)"}


def _attack(run: PastRun, id_: str) -> dict[str, Any]:
    """A sub-technique stands beside its technique, as the object demands."""
    parent, whole = technique(id_.split(".")[0]), technique(id_)
    told: dict[str, Any] = {
        "version": run.campaign.attack_version,
        "technique": {"uid": id_.split(".")[0], "name": parent.name if parent else id_.split(".")[0]},
    }
    if "." in id_:
        told["sub_technique"] = {"uid": id_, "name": whole.name.split(": ")[-1] if whole else id_}
    return told
