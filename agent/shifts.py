"""Working time of analysts: a clock that stands still outside of the shift.

Times are whole microseconds since 1970 UTC, so that going there and back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND


def tick_of(moment: datetime) -> int:
    """Microseconds since 1970 UTC of a moment with a time zone."""
    return (moment - _EPOCH) // MICROSECOND


def iso(tick: int) -> str:
    """A tick as people read it, `2026-03-02T09:00:00+00:00`; rows of a run folder may claim what no calendar holds."""
    try:
        return (_EPOCH + tick * MICROSECOND).isoformat()
    except OverflowError:
        return "outside the calendar"


@dataclass(frozen=True, slots=True)
class Shift:
    """The same hours every day, UTC: from `start` until `end`, through midnight where `end` is the smaller one."""

    start_hour: int
    end_hour: int

    @property
    def length(self) -> int:
        """Ticks of work in one day."""
        return ((self.end_hour - self.start_hour - 1) % 24 + 1) * HOUR

    def worked(self, tick: int) -> int:
        """Ticks of working time that have passed at a moment."""
        days, rest = divmod(tick - self.start_hour * HOUR, DAY)
        return days * self.length + min(rest, self.length)

    def when(self, worked: int) -> int:
        """The moment at which work begins that has `worked` ticks before it: at the end of a shift, the next one's."""
        days, rest = divmod(worked, self.length)
        return days * DAY + self.start_hour * HOUR + rest
