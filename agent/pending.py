"""What was read from a stream and is not decided yet. A file can be read again; a pipe forgets."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.formats.splitting import CHUNK_BYTES, MAX_BATCH_BYTES, Spot

from .journal import parse_object

COMPACT_BYTES = 1 << 20
MAX_BYTES = 4 * MAX_BATCH_BYTES
"""A batch, a line that is being read, and what a compaction has not yet removed."""
_MAX_HEAD_BYTES = 256


class Pending:
    """A file with a head, which says where in which stream it begins, and the bytes as they were read.

    Beside it lies a file as long as one chunk, which means nothing: on a disk that has become full it makes way for what was
    just read.
    """

    def __init__(self, path: Path) -> None:
        """Touches nothing: for a source that is a file there never is one."""
        self._path = path
        self._fd = self._room = -1
        self._generation, self._base, self._head = -1, 0, 0

    def leftover(self, spot: Spot) -> bytes:
        """What was read beyond a place of that stream.

        Raises:
            RunError: The file is not ours.
        """
        if not os.path.lexists(self._path):
            return b""
        if self._path.is_symlink() or not self._path.is_file():
            raise RunError(f"{self._path}: a link, or no regular file; not made by turncoat, so choose another folder")
        with self._path.open("rb") as file:
            head = file.readline(_MAX_HEAD_BYTES)
            text = file.read(MAX_BYTES + 1)
        plain = parse_object(head, self._path)
        generation, base = plain.get("generation"), plain.get("offset")
        if not isinstance(generation, int) or not isinstance(base, int) or base < 0 or len(text) > MAX_BYTES:
            raise RunError(f"{self._path}: not written by turncoat; remove it, or name another --state")
        return text[spot.offset - base :] if generation == spot.generation and base <= spot.offset else b""

    def begin(self, spot: Spot, leftover: bytes) -> None:
        """Starts the file anew at a place, with what is already known beyond it; whole or not at all."""
        head = json.dumps({"generation": spot.generation, "offset": spot.offset}).encode() + b"\n"
        part = self._path.with_name(f".{self._path.name}.part")
        part.unlink(missing_ok=True)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _write(fd, head + leftover)
        os.replace(part, self._path)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._generation, self._base, self._head = fd, spot.generation, spot.offset, len(head)
        if self._room < 0:
            self._room = _room(self._path.with_name(f"{self._path.name}.room"))

    def keep(self, chunk: bytes) -> None:
        """Adds what was just read, a chunk at most.

        Raises:
            OSError: It could not be written. On a disk that is full it is kept all the same, but the next one would be lost:
                read no more.
        """
        at = os.fstat(self._fd).st_size
        try:
            _write(self._fd, chunk)
        except OSError as fault:
            if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            os.ftruncate(self._room, 0)
            _write(self._fd, chunk[os.fstat(self._fd).st_size - at :])
            raise

    def pass_over(self, spot: Spot) -> None:
        """Lets go of what lies before a place, as soon as it is worth it."""
        if self._fd < 0:
            return
        if spot.generation != self._generation:
            self.begin(spot, b"")
        elif spot.offset - self._base > COMPACT_BYTES:
            size = os.fstat(self._fd).st_size
            at = self._head + spot.offset - self._base
            self.begin(spot, os.pread(self._fd, size - at, at))

    def close(self) -> None:
        for fd in (self._fd, self._room):
            if fd >= 0:
                os.close(fd)
        self._fd = self._room = -1


def _room(path: Path) -> int:
    """Takes up the disk space of a chunk. Raises OSError where there is none."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write(fd, bytes(CHUNK_BYTES))
    except OSError:
        os.close(fd)
        raise
    return fd


def _write(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]
