"""Lines of alerts that are followed, and a sink that breaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from turncoat.agent.position import StateFolder
from turncoat.agent.records import Investigation, Settings
from turncoat.agent.sinks import CloudSink
from turncoat.agent.triage_stream import triage_stream
from turncoat.models.classifier import AlertClassifier
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.formats.follow import FileFollower
from turncoat.scenarios.formats.stopping import Stop
from turncoat.scenarios.records import Alert

HASH = {"hash": ScriptedClassifier("scripted-hash")}
SEVERITY = {"severity": ScriptedClassifier("scripted-severity")}


def alert_line(uid: str, severity: str = "high", title: str = "t") -> str:
    return json.dumps({"uid": uid, "time": "2025-01-01T12:00:00Z", "title": title, "severity": severity}) + "\n"


def mixed(number: int) -> str:
    """A line of all sorts; every seventh cannot be read, and uids come again and again."""
    return '{"broken\n' if number % 7 == 3 else alert_line(f"u{number % 5}", title=f"title {number % 40}")


class Breaking:
    """A sink that fails once, after it took so many."""

    name = "breaking"

    def __init__(self, takes: int) -> None:
        self.left = takes
        self.sent: list[Investigation] = []

    def send(self, alert: Alert, investigation: Investigation) -> None:
        assert alert.uid == investigation.uid
        if self.left == 0:
            raise OSError("the line is dead")
        self.left -= 1
        self.sent.append(investigation)

    def sync(self) -> None: ...

    def close(self) -> None: ...


class OnceIdle(Stop):
    """Set as soon as somebody waits for more: what lies ready is triaged, and then it is over."""

    def wait(self, seconds: float) -> None:
        self.set()


def run(
    path: Path,
    state: Path,
    sink: CloudSink,
    variants: Mapping[str, AlertClassifier] = HASH,
    *,
    limit: int = 0,
    batch: int = 8,
) -> list[Any]:
    with StateFolder.open(state, "log") as folder, closing(FileFollower(path, folder.spot, poll_s=0.01)) as source:
        found = triage_stream(
            source, "jsonl", variants, Settings(), sink, folder, batch=batch, wait_s=0.0, limit=limit,
            stop=None if limit else OnceIdle(),
        )  # fmt: skip
        return [json.loads(json.dumps(row)) for row in found]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
