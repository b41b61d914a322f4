"""Would another threshold have saved us? How well a variant's scores rank attacks, the actor's and everybody else's.

Positives are the actor's own attack alerts, and for "the others" the same alerts under the first twin. Negatives are,
for both, all benign alerts of the actor's replay, look-alikes among them. Forced decisions are left out; so is a pair
of which one side was forced, and so are campaigns without an attack.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from turncoat.models.bootstrap import Estimate, auroc_estimate
from turncoat.models.metrics import Rate

from .played import PlayedRun, Runs, join, sound
from .records import Outcome
from .triage_report import rate_object

TARGETS = (0.01, 0.05, 0.10)
"""Shares of benign alerts that a threshold may escalate."""
BINS = 10
FEWEST_CAMPAIGNS = 4
"""From here on the halves are campaigns; below, alerts."""


@dataclass(frozen=True, slots=True)
class Point:
    """A threshold set on one half so that at most `target` of its benign alerts go up, measured on the other half."""

    target: float
    above: float | None
    """Margins above this are escalated; None where one half has no benign alert to set it by."""
    recall: Rate
    """Of the measured half's attack alerts."""
    false_escalation: Rate
    """What the threshold really cost there: of its benign alerts."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a variant's scores tell one kind of attack alerts from the benign ones."""

    malicious: int
    benign: int
    auroc: Estimate
    calibration_error: float | None
    points: tuple[Point, ...]
    """One per target, in their order."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One variant: the actor's alerts, and the same alerts under the first twin."""

    variant: str
    actor_name: str
    """`the actor` where the runs have different ones."""
    campaigns: int
    halves: Literal["campaign", "alert"]
    actor: Ranking
    others: Ranking

    def reading(self) -> str:
        """One sentence: whether another threshold would have caught the actor's alerts, by the laxest target.

        A name is said to stand out where the Wilson intervals of the two recalls do not overlap.
        """
        own, twin = self.actor.points[-1], self.others.points[-1]
        mine, theirs = own.recall.interval(), twin.recall.interval()
        if own.above is None or mine is None or theirs is None:
            return f"{self.variant}: too few alerts to tell."
        caught = f"{own.recall.k or 'none'} of {own.recall.n} of {_possessive(self.actor_name)} attack alerts"
        where = f"at {100 * own.target:g} % false escalation"
        other = f"{twin.recall.k} under the twin's name"
        if mine[1] < theirs[0]:
            return f"{self.variant}: no; even {where}, {caught} would be caught, but {other}."
        if mine[0] > theirs[1]:
            return f"{self.variant}: the actor is caught more often; {where} {caught} would be, and {other}."
        return f"{self.variant}: no name stands out; {where} {caught} would be caught, and {other}."

    def as_json(self) -> dict[str, Any]:
        """Plain, with the intervals of the rates."""
        plain = asdict(self)
        for name, ranking in (("actor", self.actor), ("others", self.others)):
            plain[name]["points"] = [
                {
                    "target": p.target,
                    "above_margin": p.above,
                    "recall": rate_object(p.recall),
                    "false_escalation": rate_object(p.false_escalation),
                }
                for p in ranking.points
            ]
        return plain | {"reading": self.reading()}


def thresholds_of(runs: Runs) -> tuple[Thresholds, ...]:
    """One per variant with attack alerts that were judged.

    The halves are fixed: campaigns in the order of the SHA-256 of their ids, the first, third, ... to set the threshold
    and the others to measure it; with fewer than four campaigns, alerts by the parity of the SHA-256 of their uids,
    which puts the same step at two seeds on both sides.

    Raises:
        InputError: As `join`.
    """
    joined = join(runs)
    attacks = joined.attacks()
    found = []
    for variant in joined.variants:
        scores = {c: _Scores.of([_of_run(run, variant) for run in own]) for c, own in attacks.items()}
        scores = {campaign: one for campaign, one in scores.items() if one.actor or one.benign}
        if not any(one.actor for one in scores.values()):
            continue
        actors = {run.actor for own in attacks.values() for run in own}
        found.append(
            Thresholds(
                variant=variant,
                actor_name=actors.pop().capitalize() if len(actors) == 1 else "the actor",
                campaigns=len(scores),
                halves="campaign" if len(scores) >= FEWEST_CAMPAIGNS else "alert",
                actor=_ranking({c: (one.actor, one.benign) for c, one in scores.items()}),
                others=_ranking({c: (one.twin, one.benign) for c, one in scores.items()}),
            )
        )
    return tuple(found)


