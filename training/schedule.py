"""When a training sees which row, and at what learning rate: functions of the recipe alone, so that a run can be resumed.

Only how a batch is cut into parts depends on the machine, its cores among it, and with that the last bits of its gradient.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from .config import Recipe

_POOL = 8
"""Batches that are sorted by length together: little padding in attention, and still a random order."""
_WARM_UP = 0.15


def one_cycle(step: int, steps: int) -> float:
    """Share of the top learning rate at a step: up by cosine for 15 % of the run, then down to nothing."""
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / warm)) / 2
    return max(1e-4, (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2)


def epoch_batches(lengths: Sequence[int], recipe: Recipe, epoch: int) -> Iterator[list[int]]:
    """Batches of one epoch: shuffled, sorted by length within pools of some batches, and shuffled again."""
    rng = random.Random(f"order/{recipe.seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = recipe.batch * _POOL
    pools = [sorted(order[i : i + size], key=lambda row: lengths[row]) for i in range(0, len(order), size)]
    found = [pool[i : i + recipe.batch] for pool in pools for i in range(0, len(pool), recipe.batch)]
    rng.shuffle(found)
    yield from found


def micro_batches(lengths: Sequence[int], budget: int, least: int = 1) -> list[list[int]]:
    """Splits a batch into parts of about equal tokens, at most `budget` each unless one row alone has more.

    Args:
        lengths: Tokens of each row of the batch.
        budget: Tokens that a pass through the layers handles best.
        least: Parts that are computed at once: there are as many, or a multiple, as far as the rows can be so divided.

    Returns:
        Indices into `lengths`, rows of similar length together.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    rounds = math.ceil(max(1, math.ceil(sum(lengths) / budget)) / least)
    share = sum(lengths) / (rounds * least)
    parts: list[list[int]] = []
    tokens = 0
    for row in order:
        if not parts or tokens + lengths[row] / 2 > share * len(parts) or _full(parts[-1], row, lengths, budget):
            parts.append([])
        parts[-1].append(row)
        tokens += lengths[row]
    return parts


def _full(part: Sequence[int], row: int, lengths: Sequence[int], budget: int) -> bool:
    return bool(part) and sum(lengths[i] for i in part) + lengths[row] > budget
