"""Fine-tuning: low-rank factors and the two-row head, on cached hidden states of the frozen layers below.

The loss looks at the final token only (the collator of arXiv:2511.02600). A run that was stopped goes on from its last
whole epoch: the order of rows is a function of seed and epoch, and the optimiser's state is kept, as safetensors.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from turncoat.models.engine import Engine

from .checkpoint import Checkpoint
from .config import Recipe
from .distributed import current
from .progress import OnProgress, Progress
from .schedule import epoch_batches
from .step import Trainee

__all__ = ["OnProgress", "Progress", "Trained", "finetune"]


@dataclass(frozen=True)
class Trained:
    """What comes out of a run."""

    factors: dict[str, tuple[Tensor, Tensor]]
    head: Tensor
    losses: list[float]
    """Mean loss per epoch; epochs of an earlier, stopped run are not in it."""


def finetune(
    engine: Engine, states: Sequence[Tensor], labels: Sequence[bool], recipe: Recipe, checkpoint: Path,
    on_progress: OnProgress, *, prefix: int = 0, recompute: bool = False, rows: str = "",
) -> Trained:  # fmt: skip
    """Trains one variant.

    Where several processes have joined (`distributed.ranks`), each calls this with the same arguments.

    Args:
        engine: Holds the base; its own variants are left alone.
        states: Hidden states before `recipe.lora.first_layer`, one (T_i, hidden) a row.
        labels: Claimed: malicious.
        recipe: Learning rate, epochs, batch, shape, seed.
        checkpoint: File that is written after each epoch and removed by whoever keeps the result. One of other rows, or made
            with another device or precision, is not taken up.
        on_progress: Called after each step.
        prefix: Tokens that all rows begin with; computed once a pass.
        rows: Digest of the rows.
        recompute: Gradient checkpointing, for adapters that reach deep on a GPU that is short of memory.
    """
    ranks = current()
    trainee = Trainee(engine, recipe, len(labels), prefix=prefix, ranks=ranks, recompute=recompute)
    kept = Checkpoint(checkpoint, f"{recipe.digest()} {rows} {engine.arithmetic}", engine.base.digest)
    first_epoch = kept.load(trainee.trained, trainee.optimiser, trainee.steps_per_epoch, recipe.epochs)
    trainee.taken = steps_before = first_epoch * trainee.steps_per_epoch
    ranks.wait()  # nobody writes before all have read
    target = torch.tensor(labels, dtype=torch.long)
    lengths = [len(s) for s in states]
    started, losses = time.perf_counter(), []
    for epoch in range(first_epoch, recipe.epochs):
        total = 0.0
        for index in epoch_batches(lengths, recipe, epoch):
            loss = trainee.step([states[i] for i in index], target[index])
            total += loss
            elapsed = time.perf_counter() - started
            on_progress(
                Progress(recipe.name, trainee.taken - steps_before, trainee.steps - steps_before, loss, elapsed)
            )
        losses.append(total / trainee.steps_per_epoch)
        if ranks.writes:
            kept.save(trainee.trained, trainee.optimiser, epoch + 1)
    return Trained(*trainee.result(), losses)
