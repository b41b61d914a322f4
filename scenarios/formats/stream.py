"""Lines from a pipe or from standard input, which can be read once and not again."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from .lines import MAX_LINE_BYTES
from .splitting import CHUNK_BYTES, MAX_BATCH_BYTES, Batch, Line, Splitter, Spot, collect
from .stopping import Stop

POLL_S = 0.2


class StreamReader:
    """A stream, before it what an earlier reader had taken from its own stream and not handed out.

    Args:
        fd: Open for reading; stays open.
        name: As messages call it.
        spot: Where an earlier reader stood; None for the first one.
        leftover: What that one had read beyond the place; its last line ends where it ends.
        keep: Given every chunk as soon as it is read, because the pipe forgets it.
        longest: Bytes of the longest line.
    """

    def __init__(
        self,
        fd: int,
        name: str = "standard input",
        spot: Spot | None = None,
        leftover: bytes = b"",
        keep: Callable[[bytes], None] = lambda chunk: None,
        *,
        longest: int = MAX_LINE_BYTES,
    ) -> None:
        self.name = name
        self._fd, self._keep, self._longest = fd, keep, longest
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN | select.POLLHUP)
        self._ended = False
        self._live = spot is None
        self._splitter = Splitter(spot or Spot(), longest=longest)
        self._splitter.feed(leftover)

    @property
    def spot(self) -> Spot:
        return Spot(self._splitter.generation, self._splitter.offset, self._splitter.skipping)

    def next_batch(self, most: int, wait_s: float, stop: Stop) -> Batch | None:
        if stop.is_set() or self._ended:
            return None
        if not self._live:
            return self._leftover(most)
        begun = self._splitter.offset

        def more(within_s: float) -> bool:
            # A line that never ends is passed over piece by piece: what was kept of it must be let go.
            return self._splitter.offset - begun < MAX_BATCH_BYTES and self._more(within_s, stop)

        lines = collect(self._splitter.take, more, most, wait_s, time.monotonic)
        if self._at_end(lines, most):
            lines += _some(self._splitter.rest())
        return Batch(tuple(lines), self.spot) if lines or self._splitter.offset > begun else None

    def _at_end(self, lines: list[Line], most: int) -> bool:
        self._ended = self._ended and self._room(lines, most)  # if there is none, the end will be seen again
        return self._ended

    def behind(self) -> int:
        return len(self._splitter.held)

    def close(self) -> None:
        """The stream belongs to whoever opened it."""

    def _leftover(self, most: int) -> Batch:
        lines = collect(self._splitter.take, lambda within_s: False, most, 0.0, time.monotonic)
        if self._room(lines, most):
            lines += _some(self._splitter.rest())
            self._live = True
            # The new stream is on record before anything of it is read.
            self._splitter = Splitter(Spot(self._splitter.generation + 1), longest=self._longest)
        return Batch(tuple(lines), self.spot)

    def _room(self, lines: list[Line], most: int) -> bool:
        """Whether a batch has room for what no line break ends, because every whole line is in it."""
        return len(lines) < most and b"\n" not in self._splitter.held

    def _more(self, within_s: float, stop: Stop) -> bool:
        if self._ended or stop.is_set():
            return False
        if self._poll.poll(min(POLL_S, max(0.0, within_s)) * 1000):
            chunk = os.read(self._fd, CHUNK_BYTES)
            self._ended = not chunk
            self._keep(chunk)
            self._splitter.feed(chunk)
        return True


def _some(line: Line | None) -> list[Line]:
    return [] if line is None else [line]
