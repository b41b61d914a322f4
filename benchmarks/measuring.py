"""What benchmarks have in common: the machine's peak, what prompts have to compute, the spread of rounds, a line on progress."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from turncoat.models.engine import Engine


def matrix_peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of large square products, the best of several sizes and tries; on a GPU of twenty in a row."""
    best, queued = 0.0, 20 if device.type == "cuda" else 1
    for size in (1024, 2048, 4096, *((8192, 16_384) if device.type == "cuda" else ())):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        for _ in range(5):
            started = now(device)
            for _ in range(queued):
                a @ b
            best = max(best, queued * 2 * size**3 / (now(device) - started))
    return best


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def weight_products(engine: Engine, first_layer: int, tokens: int, prompts: int) -> int:
    """How often a weight of the layers has to be multiplied with a number: two operations each.

    Of the last layer keys and values for all tokens, and the rest for the final ones alone.

    Args:
        engine: Holds the base.
        first_layer: Layers below are not counted.
        tokens: That have to be computed, of all prompts.
        prompts: Their number.
    """
    sizes = [_weights(layer) for layer in list(engine.layers)[first_layer:]]
    last = engine.layers[-1].self_attn
    seen = _weights(last.k_proj) + _weights(last.v_proj)
    return tokens * (sum(sizes[:-1]) + seen) + prompts * (sizes[-1] - seen)


def spread(found: Sequence[float]) -> dict[str, float]:
    """Median and range over rounds."""
    return {"median": round(statistics.median(found), 3), "least": round(min(found), 3), "most": round(max(found), 3)}


def say(line: str) -> None:
    """Tells on standard error what comes next."""
    print(line, file=sys.stderr, flush=True)


def _weights(module: Any) -> int:
    return sum(p.numel() for p in module.parameters() if p.dim() == 2)
