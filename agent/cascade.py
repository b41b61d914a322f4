"""The cloud side of a run over simulated time: what escalations cost, how long they queue, when a person looks.

Escalations are known once a run is over and analysts never answer back to the agent, so the cloud can be played after
the fact. It is a first-in-first-out queue before equal analysts with one service time: a heap of the moments at which
they become free. A simulation library would bring processes and resources for these few lines, so there is none.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heappop, heappush
from itertools import groupby
from statistics import median
from typing import Any, Literal, get_args

from turncoat.scenarios.errors import InputError, Mistake

from .records import Outcome
from .shifts import DAY, HOUR, MINUTE, Shift, iso, tick_of

Overflow = Literal["delay", "drop"]
MAX_POINTS = 24 * 90
"""Hourly points that are kept of a queue: ninety days."""
_MOST = 1_000_000

_CURES = {
    "daily_budget": f"give 1 to {_MOST:,} escalations a day, or leave it out for no limit",
    "price": "give a finite amount, 0 or more",
    "overflow_price": "give a finite amount, 0 or more",
    "overflow": f"choose one of {', '.join(get_args(Overflow))}",
    "analysts": "give 1 to 1,000",
    "minutes_per_alert": "give more than 0 and at most 1,440 minutes",
    "shift": "give two different hours from 0 to 24, UTC",
}


@dataclass(frozen=True, slots=True)
class CloudTerms:
    """What was agreed with the cloud SOC."""

    daily_budget: int | None = None
    """Escalations that are taken per day (UTC); None: any number."""
    price: float = 0.0
    """Of one escalation within the budget, in any currency."""
    overflow_price: float | None = None
    """Of one beyond it that waits for a later day; None: as the others."""
    overflow: Overflow = "delay"
    """`delay`: what is beyond the budget waits for the next day, counts there, and comes first. `drop`: nobody sees it."""
    analysts: int = 2
    minutes_per_alert: float = 15.0
    shift: tuple[int, int] = (8, 18)
    """Hours of work, UTC, every day of the week; (22, 6) goes through midnight, (0, 24) round the clock."""

    def __post_init__(self) -> None:
        prices = (self.price, self.price if self.overflow_price is None else self.overflow_price)
        start, end = self.shift
        checks = {
            "daily_budget": self.daily_budget is None or 1 <= self.daily_budget <= _MOST,
            "price": math.isfinite(prices[0]) and prices[0] >= 0,
            "overflow_price": math.isfinite(prices[1]) and prices[1] >= 0,
            "overflow": self.overflow in get_args(Overflow),
            "analysts": 1 <= self.analysts <= 1_000,
            "minutes_per_alert": math.isfinite(self.minutes_per_alert) and 0 < self.minutes_per_alert <= 1_440,
            "shift": 0 <= start < 24 and 0 < end <= 24 and start != end,
        }
        wrong = [name for name, right in checks.items() if not right]
        if wrong:
            raise InputError(*(Mistake(name, f"{getattr(self, name)} is out of range", _CURES[name]) for name in wrong))


@dataclass(frozen=True, slots=True)
class DayLoad:
    """One day (UTC) on which something was escalated or taken."""

    day: str
    escalated: int
    taken: int
    """Of this day and of earlier ones; never above the budget."""
    overflow: int
    """Escalated on this day and beyond its budget."""
    waiting: int
    """Left for the next day."""
    cost: float


@dataclass(frozen=True, slots=True)
class CloudLoad:
    """What one variant under one principal hands to the cloud, and what becomes of it."""

    variant: str
    principal: str
    escalations: int
    """Forced ones too."""
    forced: int
    overflow: int
    """Delayed or dropped."""
    dropped: int
    cost: float
    overflow_cost: float
    """Of it, for what came beyond the budget."""
    days: tuple[DayLoad, ...]
    queue_begins: str
    """Full hour of the first point; empty where nothing was escalated."""
    queue: tuple[int, ...]
    """Alerts that wait for an analyst or for the next day's budget, at every full hour; `MAX_POINTS` at most."""
    queue_peak: int
    """Most alerts that waited at any moment."""
    analyst_hours: float
    attack_alerts: int
    """The principal's attack alerts, escalated or not."""
    attack_looked_at: int
    """Of them, those that an analyst came to see, forced ones too."""
    attack_wait_median_minutes: float | None
    attack_wait_longest_minutes: float | None
    """From the decision to the look, over those looked at."""
    first_look_minutes: float | None
    """From the first attack alert to the first look at one, forced escalations aside; None: never."""
    first_look_or_forced_minutes: float | None
    """The same, forced ones too."""

    def as_json(self) -> dict[str, Any]:
        """Plain and free of NaN."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Call:
    """One escalation on its way."""

    outcome: Outcome
    escalated: int
    """Tick of the decision."""
    price: float = 0.0
    released: int = 0
    """Tick from which an analyst may take it."""


def cascade(outcomes: Sequence[Outcome], terms: CloudTerms) -> list[CloudLoad]:
    """Plays the cloud for every variant and principal of a run, each on its own.

    Args:
        outcomes: Of one run, scored; in any order.
        terms: Under which the cloud works.

    Returns:
        One load per variant and principal, in the order in which the outcomes name them first.
    """
    sides: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        sides.setdefault((outcome.investigation.variant, outcome.investigation.principal), []).append(outcome)
    return [_load(variant, principal, rows, terms) for (variant, principal), rows in sides.items()]


def _load(variant: str, principal: str, outcomes: Sequence[Outcome], terms: CloudTerms) -> CloudLoad:
    calls = [_Call(o, tick_of(o.investigation.decision.simulated_time)) for o in outcomes if o.action == "escalate"]
    calls.sort(key=lambda call: (call.escalated, call.outcome.investigation.uid))
    days, taken = _budgeted(calls, terms)
    looks = _looks(taken, terms)
    attack = [o for o in outcomes if o.attack]
    begun = min((tick_of(o.alert.time) for o in attack), default=0)
    seen = [(call, look) for call, look in zip(taken, looks, strict=True) if call.outcome.attack]
    waits = [(look - call.escalated) / MINUTE for call, look in seen]
    arrivals = sorted(call.escalated for call in taken)
    starts = sorted(looks)
    return CloudLoad(
        variant=variant,
        principal=principal,
        escalations=len(calls),
        forced=sum(call.outcome.forced for call in calls),
        overflow=sum(day.overflow for day in days),
        dropped=len(calls) - len(taken),
        cost=round(sum(call.price for call in taken), 6),
        overflow_cost=round(sum(call.price for call in taken if call.released != call.escalated), 6),
        days=days,
        queue_begins=iso(arrivals[0] // HOUR * HOUR) if arrivals else "",
        queue=_hourly(arrivals, starts),
        queue_peak=max((_waiting(at, arrivals, starts) for at in arrivals), default=0),
        analyst_hours=round(len(taken) * terms.minutes_per_alert / 60, 3),
        attack_alerts=len(attack),
        attack_looked_at=len(seen),
        attack_wait_median_minutes=round(median(waits), 3) if waits else None,
        attack_wait_longest_minutes=round(max(waits), 3) if waits else None,
        first_look_minutes=_first(begun, [look for call, look in seen if not call.outcome.forced]),
        first_look_or_forced_minutes=_first(begun, [look for _, look in seen]),
    )


def _budgeted(calls: Sequence[_Call], terms: CloudTerms) -> tuple[tuple[DayLoad, ...], list[_Call]]:
    """Holds escalations, in order of time, against the budget of each day: what is taken when, and at which price."""
    days: list[DayLoad] = []
    taken: list[_Call] = []
    waiting: deque[_Call] = deque()
    overflow_price = terms.price if terms.overflow_price is None else terms.overflow_price
    for day, arrived in _by_day(calls, waiting):
        room = len(waiting) + len(arrived) if terms.daily_budget is None else terms.daily_budget
        late = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        today = arrived[: room - len(late)]
        over = arrived[len(today) :]
        new = [_Call(c.outcome, c.escalated, overflow_price, day * DAY) for c in late]
        new += [_Call(c.outcome, c.escalated, terms.price, c.escalated) for c in today]
        taken += new
        waiting.extend(over if terms.overflow == "delay" else ())
        cost = round(sum(call.price for call in new), 6)
        days.append(DayLoad(iso(day * DAY)[:10], len(arrived), len(new), len(over), len(waiting), cost))
    return tuple(days), taken


def _by_day(calls: Sequence[_Call], waiting: deque[_Call]) -> Iterator[tuple[int, list[_Call]]]:
    """Day numbers with what is escalated on them, and those between and after them for as long as something waits.

    `waiting` changes between one day and the next: whoever takes the days fills and empties it.
    """
    day = 0
    for number, group in groupby(calls, key=lambda call: call.escalated // DAY):
        while waiting and day + 1 < number:
            day += 1
            yield day, []
        day = number
        yield day, list(group)
    while waiting:
        day += 1
        yield day, []


def _looks(taken: Sequence[_Call], terms: CloudTerms) -> list[int]:
    """When an analyst begins with each, first in, first out. Work that a shift's end interrupts goes on in the next."""
    shift = Shift(*terms.shift)
    service = round(terms.minutes_per_alert * MINUTE)
    free = [shift.worked(taken[0].released) if taken else 0] * terms.analysts
    heapify(free)
    looks = []
    for call in taken:
        begin = max(shift.worked(call.released), heappop(free))
        heappush(free, begin + service)
        looks.append(shift.when(begin))
    return looks


def _first(begun: int, looks: Sequence[int]) -> float | None:
    return round((min(looks) - begun) / MINUTE, 3) if looks else None


def _hourly(arrivals: Sequence[int], starts: Sequence[int]) -> tuple[int, ...]:
    if not arrivals:
        return ()
    first, last = arrivals[0] // HOUR, -(-starts[-1] // HOUR)
    return tuple(_waiting(h * HOUR, arrivals, starts) for h in range(first, min(last + 1, first + MAX_POINTS)))


def _waiting(at: int, arrivals: Sequence[int], starts: Sequence[int]) -> int:
    return bisect_right(arrivals, at) - bisect_right(starts, at)
