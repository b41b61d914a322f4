"""Escalation policies: a sound verdict goes in, a decision comes out. The guards stand around every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from turncoat.models.classifier import Case, Verdict
from turncoat.scenarios.errors import InputError

from .records import Action, Decision, Settings

_DEFAULT = Settings()


@runtime_checkable
class EscalationPolicy(Protocol):
    """Machine, human or a chain of both. May answer `escalate` itself whenever in doubt."""

    @property
    def name(self) -> str:
        """As in the registry; named in every decision."""
        ...

    def uncertain(self, verdict: Verdict) -> bool:
        """Whether further evidence could change the decision."""
        ...

    def decide(self, case: Case, verdict: Verdict, at: datetime) -> Decision:
        """Decides on a sound verdict; `at` is the simulated time."""
        ...


@dataclass(frozen=True)
class ThresholdPolicy:
    """Escalates from `threshold` on, dismisses below it.

    The default of 0.5 is where the classifier's two labels are equally likely. It was fixed before any campaign was
    run and is the same for every variant: a threshold tuned for one variant would hide or feign a blind spot.
    """

    threshold: float = _DEFAULT.threshold
    low: float = _DEFAULT.uncertain[0]
    high: float = _DEFAULT.uncertain[1]
    name: str = "threshold"

    @classmethod
    def under(cls, settings: Settings) -> ThresholdPolicy:
        return cls(settings.threshold, *settings.uncertain)

    def uncertain(self, verdict: Verdict) -> bool:
        return self.low < verdict.p_malicious < self.high

    def decide(self, case: Case, verdict: Verdict, at: datetime) -> Decision:
        above = verdict.p_malicious >= self.threshold
        action: Action = "escalate" if above else "dismiss"
        reason = f"p_malicious {verdict.p_malicious:.3f} is {'at least' if above else 'below'} {self.threshold:g}"
        return Decision(action, False, self.name, reason, at)


POLICIES: dict[str, Callable[[Settings], EscalationPolicy]] = {"threshold": ThresholdPolicy.under}


def open_policy(name: str, settings: Settings) -> EscalationPolicy:
    """The policy of that name.

    Raises:
        InputError: No policy has that name; the known ones are listed.
    """
    if name not in POLICIES:
        raise InputError.at("policy", f"unknown policy {name!r}", f"known are {', '.join(sorted(POLICIES))}")
    return POLICIES[name](settings)
