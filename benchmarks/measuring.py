"""What benchmarks have in common: the machine's peak, what a training example costs, the spread of rounds, a line on progress."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from turncoat.models.engine import Engine
from turncoat.training.config import Recipe


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


def flops_of_example(engine: Engine, recipe: Recipe, prompts: Sequence[Sequence[int]]) -> float:
    """Products that a step has to compute for an example: forward and the gradient of the input, frozen weights' own not.

    Of the last layer keys and values for all tokens and the rest for the final one; the prefix is counted in full.
    """
    tokens = statistics.mean(map(len, prompts))
    layers = list(engine.layers)[recipe.lora.first_layer :]
    sizes = [sum(p.numel() for p in layer.parameters() if p.dim() == 2) for layer in layers]
    last = layers[-1].self_attn
    seen = sum(_weights(projection) for projection in (last.k_proj, last.v_proj))
    return 4 * (tokens * (sum(sizes[:-1]) + seen) + sizes[-1] - seen)


def _weights(linear: Any) -> int:
    return sum(p.numel() for p in linear.parameters() if p.dim() == 2)
