"""An append-only file of JSON objects, one a line, that survives being cut off in the middle of one."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from turncoat.scenarios.errors import RunError

MAX_FILE_BYTES = 1 << 30
MAX_LINE_BYTES = 1 << 24
"""A line holds an alert's evidence at most; what is longer was not written by us."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_object(text: str | bytes, place: object) -> dict[str, Any]:
    """One JSON object out of a file that anybody may have written.

    Raises:
        RunError: Not JSON, not an object, NaN, or nested too deep; names `place`.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise RunError(f"{place}: not a JSON object ({fault}); was the file changed by hand?") from fault
    if not isinstance(value, dict):
        raise RunError(f"{place}: holds a {type(value).__name__}, not a JSON object; was the file changed by hand?")
    return value


def read_rows(path: Path, *, endless: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file with their places (`file:line`); a torn last line is passed over. No file: no rows.

    Args:
        path: The file. Memory holds one line of it at a time.
        endless: Whether it grows on and on, and may be of any size.

    Raises:
        RunError: A line is no JSON object, or line or file are larger than anything that we write.
    """
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise RunError(f"{path}: a link, or no regular file; not written by turncoat, so choose another folder")
    if not endless and path.stat().st_size > MAX_FILE_BYTES:
        raise RunError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; not written by turncoat")
    with path.open("rb") as file:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE_BYTES + 1)
            if len(line) > MAX_LINE_BYTES:
                raise RunError(f"{path}:{number}: a line of more than {MAX_LINE_BYTES >> 20} MiB; not one of ours")
            if not line.endswith(b"\n"):
                return
            yield f"{path}:{number}", parse_object(line, f"{path}:{number}")


class Journal:
    """Appends rows, each flushed as it comes. Opening cuts off a torn last line and keeps the rest in `rows`."""

    def __init__(self, path: Path, *, durable: bool = False, read: bool = True) -> None:
        """Opens or creates the file.

        Args:
            path: The file.
            durable: Each row is on the disk before `append` returns: a power cut loses nothing either.
            read: False for a file whose rows the caller has read: `rows` stays empty.

        Raises:
            RunError: The file holds what no journal holds.
            OSError: It cannot be opened.
        """
        self.path = path
        self._durable = durable
        self.rows = list(read_rows(path)) if read else []
        """What was there, with places; the caller may clear it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
        # Unbuffered: what could not be written shall not wait for the next row.
        self._file = os.fdopen(fd, "r+b", buffering=0)
        self._file.truncate(self._end_of_last_line())
        self._file.seek(0, os.SEEK_END)

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one line and hands it to the operating system: a killed process loses nothing, a power cut may.

        Raises:
            OSError: The disk is full, say; nothing of the row is left in the file, and it may be appended again.
        """
        line = memoryview(json.dumps(row, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        begins = self._file.tell()
        try:
            while line:
                line = line[self._file.write(line) :]
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(begins)
            self._file.seek(begins)
            raise

    def sync(self) -> None:
        """Waits until every row so far is on the disk, where a power cut leaves it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_of_last_line(self) -> int:
        size = self._file.seek(0, os.SEEK_END)
        start = max(0, size - MAX_LINE_BYTES)
        self._file.seek(start)
        return start + self._file.read().rfind(b"\n") + 1
