"""Seconds that pass only while the person can act: reading a notice or filling in a form costs no simulated time."""

from __future__ import annotations

import time
from collections.abc import Callable


class HeldClock:
    """Never goes back; stands still as long as anybody holds it.

    Args:
        seconds: A clock that never goes back either.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._before_s = 0.0
        self._since_s = seconds()
        self._holds = 0

    @property
    def held(self) -> bool:
        """Whether it stands still."""
        return self._holds > 0

    def __call__(self) -> float:
        """Seconds that have passed."""
        return self._before_s if self.held else self._before_s + self._seconds() - self._since_s

    def hold(self) -> None:
        """Stops it until `release` was called as often."""
        self._before_s = self()
        self._holds += 1

    def release(self) -> None:
        """Ends one `hold`."""
        if self._holds == 1:
            self._since_s = self._seconds()
        self._holds = max(0, self._holds - 1)
