"""One line that says what is going on: it changes in place on a terminal, and is printed now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

from .terminal import plain

PLAIN_EVERY_S = 5.0


def duration(seconds: float) -> str:
    """`0:42`, `12:05`, `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class StatusLine:
    """Shows the latest of many short messages. With `None` for a console it shows nothing."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._status: Status | None = None
        self._begun = time.monotonic()
        self._printed = float("-inf")
        self._stages: dict[str, float] = {}

    def __enter__(self) -> StatusLine:
        if self._console is not None and self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def show(self, words: str) -> None:
        """A new message; on anything but a terminal at most one in `PLAIN_EVERY_S` seconds is printed."""
        if self._status is not None:
            self._status.update(plain(words))
        elif self._console is not None and time.monotonic() - self._printed >= PLAIN_EVERY_S:
            self._printed = time.monotonic()
            self._console.print(plain(words), soft_wrap=True)

    def count(self, what: str, done: int, total: int) -> None:
        """Progress in numbers, with the time that is left at the speed so far."""
        self._tell(what, done, total, self._begun)

    def stage(self, what: str, done: int, total: int) -> None:
        """As `count`, with the time that is left of this stage at its own speed."""
        self._tell(what, done, total, self._stages.setdefault(what, time.monotonic()))

    def _tell(self, what: str, done: int, total: int, begun: float) -> None:
        spent = time.monotonic() - begun
        left = f", about {duration(spent / done * (total - done))} left" if 0 < done < total else ""
        self.show(f"{what}: {done:,} of {total:,}{left}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
