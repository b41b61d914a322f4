"""Trying again: exponentially longer waits with full jitter, as long as the other side asks, and stoppable."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

FIRST_S = 0.02
"""Longest wait after the first failure. Small, since what fails once mostly works at once; it doubles with each failure."""
LONGEST_S = 30.0

T = TypeVar("T")


class Again(Exception):
    """This try failed and another may not."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Backoff:
    """Waits uniform(0, min(`LONGEST_S`, `FIRST_S` * 2^(n-1))) after the n-th failure in a row, or as long as was asked.

    Failures are counted over calls: it is the receiver that is down, not the alert, and many alerts must not each
    begin anew with short waits. Not for use by two threads.

    Source: full jitter as of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    def __init__(
        self,
        attempts: int,
        rng: random.Random,
        *,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """
        Args:
            attempts: Tries for one call.
            rng: Of the jitter.
            stop: Once set, no wait is begun and the wait under way ends.
            sleep: Stands in for the clock; waits on `stop` if None.
        """
        self.stop = stop or threading.Event()
        self.failures = 0
        """In a row, without a success."""
        self._rng = rng
        self._sleep = sleep or self.stop.wait
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_any(tenacity.stop_after_attempt(attempts), tenacity.stop_when_event_set(self.stop)),
            wait=self._wait_s,
            retry=tenacity.retry_if_exception_type(Again),
            sleep=self._pause,
            reraise=True,
        )

    def call(self, once: Callable[[], T]) -> T:
        """What `once` returns. Raises the last `Again` when the tries are used up or `stop` is set."""

        def counted() -> T:
            try:
                done = once()
            except Again:
                self.failures += 1
                raise
            self.failures = 0
            return done

        return self._retrying(counted)

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        most = min(LONGEST_S, FIRST_S * 2.0 ** min(self.failures - 1, 30))
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.retry_after_s if isinstance(fault, Again) else None
        return max(self._rng.uniform(0.0, most), asked or 0.0)