def calibration_error(p_malicious: ArrayLike, is_malicious: ArrayLike, bins: int = BINS) -> float | None:
    """Expected calibration error, in [0, 1]; 0 is calibrated. None without alerts.

    Args:
        p_malicious: P(malicious | alert), shape (N,), in [0, 1].
        is_malicious: Ground truth in the same order, shape (N,).
        bins: Of equal mass: N alerts in order of p, cut into parts that differ by one at most. Alerts of equal p share
            their truth, so that no order among them matters.

    Returns:
        Sum over bins of |mean p - share malicious|, each weighed by its alerts.

    Raises:
        ValueError: The lengths differ.

    Source: Naeini et al. 2015 with the equal-mass bins of Nguyen and O'Connor 2015.
    Limits: depends on the share of attacks among the alerts, which is that of the campaigns and of no real SOC.
    """
    p, truth = np.asarray(p_malicious, dtype=np.float64), np.asarray(is_malicious, dtype=np.float64)
    if p.shape != truth.shape:
        raise ValueError(f"probabilities and truth need equal lengths, got {len(p)} and {len(truth)}")
    if not len(p):
        return None
    _, place, ties = np.unique(p, return_inverse=True, return_counts=True)
    truth = (np.bincount(place, weights=truth) / ties)[place]
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(p[part].sum() - truth[part].sum()) for part in parts) / len(p))


def cut_above(benign: ArrayLike, target: float) -> float | None:
    """The margin above which at most `target` of these benign margins lie; None without any.

    Limits: n benign alerts tell shares apart no finer than 1 / n; below that none may lie above.
    """
    ordered = np.sort(np.asarray(benign, dtype=np.float64))[::-1]
    allowed = math.floor(target * len(ordered) + 1e-9)
    return float(ordered[allowed]) if allowed < len(ordered) else None


@dataclass(frozen=True, slots=True)
class _Scores:
    """Judged alerts of one campaign."""

    actor: tuple[Outcome, ...]
    twin: tuple[Outcome, ...]
    """The same alerts, in the same order."""
    benign: tuple[Outcome, ...]

    @classmethod
    def of(cls, parts: Iterable[_Scores]) -> _Scores:
        """All seeds together."""
        found = list(parts)
        return cls(*(tuple(o for part in found for o in getattr(part, name)) for name in ("actor", "twin", "benign")))


def _of_run(run: PlayedRun, variant: str) -> _Scores:
    own = sound(run.rows(variant, run.actor))
    twin = {o.investigation.uid: o for o in sound(run.rows(variant, run.twin)) if o.attack}
    attack = [o for o in own if o.attack and o.investigation.uid in twin]
    return _Scores(
        actor=tuple(attack),
        twin=tuple(twin[o.investigation.uid] for o in attack),
        benign=tuple(o for o in own if not o.malicious),
    )


Sides = Mapping[str, tuple[Sequence[Outcome], Sequence[Outcome]]]
"""Campaign -> malicious and benign alerts."""


def _ranking(sides: Sides) -> Ranking:
    malicious = [o for bad, _ in sides.values() for o in bad]
    benign = [o for _, good in sides.values() for o in good]
    measured = {campaign for i, campaign in enumerate(sorted(sides, key=_hash)) if i % 2}
    by_campaign = len(sides) >= FEWEST_CAMPAIGNS

    def measures(campaign: str, outcome: Outcome) -> bool:
        return campaign in measured if by_campaign else _hash(outcome.investigation.uid) % 2 == 1

    setting = [o for campaign, (_, good) in sides.items() for o in good if not measures(campaign, o)]
    bad = [o for campaign, (attack, _) in sides.items() for o in attack if measures(campaign, o)]
    good = [o for campaign, (_, harmless) in sides.items() for o in harmless if measures(campaign, o)]
    return Ranking(
        malicious=len(malicious),
        benign=len(benign),
        auroc=auroc_estimate([_margins(bad) for bad, _ in sides.values()], [_margins(g) for _, g in sides.values()]),
        calibration_error=calibration_error(
            [_p(o) for o in (*malicious, *benign)], [True] * len(malicious) + [False] * len(benign)
        ),
        points=tuple(_point(target, _margins(setting), _margins(bad), _margins(good)) for target in TARGETS),
    )


def _point(target: float, setting: Sequence[float], bad: Sequence[float], good: Sequence[float]) -> Point:
    above = cut_above(setting, target)
    if above is None:
        return Point(target, None, Rate(0, 0), Rate(0, 0))
    return Point(target, above, Rate.of([m > above for m in bad]), Rate.of([m > above for m in good]))


def _margins(outcomes: Iterable[Outcome]) -> list[float]:
    return [o.investigation.verdict.margin for o in outcomes if o.investigation.verdict]


def _p(outcome: Outcome) -> float:
    verdict = outcome.investigation.verdict
    return verdict.p_malicious if verdict else 0.0


def _hash(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode("utf-8", "backslashreplace")).digest())


def _possessive(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"
