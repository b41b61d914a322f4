"""How somebody who waits for lines is told that no more are wanted."""

from __future__ import annotations

import time

SLICE_S = 0.1
"""How long a wait goes on at most after it was told to stop."""


class Stop:
    """A flag that a signal handler, too, may set: nothing here takes a lock.

    `threading.Event` will not do. Its `set` waits for a lock, which the very thread that the handler interrupted holds for
    a moment of each wait; that thread would then wait for itself.
    """

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> None:
        """Sleeps until the flag is set, or so long."""
        until = time.monotonic() + seconds
        while not self._set and (left := until - time.monotonic()) > 0:
            time.sleep(min(SLICE_S, left))
