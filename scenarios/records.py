"""What the simulated world emits: alerts that an agent may see, and the truth that it must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .enterprise import World
    from .facts import Fact


class Severity(StrEnum):
    """Severity as the detection product states it; OCSF `severity_id` 1 to 5."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Entities:
    """Who and what an alert is about; None where the product does not say."""

    user: str | None = None
    """Login of the acting account, such as `alice`."""
    host: str | None = None
    process: str | None = None
    """Image name, such as `rclone.exe`."""
    command_line: str | None = None
    address: str | None = None
    """Source or peer IP address."""
    domain: str | None = None
    """Domain of the peer, the sender or the destination."""
    file: str | None = None
    resource: str | None = None
    """Cloud resource, share, mailbox, application or repository."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One detection, as a product hands it to triage. Source of the fields: OCSF Detection Finding (class 2004)."""

    uid: str
    """Opaque: derived by hash, so that it neither sorts nor groups by truth."""
    time: datetime
    """Time zone aware, UTC."""
    title: str
    """Title of the rule that fired."""
    severity: Severity
    product: str
    technique: str | None
    """ATT&CK technique as the *rule* claims it, such as `T1567.002`."""
    kind: str
    """Alert class that selects the playbook: one of `KINDS`."""
    activity: str = ""
    """One line that says what was observed, such as `copied 412 MB to drive E:`."""
    entities: Entities = field(default_factory=Entities)
    raw: Mapping[str, str] = field(default_factory=dict)
    """Further vendor fields, flattened; the prompt may leave them out."""


KINDS = ("identity", "endpoint", "data", "cloud", "mail", "network", "external")
"""Alert classes; `external` is for alerts from outside the simulated world, about which no tool knows anything."""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What is so about one alert. Joined with decisions at scoring, and nowhere before."""

    uid: str
    malicious: bool
    campaign: str
    phase: str | None = None
    """None for noise."""
    step: str | None = None
    lookalike: bool = False
    """Benign, but made to resemble the attack."""
    expect_escalation: bool = False
    must_cite: tuple[str, ...] = ()
    """Names of the tools whose evidence a sound decision rests on."""
    family: str = ""
    injected: bool = False
    """Malicious, and its text talks to the model; reported apart, to tell injection from poisoning."""


@dataclass(frozen=True, slots=True)
class AlertStream:
    """Everything that an investigation may look at: alerts in time order, the facts behind them, the world around them.

    Holds no truth. `facts` and `outages` are keyed by alert uid, because an investigator asks within a case.
    """

    campaign: str
    seed: int
    principal: str
    """Login under which the actor appears in this stream."""
    world: World
    alerts: tuple[Alert, ...]
    facts: Mapping[str, tuple[Fact, ...]]
    outages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """uid -> tool name -> `timeout` or `outage`."""
