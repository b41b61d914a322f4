"""The seam between an investigation and whatever answers it: a case goes in, a verdict or none comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from turncoat.scenarios.records import Alert
from turncoat.tools.records import Context

Answer = Literal["malicious", "benign"]


@dataclass(frozen=True)
class Case:
    """An alert with what has been found out about it: all that a classifier may see."""

    alert: Alert
    context: Context


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model's scored answer about one case."""

    answer: Answer
    """The likelier of the two; not a decision, which is made by a policy."""
    p_malicious: float
    """Softmax over the two labels, in [0, 1]; 1 is malicious."""
    margin: float
    """Logit of malicious less logit of benign."""
    fingerprint: str
    """Of base, adapter, head, tokenizer and prompt version together."""
    tokens: int
    """Length of the prompt; 0 where there is none."""
    left_out: tuple[str, ...] = ()
    """Low-priority fields that did not fit in the token budget."""
    lost_required: bool = False
    """A field that no verdict can do without did not fit: the agent escalates, forced."""


@runtime_checkable
class Calculating(Protocol):
    """Variants whose last bits depend on what suits the machine, and with them a verdict near the threshold."""

    @property
    def arithmetic(self) -> str:
        """Device and precisions; empty where no model is among them."""
        ...


@runtime_checkable
class AlertClassifier(Protocol):
    """Anything that scores cases."""

    @property
    def fingerprint(self) -> str:
        """Names exactly this model; two classifiers with the same one give the same verdicts."""
        ...

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        """Scores cases, in order; None where the model has no verdict (the caller escalates, forced)."""
        ...
