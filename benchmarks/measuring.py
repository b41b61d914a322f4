"""What benchmarks have in common: the machine's peak, the spread of rounds, a line on progress."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence

import torch


def matrix_peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of large square products, the best of several sizes and tries."""
    best = 0.0
    for size in (1024, 2048, 4096):
        a, b = (torch.randn(size, size).to(device, dtype) for _ in range(2))
        for _ in range(5):
            started = time.perf_counter()
            a @ b
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def spread(found: Sequence[float]) -> dict[str, float]:
    """Median and range over rounds."""
    return {"median": round(statistics.median(found), 3), "least": round(min(found), 3), "most": round(max(found), 3)}


def say(line: str) -> None:
    """Tells on standard error what comes next."""
    print(line, file=sys.stderr, flush=True)
