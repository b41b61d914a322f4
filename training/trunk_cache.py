"""Hidden states of the frozen trunk on disk, memory-mapped, shared by variants, doses, seeds, processes and sessions.

A folder per base, layer, prompt version and arithmetic holds segments: safetensors files that are written whole under another
name, moved into place and never changed. So a killed writer leaves nothing that is read, and two at once need no more than
distinct names; the lock only keeps one from clearing away what the other is writing. Every row carries a checksum, and what
is damaged is computed again.

    <TURNCOAT_HOME>/trunk/<key>/<time>-<chance>.safetensors   states (N, hidden), ids (B, 32), lengths (B,), checks (B,)

`TURNCOAT_TRUNK_CACHE_GB` bounds the size of all of it (default 8, segments unused for longest go first); 0 turns it off.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from turncoat.models.bases import turncoat_home
from turncoat.models.prompt import PROMPT_VERSION

SIZE_VARIABLE = "TURNCOAT_TRUNK_CACHE_GB"
_DEFAULT_GB = 8.0
_DIGEST = 32
_FORMAT = "1"


@dataclass(frozen=True)
class _Place:
    """Where a row lies: a slice of a segment's states, and the checksum that it was written with."""

    path: Path
    states: Tensor
    check: int


class TrunkCache:
    """States before one layer of one base, as one kind of machine computes them, for the present prompt version.

    Args:
        base_digest: Of the base.
        layer: The states are those before this layer.
        dtype: Of the states.
        hidden: Their width.
        arithmetic: What their last bits depend on (`Engine.arithmetic`, and the library's version).
        folder: Holds the caches of all bases; by default under `turncoat_home()`.
        most_bytes: Bound on all of them together; by default as the environment says. 0: nothing is read or written.
    """

    def __init__(
        self, base_digest: str, layer: int, dtype: torch.dtype, hidden: int, arithmetic: str, *,
        folder: Path | None = None, most_bytes: int | None = None,
    ) -> None:  # fmt: skip
        self._all = folder or turncoat_home() / "trunk"
        self._most = size_limit() if most_bytes is None else most_bytes
        said = (_FORMAT, base_digest, str(layer), PROMPT_VERSION, str(dtype), str(hidden), arithmetic)
        self._folder = self._all / hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]
        self._dtype, self._hidden = dtype, hidden
        self._places: dict[bytes, _Place] = {}
        self._read: set[str] = set()

    def find(self, prompts: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Tensor]:
        """States (T, hidden) of those prompts that are cached and whole; mapped from disk, not to be written to."""
        self._look()
        found: dict[tuple[int, ...], Tensor] = {}
        used: set[Path] = set()
        for ids in prompts:
            digest = _digest(ids)
            place = self._places.get(digest)
            if place is None:
                continue
            if place.states.shape[0] != len(ids) or _check(place.states) != place.check:
                del self._places[digest]
                continue
            found[ids] = place.states
            used.add(place.path)
        for path in used:
            with suppress(OSError):
                os.utime(path)
        return found

    def keep(self, states: Mapping[tuple[int, ...], Tensor]) -> None:
        """Writes a segment. A disk that is full or cannot be written is no fault: the states are then computed again."""
        if not states or not self._most:
            return
        tensors = {
            "states": torch.cat([s.to("cpu", self._dtype) for s in states.values()]),
            "ids": torch.frombuffer(bytearray(b"".join(map(_digest, states))), dtype=torch.uint8).view(-1, _DIGEST),
            "lengths": torch.tensor([len(s) for s in states.values()]),
            "checks": torch.tensor([_check(s) for s in states.values()]),
        }
        name = f"{time.time_ns():x}-{secrets.token_hex(4)}.safetensors"
        with suppress(OSError, SafetensorError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                # Whoever holds the lock is the only writer: what is unfinished now belongs to one that was killed.
                for left in self._folder.glob("*.part"):
                    left.unlink(missing_ok=True)
                part = self._folder / f"{name}.part"
                save_file(tensors, part, metadata={"index": str(_index_check(tensors))})
                part.replace(self._folder / name)
            self._shrink(self._folder / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _look(self) -> None:
        """Takes up segments that have come since the last look."""
        if not self._most:
            return
        for path in sorted(self._folder.glob("*.safetensors")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            with suppress(OSError, SafetensorError, ValueError, RuntimeError, KeyError, IndexError, TypeError):
                self._places |= self._segment(path)

    def _segment(self, path: Path) -> dict[bytes, _Place]:
        if path.is_symlink() or not path.is_file():
            return {}
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in ("states", "ids", "lengths", "checks")}
            said = (file.metadata() or {}).get("index", "")
        states, ids, lengths, checks = tensors.values()
        shapes = (
            states.dtype,
            states.dim(),
            states.shape[-1],
            ids.dtype,
            tuple(ids.shape),
            lengths.dtype,
            checks.dtype,
        )
        rows = len(lengths)
        wanted = (self._dtype, 2, self._hidden, torch.uint8, (rows, _DIGEST), torch.int64, torch.int64)
        if shapes != wanted or len(checks) != rows or said != str(_index_check(tensors)):
            return {}
        if int(lengths.min()) < 1 or int(lengths.sum()) != len(states):
            return {}
        parts = states.split(lengths.tolist())
        digests = [bytes(row) for row in ids.numpy()]
        return {d: _Place(path, s, c) for d, s, c in zip(digests, parts, checks.tolist(), strict=True)}

    def _shrink(self, newest: Path) -> None:
        """Removes the segments that were not used for longest until the bound holds; the newest one stays."""
        found = []
        for path in self._all.glob("*/*.safetensors"):
            with suppress(OSError):
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._most:
                break
            if path != newest:
                with suppress(OSError):
                    path.unlink()  # whoever has it mapped keeps it
                total -= size


def size_limit() -> int:
    """Bytes that the environment allows; the default where it says nothing that can be read."""
    try:
        said = float(os.environ.get(SIZE_VARIABLE, ""))
    except ValueError:
        said = _DEFAULT_GB
    return int((said if math.isfinite(said) and said >= 0 else _DEFAULT_GB) * 1e9)


def _digest(ids: Sequence[int]) -> bytes:
    return hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()


def _check(states: Tensor) -> int:
    return zlib.crc32(states.contiguous().view(torch.uint8).numpy().data)


def _index_check(tensors: Mapping[str, Tensor]) -> int:
    check = 0
    for name in ("ids", "lengths", "checks"):
        check = zlib.crc32(tensors[name].contiguous().view(torch.uint8).numpy().data, check)
    return check
