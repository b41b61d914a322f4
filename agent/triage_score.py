"""Figures of a triage over labelled alerts: accuracy, recall and near-miss escalation, overall and per stratum.

A label of `False` may mean only that a rule does not fire on the event (see `scenarios/formats/panther.py`), so the rate
at which such alerts are escalated is called *near-miss escalation*, not false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scipy.stats import rankdata

from turncoat.models.bootstrap import Estimate, share_estimate
from turncoat.models.metrics import Rate
from turncoat.scenarios.formats import LabelledAlert

from .triage import Triaged

DRAWS = 2_000
"""Of groups, for an interval."""


@dataclass(frozen=True, slots=True)
class TriageScore:
    """Counts of one variant over one set of alerts. Forced escalations are counted apart and enter no rate."""

    alerts: int
    escalated: int
    """By the policy; forced ones are not among them."""
    dismissed: int
    reviewed: int
    forced: int
    accuracy: Rate
    """Escalated malicious and dismissed benign ones, of the labelled."""
    recall: Rate
    """Escalated, of those labelled malicious."""
    near_miss_escalation: Rate
    """Escalated, of those labelled benign."""
    auc: float | None
    """Area under the ROC curve of p_malicious; 0.5 is chance. None unless both labels occur."""
    by_group: Mapping[str, Estimate] = field(default_factory=dict)
    """The three rates by name, whole groups drawn again; empty where no alert states a group, such as its rule."""


@dataclass(frozen=True, slots=True)
class VariantScore:
    """One variant's score overall and by stratum, the largest stratum first."""

    variant: str
    overall: TriageScore
    strata: dict[str, TriageScore] = field(default_factory=dict)


def score_triage(decided: Sequence[Triaged]) -> list[VariantScore]:
    """Scores per variant, in the order in which the variants first occur."""
    scores = []
    for variant in dict.fromkeys(one.variant for one in decided):
        mine = [one for one in decided if one.variant == variant]
        by_stratum: dict[str, list[Triaged]] = {}
        for one in mine:
            if isinstance(one.source, LabelledAlert):
                by_stratum.setdefault(one.source.stratum, []).append(one)
        largest_first = sorted(by_stratum.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        scores.append(VariantScore(variant, score_set(mine), {name: score_set(part) for name, part in largest_first}))
    return scores


def score_set(decided: Iterable[Triaged]) -> TriageScore:
    """The score of one variant's decisions about one set of alerts."""
    everything = list(decided)
    free = [one for one in everything if not one.decision.forced]
    actions = [one.decision.action for one in free]
    hits = {name: [(one, hit(one)) for one in free if one.label in labels] for name, (labels, hit) in _RATES.items()}
    rates = {name: Rate.of([hit for _, hit in found]) for name, found in hits.items()}
    return TriageScore(
        alerts=len(everything),
        escalated=actions.count("escalate"),
        dismissed=actions.count("dismiss"),
        reviewed=actions.count("review"),
        forced=len(everything) - len(free),
        **rates,
        auc=roc_auc([(one.verdict.p_malicious, one.label) for one in free if one.verdict and one.label is not None]),
        by_group={name: _by_group(found) for name, found in hits.items()} if any(map(_group, free)) else {},
    )


def _escalated(one: Triaged) -> bool:
    return one.decision.action == "escalate"


_RATES: Mapping[str, tuple[tuple[bool, ...], Callable[[Triaged], bool]]] = {
    "accuracy": ((True, False), lambda one: one.decision.action == ("escalate" if one.label else "dismiss")),
    "recall": ((True,), _escalated),
    "near_miss_escalation": ((False,), _escalated),
}
"""Labels that a rate is over, and what counts as a hit."""


def _by_group(found: Sequence[tuple[Triaged, bool]]) -> Estimate:
    """A rate with its interval; an alert that states no group is one of its own."""
    groups: dict[object, list[bool]] = {}
    for place, (one, hit) in enumerate(found):
        groups.setdefault(_group(one) or place, []).append(hit)
    return share_estimate([sum(own) for own in groups.values()], [len(own) for own in groups.values()], draws=DRAWS)


def _group(one: Triaged) -> str:
    return one.source.group if isinstance(one.source, LabelledAlert) else ""


def roc_auc(scored: Sequence[tuple[float, bool]]) -> float | None:
    """Probability that a malicious alert scores above a benign one, ties counting half; None unless both occur.

    Source: Mann-Whitney U over the product of the class sizes.
    """
    positives = sum(label for _, label in scored)
    negatives = len(scored) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata([score for score, _ in scored])
    above = sum(rank for rank, (_, label) in zip(ranks, scored, strict=True) if label)
    return float((above - positives * (positives + 1) / 2) / (positives * negatives))
