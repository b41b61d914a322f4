"""A triage as lines and as one summary object, both plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from turncoat.models.bootstrap import Estimate
from turncoat.models.classifier import AlertClassifier
from turncoat.models.metrics import Rate
from turncoat.scenarios.errors import Mistake

from .triage import Triaged
from .triage_score import TriageScore, VariantScore


def decision_line(one: Triaged) -> dict[str, Any]:
    """One line of `--out`: what came in, the verdict and the decision. `uid` is null for what could not be read."""
    unread = isinstance(one.source, Mistake)
    verdict = asdict(one.verdict) if one.verdict else None
    decision = asdict(one.decision) | {"simulated_time": one.decision.simulated_time.isoformat()}
    return {
        "uid": None if isinstance(one.source, Mistake) else one.source.alert.uid,
        "place": one.source.place,
        "variant": one.variant,
        "label": one.label,
        "group": "" if isinstance(one.source, Mistake) else one.source.group,
        "stratum": "" if isinstance(one.source, Mistake) else one.source.stratum,
        "unreadable": str(one.source) if unread else None,
        "verdict": verdict,
        "decision": decision,
    }


def summary(
    scores: Sequence[VariantScore],
    decided: Sequence[Triaged],
    classifiers: Mapping[str, AlertClassifier],
    *,
    threshold: float,
    source: Mapping[str, str],
) -> dict[str, Any]:
    """The object of `--json`.

    Args:
        scores: As `score_triage` gives them.
        decided: The decisions behind them.
        classifiers: By variant, for their fingerprints.
        threshold: p_malicious from which an alert was escalated.
        source: What was read: `path` and `format`.
    """
    one_variant = [one for one in decided if one.variant == decided[0].variant] if decided else []
    unread = [one.source for one in one_variant if isinstance(one.source, Mistake)]
    return {
        **source,
        "threshold": threshold,
        "alerts": len(one_variant) - len(unread),
        "unreadable": len(unread),
        "labelled": sum(one.label is not None for one in one_variant),
        "malicious": sum(one.label is True for one in one_variant),
        "intervals_by": "group" if any(score.overall.by_group for score in scores) else "alert",
        "variants": {
            score.variant: {
                "fingerprint": classifiers[score.variant].fingerprint,
                **score_object(score.overall),
                "strata": {name: score_object(part) for name, part in score.strata.items()},
            }
            for score in scores
        },
    }


def score_object(score: TriageScore) -> dict[str, Any]:
    """A score as JSON: counts as they are, rates with their interval."""
    rates = ("accuracy", "recall", "near_miss_escalation")
    counts = ("alerts", "escalated", "dismissed", "reviewed", "forced", "auc")
    return {name: getattr(score, name) for name in counts} | {
        name: rate_object(getattr(score, name), score.by_group.get(name)) for name in rates
    }


def rate_object(rate: Rate, by_group: Estimate | None = None) -> dict[str, Any] | None:
    """A rate with its 95 % interval; None where there is nothing that it is a rate of.

    The interval is Wilson's, or by groups where these are given: `low` and `high` are None if there is a single group.
    """
    interval = rate.interval()
    if interval is None:
        return None
    low, high = (by_group.low, by_group.high) if by_group else interval
    told = {"k": rate.k, "n": rate.n, "value": rate.value, "low": low, "high": high}
    return told | {"groups": by_group.clusters} if by_group else told
