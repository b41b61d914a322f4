"""An escalated alert for webhooks, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from turncoat.agent.records import Decision, Investigation
from turncoat.agent.spool import read_report
from turncoat.agent.webhook import WebhookSink
from turncoat.models.classifier import Verdict
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

from .servers import FlakyReceiver

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALERT = Alert("03bb", AT, "Mass copy", Severity.HIGH, "DLP", None, "data", entities=Entities(user="alice"))


def escalated(uid: str = "03bb") -> Investigation:
    decision = Decision("escalate", False, "threshold", "p_malicious 0.900 is at least 0.5", AT)
    verdict = Verdict("malicious", 0.9, 2.2, "f", 80)
    return Investigation(uid, "clean", "alice", verdict, decision, (Evidence("peers", "alice", "0 of 9", 12.0),), 1)


def left(tmp_path: Path) -> tuple[int, int, int]:
    """(delivered, queued, undeliverable) of the spool on disk."""
    report = read_report(tmp_path / "spool.sqlite")
    assert report is not None
    return report.delivered, report.queued, report.undeliverable


def uids(server: FlakyReceiver) -> list[str]:
    return [json.loads(body)["uid"] for body in server.bodies.values()]


Open = Callable[..., WebhookSink]
