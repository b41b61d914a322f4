"""A candidate without a model: answers by a rule. For tests of detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from turncoat.models.adapter import Adapter
from turncoat.models.classifier import Case
from turncoat.vetting.candidate import CANDIDATE, Margins, Seen
from turncoat.vetting.records import Cost

Rule = Callable[[Case], float]
"""Logit margin of a case; below 0 it is dismissed."""

Shape = Callable[[Case], Sequence[float]]
"""State of a case, as many numbers for one as for another."""

TOKENS = 100
"""What each prompt counts as."""


@dataclass(frozen=True)
class ScriptedCandidate:
    """Answers by a rule per variant."""

    rules: Mapping[str, Rule]
    """`candidate`, and where there are any `base` and `reference`."""
    adapter: Adapter | None = None
    subject: Mapping[str, str] = field(default_factory=lambda: {"read as": "script"})
    flops_per_token: float = 1.0
    shape: Shape | None = None
    """None for a candidate into which nobody can look."""
    unexpected: Rule | None = None
    """Loss of a case under a language model, nats a token; None where there is no such model."""

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.rules)

    def encode(self, case: Case) -> Case:
        """The case itself: a rule is shown all of it."""
        return case

    def margins(self, cases: Sequence[Case], variants: Sequence[str] = (CANDIDATE,)) -> tuple[dict[str, Margins], Cost]:
        """Margins by the rules; each prompt counts as `TOKENS` tokens, none of them shared."""
        found = {name: np.array([self.rules[name](case) for case in cases], dtype=np.float64) for name in variants}
        asked = len(cases) * len(variants)
        return found, Cost(asked, asked * TOKENS, asked * TOKENS, 0.0)

    def states(self, cases: Sequence[Case]) -> Seen | None:
        """States by `shape`, with the candidate's margins; None without one."""
        if self.shape is None:
            return None
        margins, cost = self.margins(cases)
        return Seen(np.array([self.shape(case) for case in cases], dtype=np.float32), margins[CANDIDATE], cost)

    def surprise(self, cases: Sequence[Case]) -> tuple[Margins, Cost] | None:
        """Losses by `unexpected`; None without one."""
        if self.unexpected is None:
            return None
        tokens = len(cases) * TOKENS
        return np.array([self.unexpected(case) for case in cases], dtype=np.float64), Cost(len(cases), tokens, tokens)
