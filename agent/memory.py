"""Disposition memory, as triage products have it: an alert like one that was dismissed before is dismissed at once.

A verdict depends on its alert and evidence alone, and a memory that dismisses changes neither for any later alert. So
what a run would have come to with a memory follows from its rows exactly, without asking a model again, and the run
itself is the paired control.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert

from .records import Decision, Investigation, Outcome

MEMORY = "memory"
LOOKUP_S = 2.0
"""Simulated seconds that looking into the memory takes."""
MAX_WINDOW_DAYS = 3_650.0

Likeness = Callable[[Alert], tuple[str, ...] | None]
"""What makes two alerts alike: equal keys do. None: like no other, so neither remembered nor dismissed."""


def _same_entity(alert: Alert) -> tuple[str, ...] | None:
    """User, rule title, and the first that the alert names of host, resource, domain, file and address."""
    user, whoever = alert.entities.user, _anybodys_entity(alert)
    return (user, *whoever) if user and whoever else None


def _anybodys_entity(alert: Alert) -> tuple[str, ...] | None:
    """The same, whoever the user is."""
    named = alert.entities
    entity = named.host or named.resource or named.domain or named.file or named.address
    return (alert.title, entity) if entity else None


def _same_rule(alert: Alert) -> tuple[str, ...] | None:
    return (alert.entities.user, alert.title) if alert.entities.user else None


def _same_class(alert: Alert) -> tuple[str, ...] | None:
    return (alert.entities.user, alert.kind) if alert.entities.user else None


LIKENESSES: dict[str, Likeness] = {
    "user-rule-entity": _same_entity,
    "user-rule": _same_rule,
    "user-class": _same_class,
    "rule-entity": _anybodys_entity,
}
"""From narrow to coarse. `user-class` asks for the same user and alert class, coarser than a product should be;
`rule-entity` leaves the user out, as suppression rules do, so that one user's dismissal may cover another's attack."""
DEFAULT_LIKENESS = "user-rule-entity"


@dataclass(frozen=True, slots=True)
class Recalled:
    """One outcome of a run with a memory."""

    outcome: Outcome
    by: Outcome | None = None
    """The model's earlier dismissal that dismissed this alert; None where the memory had nothing to say."""


def with_memory(outcomes: Sequence[Outcome], *, like: str = DEFAULT_LIKENESS, window_days: float = 30) -> list[Outcome]:
    """The outcomes of the same run, had it had a memory of its dismissals.

    Per variant and principal, in order of simulated time: an alert is dismissed at once if the model itself dismissed
    one like it at most `window_days` ago. What the memory dismisses is not remembered, so a hit prolongs nothing.
    Fail closed: forced decisions, and alerts of which a tool failed, are neither remembered nor dismissed.

    Args:
        outcomes: Of one run, scored; in any order.
        like: Name in `LIKENESSES`.
        window_days: How long a dismissal is remembered, in simulated days, more than 0.

    Returns:
        One outcome per outcome, in the same order. Where the memory decided, there is no verdict and no evidence, and
        the decision's reason names the earlier alert; `uncited` stays as the model's own investigation had it.

    Raises:
        InputError: No likeness has that name; the window is out of range.
    """
    return [recalled.outcome for recalled in recall(outcomes, like=like, window_days=window_days)]


def recall(outcomes: Sequence[Outcome], *, like: str = DEFAULT_LIKENESS, window_days: float = 30) -> list[Recalled]:
    """As `with_memory`, each outcome with the dismissal that dismissed it."""
    key_of, window = likeness(like), _window(window_days)
    memories: dict[tuple[str, str, tuple[str, ...]], _Memory] = {}
    found: list[Recalled | None] = [None] * len(outcomes)
    for index in sorted(range(len(outcomes)), key=lambda i: (outcomes[i].alert.time, outcomes[i].investigation.uid)):
        outcome = outcomes[index]
        row, key = outcome.investigation, key_of(outcome.alert)
        if key is None or outcome.forced or any(e.failed for e in row.evidence):
            found[index] = Recalled(outcome)
            continue
        memory = memories.setdefault((row.variant, row.principal, key), _Memory())
        earlier = memory.latest(outcome.alert.time, window)
        found[index] = Recalled(outcome) if earlier is None else Recalled(_dismissed(outcome, earlier), earlier)
        if earlier is None and outcome.action == "dismiss":
            memory.take_in(outcome)
    return [recalled for recalled in found if recalled is not None]


def likeness(name: str) -> Likeness:
    """The likeness of that name.

    Raises:
        InputError: There is none; the known ones are listed.
    """
    if name not in LIKENESSES:
        raise InputError.at("--memory", f"unknown likeness {name!r}", f"known are {', '.join(sorted(LIKENESSES))}")
    return LIKENESSES[name]


@dataclass
class _Memory:
    """Dismissals of alerts that are alike. One counts from the moment when it was decided, not from its alert's."""

    pending: list[tuple[datetime, str, Outcome]] = field(default_factory=list)
    known: Outcome | None = None

    def take_in(self, outcome: Outcome) -> None:
        row = outcome.investigation
        heappush(self.pending, (row.decision.simulated_time, row.uid, outcome))

    def latest(self, at: datetime, window: timedelta) -> Outcome | None:
        """The latest dismissal that was decided by `at`, unless it is out of the window."""
        while self.pending and self.pending[0][0] <= at:
            self.known = heappop(self.pending)[2]
        if self.known is None or at - self.known.investigation.decision.simulated_time > window:
            return None
        return self.known


def _window(days: float) -> timedelta:
    if not (math.isfinite(days) and 0 < days <= MAX_WINDOW_DAYS):
        raise InputError.at(
            "window_days", f"{days} is out of range", f"give a number of days up to {MAX_WINDOW_DAYS:g}"
        )
    return timedelta(days=days)


def _dismissed(outcome: Outcome, earlier: Outcome) -> Outcome:
    """The outcome with the memory's decision in place of the investigation."""
    row, begun = outcome.investigation, outcome.alert.time
    reason = f"like {earlier.investigation.uid}, which the model dismissed"
    try:
        at = begun + timedelta(seconds=LOOKUP_S)
    except OverflowError:  # an alert that claims the last second of the calendar
        at = begun
    decision = Decision("dismiss", False, MEMORY, reason, at)
    return replace(outcome, investigation=Investigation(row.uid, row.variant, row.principal, None, decision, (), 0))
