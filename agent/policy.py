"""Escalation policies: a sound verdict goes in, a decision comes out. The guards stand around every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Word:
    """What people said about one alert, over the head of whatever decides otherwise."""

    action: Action
    reason: str
    by: str
    """Who, in one word: a role."""
    at: datetime
    """Simulated; never earlier than the alert."""


@dataclass(frozen=True)
class TeamPolicy:
    """People at a desk: their last word about an alert stands, and where they said nothing, what the machine decides.

    A team is one more policy under the same guards, so that the scoring cannot tell it from a model.
    """

    words: Mapping[str, Word] = field(default_factory=dict)
    """uid -> the last word about it."""
    otherwise: EscalationPolicy = field(default_factory=ThresholdPolicy)
    name: str = "team"

    @classmethod
    def under(cls, settings: Settings) -> TeamPolicy:
        """A team that has not said anything yet."""
        return cls(otherwise=ThresholdPolicy.under(settings))

    def uncertain(self, verdict: Verdict) -> bool:
        return self.otherwise.uncertain(verdict)

    def decide(self, case: Case, verdict: Verdict, at: datetime) -> Decision:
        word = self.words.get(case.alert.uid)
        if word is None:
            decision = self.otherwise.decide(case, verdict, at)
            return replace(decision, policy=self.name, reason=f"nobody overruled: {decision.reason}")
        return Decision(word.action, False, self.name, f"{word.by}: {word.reason}", max(at, word.at))


POLICIES: dict[str, Callable[[Settings], EscalationPolicy]] = {
    "threshold": ThresholdPolicy.under,
    "team": TeamPolicy.under,
}


def open_policy(name: str, settings: Settings) -> EscalationPolicy:
    """The policy of that name.

    Raises:
        InputError: No policy has that name; the known ones are listed.
    """
    if name not in POLICIES:
        raise InputError.at("policy", f"unknown policy {name!r}", f"known are {', '.join(sorted(POLICIES))}")
    return POLICIES[name](settings)
