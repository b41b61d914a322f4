"""How many tokens a batch has: measured once per machine and base, and remembered.

Few tokens leave the products narrow, many drive the activations out of the processor's cache. The number decides which
prompts meet in a batch, and with it the last bits of bf16 results: so it is read from a file, and only a call that is large
enough for the measurement to pay asks for it. Small calls always take the default.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from .bases import turncoat_home
from .cores import side_by_side, width
from .decoder import Decoder
from .rows import Rows

DEFAULT = {"cpu": 768, "cuda": 16_384}
_CANDIDATES = {"cpu": (768, 1536, 3072), "cuda": (4096, 8192, 16_384, 32_768, 65_536)}
_LARGEST = 1 << 17
_ROW = 96
_REPEATS = 2
_MEASURED = "all layers, every core"
"""How it was measured: a number that was measured otherwise does not count."""
_WORTH = 1.01
"""A larger batch has to be this much faster: it takes more memory."""
LARGE_CALL = {"cpu": 24_000, "cuda": 400_000}
"""Tokens from which on a call is measured for."""


def token_budget(decoder: Decoder, base_digest: str, tokens: int) -> int:
    """Most tokens of a batch for a call of so many tokens.

    A memory that is broken, foreign or cannot be written is no fault: the default then holds.
    """
    kind = decoder.device.type
    if kind not in DEFAULT or tokens < LARGE_CALL[kind]:
        return DEFAULT.get(kind, DEFAULT["cpu"])
    path = turncoat_home() / "batches.json"
    machine = f"{_device(decoder)} {decoder.dtype} {torch.get_num_threads()} torch {torch.__version__}"
    key = f"{base_digest[:16]} {machine} measured over {_MEASURED}"
    known = _read(path)
    if key not in known:
        found, lasting = measure(decoder)
        if not lasting:
            return found
        # Another process may have measured meanwhile; what is written first holds for all.
        known = {key: found} | _read(path)
        if not _write(path, known):
            return DEFAULT[kind]
    return known[key]


def measure(decoder: Decoder) -> tuple[int, bool]:
    """The smallest candidate that is within 1 % of the fastest; takes as long as some 11,000 tokens a core.

    Returns:
        It; and whether it will do for later calls. It will not where a candidate did not fit into the device's memory, which
        another process may have held just then.
    """
    rounds = [{budget: _speed(decoder, budget) for budget in _CANDIDATES[decoder.device.type]} for _ in range(_REPEATS)]
    speed = {budget: max(found[budget] for found in rounds) for budget in rounds[0]}
    best = max(speed.values())
    chosen = next(budget for budget, found in speed.items() if found * _WORTH >= best)
    return chosen, all(all(found.values()) for found in rounds)


def _speed(decoder: Decoder, budget: int) -> float:
    """Tokens a second through all layers: a few, asked again and again, would stay in the cache that all do not fit into.

    As a large call does, on every core at once. 0 where so many do not fit into the device's memory.
    """
    rows = Rows([_ROW] * max(1, budget // _ROW), device=decoder.device)
    abreast = width(decoder.device)

    def run() -> None:
        with torch.inference_mode():
            decoder.run(decoder.embed([1] * rows.tokens), rows, 0)

    started = time.perf_counter()
    try:
        for _ in side_by_side([run] * abreast, abreast):
            pass
    except torch.OutOfMemoryError:
        return 0.0
    finally:
        if decoder.device.type == "cuda":
            torch.cuda.synchronize()
    return abreast * rows.tokens / (time.perf_counter() - started)


def _device(decoder: Decoder) -> str:
    return torch.cuda.get_device_name(decoder.device) if decoder.device.type == "cuda" else "cpu"


def _read(path: Path) -> dict[str, int]:
    try:
        with path.open("rb") as file:
            found: Any = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if type(v) is int and 0 < v <= _LARGEST}


def _write(path: Path, known: dict[str, int]) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".partial")
    except OSError:
        return False
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(known, file, indent=1, sort_keys=True)
        Path(partial).replace(path)
    except OSError:
        with suppress(OSError):
            Path(partial).unlink()
        return False
    return True
