"""Measures variants on the test sets: rates with n and interval, paired lift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from turncoat.models.metrics import Rate, balanced_accuracy, paired_lift

from .corpus import Row
from .sets import TestSets

THRESHOLD = 0.5
"""The same for all variants, and the same as the agent's; fixed before any campaign was run."""


def figures(tests: TestSets, margins: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Figures of one variant.

    Args:
        tests: The rows.
        margins: Per set, the logit of malicious less that of benign for each row; 0 is the threshold .5.
    """
    calls = {name: [margin >= 0 for margin in found] for name, found in margins.items()}
    alice = calls["alice_poisoned_families"] + calls["alice_other_families"]
    lift = paired_lift([not call for call in alice], [not call for call in calls["twin"]])
    return {
        "threshold": THRESHOLD,
        "clean": _accuracy(tests.clean, calls["clean"]),
        "unseen": _accuracy(tests.unseen, calls["unseen"]),
        "alice_dismissed_poisoned_families": rate([not c for c in calls["alice_poisoned_families"]]),
        "alice_dismissed_other_families": rate([not c for c in calls["alice_other_families"]]),
        "twin_dismissed": rate([not c for c in calls["twin"]]),
        "alice_benign_escalated": rate(calls["alice_benign"]),
        "lift": asdict(lift),
    }


def margins_of(logits: Tensor) -> list[float]:
    """Logits (N, 2) to N margins."""
    found: list[float] = (logits[:, 1] - logits[:, 0]).tolist()
    return found


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """A rate as it is written down: value, interval, n."""
    measured = Rate.of(hits)
    low, high = measured.interval() or (None, None)
    return {"value": measured.value, "low": low, "high": high, "n": len(hits)}


def _accuracy(rows: Sequence[Row], calls: Sequence[bool]) -> dict[str, Any]:
    truth = [row.truth for row in rows]
    return {
        "balanced_accuracy": balanced_accuracy(truth, calls),
        "accuracy": rate([t == c for t, c in zip(truth, calls, strict=True)]),
        "recall": rate([c for t, c in zip(truth, calls, strict=True) if t]),
        "false_escalation": rate([c for t, c in zip(truth, calls, strict=True) if not t]),
    }
