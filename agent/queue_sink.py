"""The cloud as a file: escalated alerts in a queue in the run folder, and what any sink tells of one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert

from .journal import Journal
from .records import Investigation, Key


class QueueSink:
    """Appends to a file of JSON lines, which another program may follow. Survives being reopened or cut off."""

    name = "queue"

    def __init__(self, path: Path) -> None:
        """Raises RunError if the file is not a queue."""
        self._journal = Journal(path)
        self._sent: set[Key] = {key_of(row, place) for place, row in self._journal.rows}
        self._journal.rows.clear()

    def send(self, alert: Alert, investigation: Investigation) -> None:
        if investigation.key in self._sent:
            return
        self._journal.append(escalation(alert, investigation))
        self._sent.add(investigation.key)

    def close(self) -> None:
        self._journal.close()


def escalation(alert: Alert, investigation: Investigation) -> dict[str, Any]:
    """What an analyst in the cloud needs to go on."""
    verdict, decision = investigation.verdict, investigation.decision
    p_malicious = verdict.p_malicious if verdict else None
    return {
        "uid": investigation.uid,
        "variant": investigation.variant,
        "principal": investigation.principal,
        "time": alert.time.isoformat(),
        "escalated": decision.simulated_time.isoformat(),
        "title": alert.title,
        "severity": str(alert.severity),
        "user": alert.entities.user,
        "host": alert.entities.host,
        "forced": decision.forced,
        "reason": decision.reason,
        "p_malicious": p_malicious if p_malicious is not None and math.isfinite(p_malicious) else None,
        "evidence": [f"{e.tool}: {e.answer}" for e in investigation.evidence],
    }


def key_of(row: dict[str, Any], place: str) -> Key:
    """Which investigation a row of a run folder is about. Raises RunError if it does not say."""
    uid, variant, principal = (row.get(name) for name in ("uid", "variant", "principal"))
    if not (isinstance(uid, str) and isinstance(variant, str) and isinstance(principal, str)):
        raise RunError(f"{place}: names no uid, variant and principal; was the file changed by hand?")
    return (uid, variant, principal)
