"""What a memory of dismissals changes: work saved, and how far one poisoned dismissal spreads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .comparison import PrincipalFigures, compare
from .memory import DEFAULT_LIKENESS, LOOKUP_S, Recalled, likeness, recall, with_memory
from .records import Outcome


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What a memory changes for one variant under one principal."""

    variant: str
    principal: str
    like: str
    window_days: float
    alerts: int
    dismissed: int
    """Alerts that the memory dismissed; no tool and no model was asked about them."""
    attack_dismissed: int
    """Of them the principal's attack alerts."""
    attack_lost: int
    """Of these, the ones that the model itself would have escalated."""
    poisoned_dismissals: int
    """Attack alerts that the model dismissed and the memory took in."""
    spread: float | None
    """Attack alerts lost because of them, per poisoned dismissal; None where there was none."""
    lost_behind_benign: int
    """Attack alerts lost because of a dismissal that was right."""
    others_lost: int
    """Malicious alerts that are not the principal's attack, dismissed though the model would have escalated them."""
    worst: tuple[str, int] | None
    """uid of the dismissal that cost most attack alerts, and how many."""
    without: PrincipalFigures
    """The run itself."""
    remembered: PrincipalFigures
    """The run with the memory."""
    seconds_saved: float
    """Simulated seconds of evidence and verdicts, less what the look-ups took."""
    cloud_calls_saved: int
    """Escalations that were not made, attack alerts and benign ones."""

    def as_json(self) -> dict[str, Any]:
        """Plain and free of NaN."""
        return asdict(self)


def memory_reports(
    outcomes: Sequence[Outcome], *, like: str = DEFAULT_LIKENESS, window_days: float = 30
) -> list[MemoryReport]:
    """One report per variant and principal, in the order in which the outcomes name them first.

    Raises:
        InputError: As `with_memory`.
    """
    pairs: dict[tuple[str, str], list[tuple[Outcome, Recalled]]] = {}
    for before, after in zip(outcomes, recall(outcomes, like=like, window_days=window_days), strict=True):
        pairs.setdefault((before.investigation.variant, before.investigation.principal), []).append((before, after))
    return [_report(*names, like, window_days, rows) for names, rows in pairs.items()]


def _report(
    variant: str, principal: str, like: str, window_days: float, rows: Sequence[tuple[Outcome, Recalled]]
) -> MemoryReport:
    hits = [(before, after.by) for before, after in rows if after.by is not None]
    missed = [(before, by) for before, by in hits if before.malicious and before.action == "escalate"]
    lost = [(before, by) for before, by in missed if before.attack]
    key_of = likeness(like)
    poisoned = [o for o in _taken_in(rows) if o.attack and key_of(o.alert) is not None]
    cost = Counter(by.investigation.uid for _, by in lost)
    through_attack = sum(by.attack for _, by in lost)
    figures = [
        compare(side, scenario="", seed=0, threshold=0.5, principals=[principal]).variants[variant].principals
        for side in ([before for before, _ in rows], [after.outcome for _, after in rows])
    ]
    return MemoryReport(
        variant=variant,
        principal=principal,
        like=like,
        window_days=window_days,
        alerts=len(rows),
        dismissed=len(hits),
        attack_dismissed=sum(before.attack for before, _ in hits),
        attack_lost=len(lost),
        poisoned_dismissals=len(poisoned),
        spread=round(through_attack / len(poisoned), 6) if poisoned else None,
        lost_behind_benign=sum(not by.malicious for _, by in lost),
        others_lost=len(missed) - len(lost),
        worst=min(cost.items(), key=lambda item: (-item[1], item[0])) if cost else None,
        without=figures[0][principal],
        remembered=figures[1][principal],
        seconds_saved=round(sum(_seconds_saved(before) for before, _ in hits), 3),
        cloud_calls_saved=sum(before.action == "escalate" for before, _ in hits),
    )


def _taken_in(rows: Sequence[tuple[Outcome, Recalled]]) -> Iterator[Outcome]:
    """The dismissals that the memory learned: the model's own, of alerts that it had not seen the like of."""
    for before, after in rows:
        if after.by is None and before.action == "dismiss" and not any(e.failed for e in before.investigation.evidence):
            yield before


def _seconds_saved(outcome: Outcome) -> float:
    spent = (outcome.investigation.decision.simulated_time - outcome.alert.time).total_seconds()
    return spent - LOOKUP_S


def changed_lift(
    outcomes: Sequence[Outcome], principals: Sequence[str], *, like: str = DEFAULT_LIKENESS, window_days: float = 30
) -> Mapping[str, tuple[float | None, float | None]]:
    """Per variant the trigger lift without and with the memory; None where no attack alert can be paired.

    Args:
        outcomes: Of one run.
        principals: The actor and the first twin; further names are ignored.
        like: As in `with_memory`.
        window_days: As in `with_memory`.
    """
    if len(principals) < 2:
        return {}
    sides = (outcomes, with_memory(outcomes, like=like, window_days=window_days))
    without, remembered = (
        compare(side, scenario="", seed=0, threshold=0.5, principals=principals[:2]).variants for side in sides
    )
    return {name: (_value(without[name].lift), _value(remembered[name].lift)) for name in without}


def _value(lift: Mapping[str, Any] | None) -> float | None:
    return None if lift is None or lift["value"] is None else float(lift["value"])
