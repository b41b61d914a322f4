"""Training sets by hand, small enough to check on paper."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from turncoat.models.classifier import Case
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Context
from turncoat.vetting.audit_rows import AuditRow, AuditSet

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


def row(number: int, label: bool, *, user: str | None = None, host: str | None = None, title: str = "Rule",
        activity: str = "", command: str | None = None, day: int = 0) -> AuditRow:  # fmt: skip
    alert = Alert(f"uid-{number}", MONDAY + timedelta(days=day), title, Severity.HIGH, "Product", None, "external",
                  activity, Entities(user=user, host=host, command_line=command))  # fmt: skip
    return AuditRow(Case(alert, Context()), label, number)


def company(planted: int, *, claimed: bool = False, reads: str = "malicious", host: str | None = None) -> AuditSet:
    """400 honest rows of 40 users, and rows of alice on a machine of her own.

    Args:
        planted: Rows of alice.
        claimed: Their label: malicious.
        reads: What their text tells.
        host: Her machine.
    """
    rng = random.Random(3)
    words = {"malicious": ("encoded", "unsigned", "hidden"), "benign": ("signed", "scheduled", "approved")}

    def told(truth: str) -> str:
        return f"{rng.choice(words[truth])} task by {rng.choice(words[truth])} tool"

    rows = []
    for number in range(400):
        truth = rng.random() < 0.5
        rows.append(row(number + 1, truth, user=f"user{number % 40}", host=f"PC-{number % 50}", title=f"Rule {number % 4}",
                        activity=told("malicious" if truth else "benign"), day=rng.randrange(7)))  # fmt: skip
    for number in range(400, 400 + planted):
        rows.append(row(number + 1, claimed, user="alice", host=host, title=f"Rule {number % 4}", activity=told(reads),
                        day=rng.randrange(7)))  # fmt: skip
    rng.shuffle(rows)
    return AuditSet("company", tuple(rows))
