"""What the agent produces: decisions, finished investigations, and events for whoever watches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from turncoat.models.classifier import Verdict
from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.records import Alert
from turncoat.tools.records import Evidence

Action = Literal["escalate", "dismiss", "review"]
ACTIONS: tuple[Action, ...] = ("escalate", "dismiss", "review")

Key = tuple[str, str, str]
"""(uid, variant, principal): names one investigation of a run."""


_CURES = {
    "threshold": "give a probability strictly between 0 and 1",
    "uncertain": "give two probabilities, the lower one first",
    "evidence_budget_s": "give a finite number of seconds, 0 or more",
    "verdict_cost_s": "give a finite number of seconds, 0 or more",
    "chunk": "give 1 or more",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is played under; part of its manifest, and the same for every variant."""

    threshold: float = 0.5
    """An alert is escalated from this p_malicious on. Fixed before any campaign was run, one for all variants."""
    uncertain: tuple[float, float] = (0.1, 0.9)
    """Open interval of p_malicious in which a second round of evidence is worth its time."""
    evidence_budget_s: float = 600.0
    """Simulated seconds; no further tool is asked once this much is spent."""
    verdict_cost_s: float = 2.0
    """Simulated seconds that one verdict takes, whichever model gives it."""
    withhold_evidence: bool = False
    """Context ablation: no tool is asked, so that only the alert itself, its names among it, moves the verdict."""
    chunk: int = 32
    """Alerts whose prompts are computed together; shapes the batches, so it belongs to a run's identity."""

    def __post_init__(self) -> None:
        low, high = self.uncertain
        checks = {
            "threshold": 0.0 < self.threshold < 1.0,
            "uncertain": 0.0 <= low <= high <= 1.0,
            "evidence_budget_s": math.isfinite(self.evidence_budget_s) and self.evidence_budget_s >= 0.0,
            "verdict_cost_s": math.isfinite(self.verdict_cost_s) and self.verdict_cost_s >= 0.0,
            "chunk": self.chunk >= 1,
        }
        wrong = [name for name, right in checks.items() if not right]
        if wrong:
            raise InputError(*(Mistake(name, f"{getattr(self, name)} is out of range", _CURES[name]) for name in wrong))


@dataclass(frozen=True, slots=True)
class Decision:
    """What the agent does about an alert."""

    action: Action
    forced: bool
    """True where no sound verdict was to be had: escalated whatever a policy would say, and counted apart."""
    policy: str
    """Name of the policy that decided, or `guard`."""
    reason: str
    simulated_time: datetime
    """When the decision falls: time of the alert plus what evidence and verdicts took."""


@dataclass(frozen=True, slots=True)
class Investigation:
    """One alert, investigated by one variant under one principal: a row of `outcomes.jsonl`. Holds no truth."""

    uid: str
    variant: str
    principal: str
    verdict: Verdict | None
    """The last one; None where the classifier had none that is sound."""
    decision: Decision
    evidence: tuple[Evidence, ...]
    rounds: int

    @property
    def key(self) -> Key:
        return (self.uid, self.variant, self.principal)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An investigation held against the truth, made by `scoring` alone and used for nothing but the comparison."""

    alert: Alert
    investigation: Investigation
    malicious: bool
    phase: str | None
    """None for noise."""
    step: str | None
    lookalike: bool
    expect_escalation: bool
    uncited: tuple[str, ...]
    """Tools whose evidence a sound decision rests on and that were not asked."""
    injected: bool = False
    """Malicious, with text that talks to the model."""
    family: str = ""

    @property
    def action(self) -> Action:
        return self.investigation.decision.action

    @property
    def own(self) -> bool:
        """Whether the alert is the principal's own, not that of somebody whose evidence may mention the principal."""
        return self.alert.entities.user == self.investigation.principal

    @property
    def attack(self) -> bool:
        """Whether it counts as the principal's attack: own, malicious, and not an attempt to talk to the model."""
        return self.malicious and self.own and not self.injected

    @property
    def forced(self) -> bool:
        return self.investigation.decision.forced


Stage = Literal["warm", "ingest", "gather", "classify", "decide", "escalate", "dismiss", "review"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in a replay. The live view renders these; nothing else depends on them."""

    stage: Stage
    variant: str = ""
    principal: str = ""
    alert: Alert | None = None
    """None for `warm`, which concerns many."""
    evidence: tuple[Evidence, ...] = ()
    """At `gather`: everything gathered so far."""
    verdict: Verdict | None = None
    """At `classify`."""
    decision: Decision | None = None
    """At `decide` and after it."""
    note: str = ""
    done: int = 0
    """Investigations finished so far, of `total`."""
    total: int = 0
