"""Bytes that keep coming become lines: bounded, each with its place, and with enough memory to know the place again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .lines import MAX_LINE_BYTES
from .stopping import Stop

MAX_BATCH_BYTES = MAX_LINE_BYTES
"""Text of a batch after which it is full, however few its lines are."""
MARK_BYTES = 1024
CHUNK_BYTES = 1 << 16
NOWHERE = -1
"""Offset of what stands in no file: the remark that some lines were lost."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place from where reading goes on, and what is needed to find it again."""

    generation: int = 0
    """Counts the files that lay under the path one after another, or the streams that were read one after another."""
    offset: int = 0
    """Bytes of this file or stream that were handed out."""
    skipping: bool = False
    """Whether the offset lies within a line that is too long, whose rest is to be passed over."""
    device: int = 0
    inode: int = 0
    mark: str = ""
    """SHA-256 of the first and of the last `MARK_BYTES` before the offset: an inode number alone is soon used again."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or the fault that stands in its place."""

    generation: int
    offset: int
    text: bytes
    """Without its line break; of a faulty line the beginning."""
    fault: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, which tells lines apart that a cut file shows at one and the same offset."""
        return hashlib.sha256(self.text).hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines of one generation, and the place after them."""

    lines: tuple[Line, ...]
    end: Spot


class Source(Protocol):
    """Where lines come from. Reads on only when it is asked: what is not yet wanted stays in the file or the pipe."""

    @property
    def name(self) -> str:
        """As messages call it."""
        ...

    @property
    def spot(self) -> Spot:
        """The place after the last batch."""
        ...

    def next_batch(self, most: int, wait_s: float, stop: Stop) -> Batch | None:
        """Up to `most` lines: whatever is there `wait_s` after the first of them came. Waits for that one.

        Returns:
            None once `stop` is set, or where there will never be more. A batch without lines moves the place alone.
        """
        ...

    def behind(self) -> int:
        """Bytes that lie ready and were not handed out."""
        ...

    def close(self) -> None: ...


class Splitter:
    """Cuts bytes into lines, and holds at most one line and one chunk.

    Args:
        spot: Where the bytes begin.
        head: The first `MARK_BYTES` before that place.
        tail: The last `MARK_BYTES` before that place.
        longest: Bytes of the longest line.
    """

    def __init__(self, spot: Spot, head: bytes = b"", tail: bytes = b"", longest: int = MAX_LINE_BYTES) -> None:
        self.generation, self.offset, self.skipping = spot.generation, spot.offset, spot.skipping
        self.tail = tail
        self.held = bytearray()
        self._head, self._longest = head, longest
        self._searched = 0

    @property
    def end(self) -> int:
        """Offset of the byte to be fed next."""
        return self.offset + len(self.held)

    @property
    def mark(self) -> str:
        return mark_of(self._head, self.tail)

    def feed(self, chunk: bytes) -> None:
        self.held += chunk

    def take(self) -> Line | None:
        """The next whole line, or the fault of one that is too long as soon as that shows; None: feed more."""
        if self.skipping and not self._skip():
            return None
        at = self.held.find(b"\n", self._searched)
        if at < 0 and len(self.held) <= self._longest:
            self._searched = len(self.held)
            return None
        if at < 0 or at > self._longest:
            self.skipping = True
            line = self._line(MARK_BYTES, f"the line is longer than {self._longest} bytes")
            self._skip()
            return line
        line = self._line(at)
        self._drop(at + 1)
        return line

    def rest(self) -> Line | None:
        """At the end of everything: the last line, which no line break ends; None if there is none."""
        if self.skipping or not self.held:
            return None
        line = self._line(len(self.held))
        self._drop(len(self.held))
        return line

    def _line(self, length: int, fault: str = "") -> Line:
        return Line(self.generation, self.offset, bytes(self.held[:length]), fault)

    def _skip(self) -> bool:
        at = self.held.find(b"\n")
        self._drop(at + 1 or len(self.held))
        self.skipping = at < 0
        return not self.skipping

    def _drop(self, length: int) -> None:
        gone = bytes(self.held[:length])
        del self.held[:length]
        self.offset += length
        self._searched = 0
        self._head += gone[: MARK_BYTES - len(self._head)]
        self.tail = (self.tail + gone)[-MARK_BYTES:] if length < MARK_BYTES else gone[-MARK_BYTES:]


def mark_of(head: bytes, tail: bytes) -> str:
    """Recognises a file by what stood in it before a place."""
    return hashlib.sha256(head + tail).hexdigest()


def collect(
    take: Callable[[], Line | None], more: Callable[[float], bool], most: int, wait_s: float, now: Callable[[], float]
) -> list[Line]:
    """Lines of a batch.

    Args:
        take: The next line that can be had at once.
        more: Waits up to so many seconds for more; False if none will come into this batch.
        most: Lines at most.
        wait_s: How long after the first line the batch is closed.
        now: A clock, in seconds.
    """
    lines: list[Line] = []
    size, until = 0, float("inf")
    while len(lines) < most and size < MAX_BATCH_BYTES:
        if line := take():
            until = min(until, now() + wait_s)
            lines.append(line)
            size += len(line.text)
        elif now() >= until or not more(until - now()):
            break
    return lines
