"""Follows a file of lines that somebody else appends to, cuts off, renames and begins anew."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from .lines import MAX_LINE_BYTES
from .splitting import CHUNK_BYTES, MARK_BYTES, NOWHERE, Batch, Line, Splitter, Spot, collect, mark_of
from .stopping import Stop

POLL_S = 0.1
GRACE_S = 1.0
"""How long a renamed file must stay quiet before its successor is read: its writer may not have noticed yet."""
_MAX_SIBLINGS = 10_000
_TELLING_BYTES = 256
"""A file that begins with so many bytes that were read before is taken for the file that they were read from."""
_ROTATED = re.compile(r"[.-]\d[\d._-]*(?P<packed>\.(gz|bz2|xz|zst|zip))?")
"""What log rotation puts behind a file's name."""


class _NoSuchFile(InputError):
    """There is nothing under that path, at this moment."""


class FileFollower:
    """A growing regular file, from a place on.

    A renamed file is read to its end before the next one is begun; one that was cut off or replaced is begun anew. Where
    lines may have been lost on the way, a faulty `Line` at the offset `NOWHERE` says so. A last line without its line
    break waits for it.

    Args:
        path: The file; it must be there.
        spot: Where an earlier follower stood; None begins at the first byte.
        longest: Bytes of the longest line.
        poll_s: How often a quiet file is looked at.
        grace_s: See `GRACE_S`.

    Raises:
        InputError: There is no such file, or it is no regular file.
        OSError: The folder changed while an earlier follower's file was looked for in it; try again.
    """

    def __init__(
        self,
        path: Path,
        spot: Spot | None = None,
        *,
        longest: int = MAX_LINE_BYTES,
        poll_s: float = POLL_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.path, self.name = path, str(path)
        self._longest, self._poll_s, self._grace_s = longest, poll_s, grace_s
        self._quiet_since = 0.0
        self._remarks: list[Line] = []
        self._fd = -1
        self._left: tuple[int, int] | None = None
        """The file before this one, held open, and its size when it was left: its writer may write into it still."""
        if spot is None:
            self._begin(_opened(path), 0)
        else:
            self._resume(spot)

    @property
    def spot(self) -> Spot:
        status = os.fstat(self._fd)
        at = self._splitter
        return Spot(at.generation, at.offset, at.skipping, status.st_dev, status.st_ino, at.mark)

    def next_batch(self, most: int, wait_s: float, stop: Stop) -> Batch | None:
        generation = self._splitter.generation

        def more(within_s: float) -> bool:
            if self._splitter.generation != generation or stop.is_set():
                return False
            stop.wait(min(self._poll_s, within_s))
            return True

        def take() -> Line | None:
            return self._take() if self._splitter.generation == generation else None

        if stop.is_set():
            return None
        self._look_back()
        # A batch ends where a file does, so that the next one is on record before anything of it is decided.
        lines = [] if self._remarks else collect(take, more, most, wait_s, time.monotonic)
        turned = self._splitter.generation != generation
        lines += self._remarks
        self._remarks = []
        return Batch(tuple(lines), self.spot) if lines or turned else None

    def behind(self) -> int:
        return max(0, os.fstat(self._fd).st_size - self._splitter.offset)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._left is not None:
            os.close(self._left[0])
            self._left = None

    def _take(self) -> Line | None:
        """The next line that is there; None at the end, after which the generation may be another."""
        generation = self._splitter.generation
        while (line := self._splitter.take()) is None:
            if not self._fill() or self._splitter.generation != generation:
                return self._turn() if self._splitter.generation == generation else None
        return line

    def _fill(self) -> bool:
        """Reads one chunk; False where there is none."""
        chunk = os.pread(self._fd, CHUNK_BYTES, self._splitter.end)
        size = os.fstat(self._fd).st_size
        if size < self._splitter.end or (chunk and not self._unchanged()):
            fault = "the file was cut off or rewritten while it was followed; lines may be lost"
            self._begin(os.dup(self._fd), self._splitter.generation + 1, fault)
            return True
        self._splitter.feed(chunk)
        if chunk:
            self._quiet_since = 0.0
        return bool(chunk)

    def _unchanged(self) -> bool:
        """Whether what was read last still stands where it stood. Asked after reading, or it would prove nothing."""
        known = self._splitter.tail + bytes(self._splitter.held[:MARK_BYTES])
        return os.pread(self._fd, len(known), self._splitter.offset - len(self._splitter.tail)) == known

    def _turn(self) -> Line | None:
        """At the end of the file: goes over to the next one, once there is one and this one has been quiet."""
        try:
            if _identity(self.path.stat()) == _identity(os.fstat(self._fd)):
                return None
            if self._quiet_since == 0.0:
                self._quiet_since = time.monotonic()
            if time.monotonic() - self._quiet_since < self._grace_s:
                return None
            following, fault = self._successor()
            fd = _opened(following)
        except (FileNotFoundError, _NoSuchFile):
            return None  # rotation is at work: renamed and not there again yet, or packed after it was listed
        last, size = self._splitter.rest(), self._splitter.end
        held = os.dup(self._fd)
        self._begin(fd, self._splitter.generation + 1, fault)
        self._left = held, size
        return last

    def _look_back(self) -> None:
        """Says so where something was written to the file before this one after it was left."""
        if self._left is None:
            return
        held, size = self._left
        if (now := os.fstat(held).st_size) > size:
            fault = f"not read, because they came after the file had been rotated: bytes {size:,} to {now:,} of it"
            self._remarks.append(Line(self._splitter.generation, NOWHERE, fault.encode(), fault))
            self._left = held, now

    def _successor(self) -> tuple[Path, str]:
        """The file that came after this one, and what cannot be read in between, if anything."""
        mine = os.fstat(self._fd)
        newer = sorted(
            (status.st_mtime_ns, path, packed)
            for path, status, packed in _siblings(self.path)
            if status.st_mtime_ns > mine.st_mtime_ns and _identity(status) != _identity(mine)
        )
        packed = [path.name for _, path, packed in newer if packed]
        fault = f"not read, because it was packed before its turn came: {', '.join(packed[:3])}" if packed else ""
        return next((path for _, path, packed in newer if not packed), self.path), fault

    def _begin(self, fd: int, generation: int, fault: str = "") -> None:
        """Starts at the first byte of an open file."""
        self.close()
        self._fd, self._quiet_since = fd, 0.0
        self._splitter = Splitter(Spot(generation), longest=self._longest)
        if fault:
            self._remarks.append(Line(generation, NOWHERE, b"", fault))

    def _resume(self, spot: Spot) -> None:
        """Goes on in the file of an earlier follower, wherever rotation has put it."""
        files = (self.path, *(path for path, _, packed in _siblings(self.path) if not packed))
        # First the file itself, wherever it is; then one of the same content, such as a file that was restored or a disk that
        # has another number since: to read it anew would send all of it a second time.
        for same in (True, False):
            for path in files:
                try:
                    fd = _opened(path)
                except InputError:
                    continue
                before = _before(fd, spot) if same == (_identity(os.fstat(fd)) == (spot.device, spot.inode)) else None
                if before is not None and (same or spot.offset >= _TELLING_BYTES):
                    self._fd = fd
                    self._splitter = Splitter(spot, *before, longest=self._longest)
                    return
                os.close(fd)
        fault = "the file was cut off, rewritten or replaced while nobody followed it; lines may be lost"
        self._begin(_opened(self.path), spot.generation + 1, fault)


def _before(fd: int, spot: Spot) -> tuple[bytes, bytes] | None:
    """Head and tail before a place; None if what stands there is not what was read."""
    if os.fstat(fd).st_size < spot.offset:
        return None
    length = min(MARK_BYTES, spot.offset)
    head, tail = os.pread(fd, length, 0), os.pread(fd, length, spot.offset - length)
    return (head, tail) if mark_of(head, tail) == spot.mark else None


def _opened(path: Path) -> int:
    """A descriptor of a regular file. Never waits, as opening a named pipe would. Raises InputError if it is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _NoSuchFile.at(path, "no such file", "check the path; a file is followed from when it is there") from None
    except OSError as error:
        raise InputError.at(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputError.at(path, "no regular file", "give the file itself, or - to read from a pipe")
    return fd


def _siblings(path: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Files beside this one that rotation made of it, and whether they are packed; no links.

    Raises FileNotFoundError where one was renamed or removed meanwhile: what is listed then may lack its new name.
    """
    try:
        with os.scandir(path.parent) as entries:
            for _, entry in zip(range(_MAX_SIBLINGS), entries, strict=False):
                rotated = entry.name.startswith(path.name) and _ROTATED.fullmatch(entry.name[len(path.name) :])
                if rotated and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False), bool(rotated["packed"])
    except PermissionError:
        return  # a folder that may be passed through and not listed


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
