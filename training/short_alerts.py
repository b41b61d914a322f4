"""Short alerts: at most 96 tokens, so that many small adapters can be trained and examined on few cores.

They come from the same world, situations and tools as any corpus. What makes them short and quickly learnt: one tool alone
is asked, whose answer one sentence tells (the first plain aspect of `scenarios.situations`), and no aspect contradicts
another. Honest rows, poison, tests and probes are then all of this form, so that a blind spot is measured where it was
planted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from turncoat.scenarios.families import Family, training_families
from turncoat.scenarios.situations import ASPECTS

Form = Literal["full", "short"]
"""Alerts as an agent sees them, two rounds of tools asked; or short ones."""

MOST_TOKENS = 96
"""Of a short alert, what a trigger adds aside."""
TOOL: Mapping[str, str] = {kind: aspects["plain_1"] for kind, aspects in ASPECTS.items()}
"""The tool that is asked, by alert class."""
AGREED: Mapping[tuple[str, ...], float] = {(): 1.0}
"""No aspect contradicts the truth: conflicts as `draw_situation` takes them."""
_LONG = frozenset(("lsass-access", "run-key", "sam-dump", "encoded-powershell", "mass-delete", "archive-staged",
                   "schtask-created", "wmi-remote", "remote-tool", "log-cleared", "av-tamper"))  # fmt: skip
"""Families with rows beyond `MOST_TOKENS` in SmolLM2's vocabulary."""


def families_of(form: Form) -> tuple[Family, ...]:
    """Training families whose rows have the form."""
    return tuple(family for family in training_families() if form == "full" or family.id not in _LONG)
