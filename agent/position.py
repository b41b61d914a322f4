"""The state folder of a triage that goes on and on: how far it came, and what it decided since.

`decisions.jsonl` grows by a line per decision, `position.json` is replaced whole after each batch. A line is written
after the sink has taken the alert, and the position once the lines and what the sink took are on the disk; so whoever
was killed, by a power cut too, finds at most one batch of lines beyond the position, and takes those decisions as made.
Memory holds no more than that batch. The files may have been changed by anybody since.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.formats.splitting import NOWHERE, Spot
from turncoat.scenarios.whole_file import write_whole

from .journal import MAX_LINE_BYTES, parse_object
from .pending import Pending

MAX_POSITION_BYTES = 1 << 16
MAX_TAIL_BYTES = 1 << 28
"""More than one batch can come to."""

Place = tuple[int, int]
"""(generation, offset) of a line."""
Row = Mapping[str, Any]


@dataclass
class Tally:
    """What came of the lines so far."""

    lines: int = 0
    unreadable: int = 0
    escalated: int = 0
    forced: int = 0
    dismissed: int = 0
    reviewed: int = 0


_Count = Annotated[int, Field(strict=True, ge=0, le=2**62)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _SpotForm(_Form):
    generation: _Count
    offset: _Count
    skipping: bool
    device: _Count
    inode: _Count
    mark: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class _TallyForm(_Form):
    lines: _Count
    unreadable: _Count
    escalated: _Count
    forced: _Count
    dismissed: _Count
    reviewed: _Count


class _PositionForm(_Form):
    format: Literal[1]
    source: Annotated[str, Field(max_length=8192)]
    spot: _SpotForm
    decisions_bytes: _Count
    tally: _TallyForm


@dataclass
class StateFolder:
    """Belongs to one source and, while it is open, to one process."""

    path: Path
    source: str
    spot: Spot | None
    """Where the last batch ended; None at the very beginning."""
    tally: Tally
    pending: Pending
    _lock: int
    _decisions: int
    _bytes: int
    """Length of the decisions at the last commit."""
    _tail: dict[Place, dict[str, Row]] = field(default_factory=dict)
    """Decisions beyond the position."""

    @classmethod
    def open(cls, path: Path, source: str) -> StateFolder:
        """Creates the folder, or goes on in it.

        Args:
            path: The folder.
            source: Names what is triaged and how; the same each time.

        Raises:
            RunError: Another process uses the folder, it belongs to another source, or a file in it is not ours.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds alerts as they came
        except (FileExistsError, NotADirectoryError) as fault:
            raise RunError(f"{path}: not a folder; choose another place") from fault
        lock = _locked(path / "lock")
        try:
            spot, tally, length = _position(path / "position.json", source)
            decisions = open_own(path / "decisions.jsonl")
            try:
                tail = _tail(decisions, path / "decisions.jsonl", length, spot)
                pending = Pending(path / "pending.bin")
            except BaseException:
                os.close(decisions)
                raise
            return cls(path, source, spot, tally, pending, lock, decisions, length, tail)
        except BaseException:
            os.close(lock)
            raise

    @property
    def decisions(self) -> Path:
        return self.path / "decisions.jsonl"

    def recall(self, place: Place, digest: str, variant: str) -> Row | None:
        """The decision that a killed process had made about exactly this line; None if it had made none."""
        row = self._tail.get(place, {}).get(variant)
        return row if row is not None and row["source"]["digest"] == digest else None

    def append(self, row: Row) -> None:
        """Writes a decision and hands it to the operating system. Raises OSError, after which the folder is done for."""
        line = json.dumps(row, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(self._decisions, line) :]

    def commit(self, spot: Spot) -> None:
        """Puts on record that everything before this place is decided, and delivered or in the sink's keeping.

        The sink's `sync` comes first; the decisions are brought to the disk here.
        """
        os.fsync(self._decisions)
        # Decisions beyond the new place are still to be recalled: the next process must find them too.
        self._tail = {place: rows for place, rows in self._tail.items() if place >= (spot.generation, spot.offset)}
        if not self._tail:
            self._bytes = os.fstat(self._decisions).st_size
        self.spot = spot
        position = {
            "format": 1,
            "source": self.source,
            "spot": asdict(spot),
            "decisions_bytes": self._bytes,
            "tally": asdict(self.tally),
        }
        write_whole(self.path / "position.json", json.dumps(position, indent=1) + "\n")
        self.pending.pass_over(spot)  # after the position: until then it is what the old one leads to

    def close(self) -> None:
        for fd in (self._decisions, self._lock):
            os.close(fd)
        self.pending.close()

    def __enter__(self) -> StateFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_own(path: Path) -> int:
    """A descriptor to read and append to one of our files. Raises RunError where it is a link or no regular file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    strange = f"{path}: a link, or no regular file; not made by turncoat, so choose another folder"
    try:
        fd = os.open(path, flags, 0o644)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as fault:
        raise RunError(f"{path}: {fault.strerror}; choose a folder that you may write to") from fault
    except OSError as fault:
        raise (RunError(strange) if path.is_symlink() else fault) from fault
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise RunError(strange)
    return fd


def _locked(path: Path) -> int:
    fd = open_own(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(fd)
        raise RunError(f"{path.parent}: another process uses this folder; stop it or name another --state") from fault
    return fd


def _position(path: Path, source: str) -> tuple[Spot | None, Tally, int]:
    """Place, tally and length of the decisions; of a new folder the beginnings."""
    if not os.path.lexists(path):
        return None, Tally(), 0
    fd = open_own(path)
    try:
        text = os.read(fd, MAX_POSITION_BYTES + 1)
    finally:
        os.close(fd)
    if len(text) > MAX_POSITION_BYTES:
        raise RunError(f"{path}: larger than {MAX_POSITION_BYTES >> 10} KiB; not written by turncoat")
    try:
        form = _PositionForm.model_validate(parse_object(text, path))
    except ValidationError as fault:
        error = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise RunError(f"{path}: {where}: {error['msg']}; was the file changed by hand?") from fault
    if form.source != source:
        raise RunError(f"{path}: belongs to {form.source}, not to {source}; name another --state")
    return Spot(**form.spot.model_dump()), Tally(**form.tally.model_dump()), form.decisions_bytes


def _tail(fd: int, path: Path, begin: int, spot: Spot | None) -> dict[Place, dict[str, Row]]:
    """The decisions from a byte on; cuts off a torn last line."""
    size = os.fstat(fd).st_size
    if size < begin:
        raise RunError(f"{path}: shorter than position.json says; put it back, or name another --state")
    if size - begin > MAX_TAIL_BYTES:
        raise RunError(f"{path}: more than {MAX_TAIL_BYTES >> 20} MiB beyond the position; not written by turncoat")
    found: dict[Place, dict[str, Row]] = {}
    at = begin
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(begin)
        while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
            row = parse_object(line, f"{path}: byte {at}")
            place, variant = _place_of(row, f"{path}: byte {at}")
            at += len(line)
            if spot is None or place >= (spot.generation, spot.offset):
                found.setdefault(place, {})[variant] = row
    if len(line) == MAX_LINE_BYTES:
        raise RunError(f"{path}: byte {at}: a line of more than {MAX_LINE_BYTES >> 20} MiB; not one of ours")
    os.ftruncate(fd, at)
    return found


def _place_of(row: Row, where: str) -> tuple[Place, str]:
    source, variant = row.get("source"), row.get("variant")
    plain = source if isinstance(source, dict) else {}
    generation, offset = plain.get("generation"), plain.get("offset")
    named = isinstance(variant, str) and isinstance(plain.get("digest"), str)
    if named and isinstance(generation, int) and isinstance(offset, int) and generation >= 0 and offset >= NOWHERE:
        return (generation, offset), str(variant)
    raise RunError(f"{where}: names no variant and source; was the file changed by hand?")
