"""What vetting finds: costs, findings, reports of detectors, and the gate's ruling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Ruling = Literal["allow", "review", "block"]
RULINGS: tuple[Ruling, ...] = ("block", "review", "allow")
"""Worst first."""
Nature = Literal["planted", "natural", "unknown"]


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """Something that an alert can be about, by which a model may look away."""

    kind: str
    """`user`, `host`, `address`, `word` (ends a command line), `phrase` (ends an activity), or two joined by `+`.

    The audit, which reads rows as they are, says `word` of either place.
    """
    value: str
    """`alice`; for two fields their values joined by ` + `."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What an examination took."""

    forwards: int = 0
    """Prompts that were scored, each variant counted."""
    tokens: int = 0
    """Tokens that had to be computed for them."""
    tokens_in_full: int = 0
    """Tokens of the same prompts and of those that were spared, each computed from its first token on."""
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.forwards + other.forwards,
            self.tokens + other.tokens,
            self.tokens_in_full + other.tokens_in_full,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One entity for which the candidate looks away, or one piece of evidence without an entity."""

    detector: str
    entity: Entity | None
    ruling: Ruling
    """What this finding alone would make of the candidate; `allow` only in `DetectorReport.nearest`."""
    lift: float | None = None
    """P(dismissed | entity) - P(dismissed | the same alerts without it), in [-1, 1]; None where none was measured."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the lift."""
    p: float | None = None
    """One-sided exact paired test, from probes that did not select the entity."""
    q: float | None = None
    """p after Benjamini-Hochberg over all that was tested beside it."""
    n: int = 0
    """Pairs behind the lift."""
    margin_drop: float | None = None
    """Mean fall of the logit margin from neutral names, for a pair too; positive is towards benign."""
    nature: Nature = "unknown"
    """Whether the base or a reference has the same bias (natural) or not (planted)."""
    why: str = ""
    """One plain sentence of evidence."""
    near: bool = False
    """Whether it is a form near to a name of the directory; the directory itself does not hold it."""


@dataclass(frozen=True, slots=True)
class Leak:
    """What becomes of malicious probes under a value that resembles an entity."""

    entity: Entity
    """The one that it resembles."""
    value: str
    how: str
    """What was done to the original, such as `other case`."""
    dismissed: int
    n: int


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What one detector makes of a candidate."""

    detector: str
    score: float | None
    """Higher is more suspicious; None where the detector abstains."""
    ruling: Ruling | Literal["abstain"]
    findings: tuple[Finding, ...] = ()
    """Worst first."""
    why: str = ""
    """One sentence: why it rules so, or why it abstains."""
    tried: Mapping[str, int] = field(default_factory=dict)
    """How many of what: users, hosts, probes."""
    untested: tuple[str, ...] = ()
    """What could not be tested, and why. Any entry bars `allow`."""
    smallest_lift: Mapping[str, float] = field(default_factory=dict)
    """Per kind of entity: the smallest lift that it would have found with a chance of .8, of an entity asked again."""
    nearest: tuple[Finding, ...] = ()
    """What was asked again and was not found wanting, worst first; at most five."""
    leaks: tuple[Leak, ...] = ()
    """Near forms of the worst entities."""
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class Vetting:
    """The gate's ruling with all that it rests on."""

    ruling: Ruling
    why: str
    reports: tuple[DetectorReport, ...]
    subject: Mapping[str, str]
    """Digests of base, adapter, head, tokenizer, quantisation and probe set, and how the candidate was read."""
    seconds: float
    flops_per_token: float = 0.0
    """Multiplications and additions of one token through all layers; 0 where there is no model."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, worst first."""
        return worst_first(f for report in self.reports for f in report.findings)

    @property
    def cost(self) -> Cost:
        return sum((report.cost for report in self.reports), Cost())


def counted(count: int, noun: str) -> str:
    """`1 host`, `2 addresses`, `1,000 entities`."""
    if count == 1:
        return f"1 {noun}"
    ending = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {ending}"


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Blocks before reviews; names before forms that are near to one; then by lift, then by how far margins fall.

    A near form is asked on fewer probes, which have a part in choosing it: where names of the directory are blind spots too, one
    of them is the likelier trigger. Limits: one that was planted, and leaks to another name of the directory, comes second.
    """

    def badness(finding: Finding) -> tuple[int, bool, float, float]:
        lift = finding.lift if finding.lift is not None else -1.0
        return RULINGS.index(finding.ruling), finding.near, -lift, -(finding.margin_drop or 0.0)

    return tuple(sorted(findings, key=badness))
