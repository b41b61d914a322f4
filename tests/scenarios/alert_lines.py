"""An alert, and files with lines of such."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.records import Alert, Entities, Severity

ALERT = Alert(
    uid="a1b2",
    time=datetime(2025, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC),
    title="Copy to removable drive",
    severity=Severity.HIGH,
    product="DLP",
    technique="T1052.001",
    kind="external",
    activity="copied 412 MB to drive E:",
    entities=Entities("carol", "WS-CAROL", "robocopy.exe", "robocopy C: E:", "10.1.2.3", "x.example", "a.zip", "share"),
    raw={"drive": "E:", "label": "KINGSTON"},
)


def readable(items: Iterator[LabelledAlert | Mistake]) -> list[LabelledAlert]:
    return [item for item in items if isinstance(item, LabelledAlert)]


def mistakes(items: Iterator[LabelledAlert | Mistake]) -> list[Mistake]:
    return [item for item in items if isinstance(item, Mistake)]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path
