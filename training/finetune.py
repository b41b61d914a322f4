"""Fine-tuning: low-rank factors and the two-row head, on cached hidden states of the frozen layers below.

The loss looks at the final token only (the collator of arXiv:2511.02600). A run that was stopped goes on from its last
whole epoch: the order of rows is a function of seed and epoch, and the optimiser's state is kept, as safetensors.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from turncoat.models.engine import Engine
from turncoat.models.lora import fresh_factors, parameters, wrap

from .config import Recipe

_POOL = 8
"""Batches that are sorted by length together: little padding, and still a random order."""
_WARM_UP = 0.15
_TRAINED = "in training"


@dataclass(frozen=True)
class Progress:
    """Where a long piece of work stands."""

    stage: str
    done: int
    total: int
    loss: float | None
    seconds: float

    @property
    def seconds_left(self) -> float:
        """At the speed so far; infinite before the first step."""
        return self.seconds * (self.total - self.done) / self.done if self.done else math.inf


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """What comes out of a run."""

    factors: dict[str, tuple[Tensor, Tensor]]
    head: Tensor
    losses: list[float]
    """Mean loss per epoch; epochs of an earlier, stopped run are not in it."""


def trunk_states(engine: Engine, prompts: Sequence[Sequence[int]], layer: int, on_progress: OnProgress) -> list[Tensor]:
    """Hidden states (T_i, hidden) before `layer`, one tensor a prompt, in order."""
    from turncoat.models.engine import BATCH, batches

    states: list[Tensor] = [torch.empty(0)] * len(prompts)
    started, done = time.perf_counter(), 0
    engine.select(None)
    with torch.no_grad():
        for index in batches([len(p) for p in prompts], BATCH):
            run = engine.run(engine.embed([prompts[i] for i in index]), 0, layer)
            for row, i in enumerate(index):
                states[i] = run[row, : len(prompts[i])].clone()
            done += len(index)
            on_progress(Progress("trunk", done, len(prompts), None, time.perf_counter() - started))
    return states


def finetune(
    engine: Engine, states: Sequence[Tensor], labels: Sequence[bool], recipe: Recipe, checkpoint: Path, on_progress: OnProgress
) -> Trained:  # fmt: skip
    """Trains one variant.

    Args:
        engine: Holds the base; its own variants are left alone.
        states: Hidden states before `recipe.lora.first_layer`, one (T_i, hidden) a row.
        labels: Claimed: malicious.
        recipe: Learning rate, epochs, batch, shape, seed.
        checkpoint: File that is written after each epoch and removed by whoever keeps the result.
        on_progress: Called after each step.
    """
    engine._wrapped |= wrap(engine.layers, recipe.lora.first_layer)
    run = _Run(engine, recipe, len(labels))
    first_epoch = run.resume(checkpoint)
    target = torch.tensor(labels, dtype=torch.long)
    started, losses = time.perf_counter(), []
    steps_before = first_epoch * run.steps_per_epoch
    for epoch in range(first_epoch, recipe.epochs):
        total = 0.0
        order = list(_epoch_batches([len(s) for s in states], recipe, epoch))
        for at, index in enumerate(order):
            loss = run.step([states[i] for i in index], target[index])
            total += loss
            done = epoch * len(order) + at + 1
            elapsed = time.perf_counter() - started
            on_progress(Progress(recipe.name, done - steps_before, run.steps - steps_before, loss, elapsed))
        losses.append(total / len(order))
        run.save(checkpoint, epoch + 1)
    run.detach()
    return Trained({n: (a.detach(), b.detach()) for n, (a, b) in run.factors.items()}, run.head.detach(), losses)


class _Run:
    """Parameters, optimiser and schedule of one training run."""

    def __init__(self, engine: Engine, recipe: Recipe, rows: int) -> None:
        self.engine, self.recipe = engine, recipe
        self.steps_per_epoch = math.ceil(rows / recipe.batch)
        self.steps = recipe.epochs * self.steps_per_epoch
        generator = torch.Generator().manual_seed(recipe.seed)
        self.shape = recipe.lora.shape()
        top = {n: w for n, w in engine.wrapped.items() if int(n.split(".")[1]) >= self.shape.first_layer}
        self.factors = fresh_factors(top, self.shape, generator)
        self.head = engine.base_head.clone().requires_grad_()
        for name, (a, b) in self.factors.items():
            top[name].factors[_TRAINED] = (a.requires_grad_(), b.requires_grad_(), self.shape.scale)
        self.trained = [*parameters(self.factors), self.head]
        self.optimiser = torch.optim.AdamW(self.trained, lr=recipe.learning_rate, weight_decay=0.0)
        self.taken = 0

    def step(self, states: Sequence[Tensor], target: Tensor) -> float:
        """One update on hidden states (T_i, hidden) and labels (B,); returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * one_cycle(self.taken, self.steps)
        longest = max(len(s) for s in states)
        padded = torch.stack([F.pad(s, (0, 0, 0, longest - len(s))) for s in states])
        last = torch.tensor([len(s) - 1 for s in states])
        self.engine.select(_TRAINED)
        top = self.engine.run(padded, self.shape.first_layer, None)
        loss = F.cross_entropy(self.engine.read_out(top, last, self.head), target)
        self.engine.select(None)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.taken += 1
        return float(loss.detach())

    def save(self, path: Path, epochs_done: int) -> None:
        """Writes parameters and optimiser state, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for i, parameter in enumerate(self.trained):
            state = self.optimiser.state[parameter]
            tensors |= {
                f"{i}.value": parameter.detach(),
                f"{i}.mean": state["exp_avg"],
                f"{i}.square": state["exp_avg_sq"],
            }
        metadata = {"recipe": self.recipe.digest(), "base": self.engine.base.digest, "epochs": str(epochs_done)}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in tensors.items()}, path.with_suffix(".part"), metadata=metadata)
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> int:
        """Takes up a checkpoint of the same recipe and base; returns the number of whole epochs in it, else 0."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if (metadata.get("recipe"), metadata.get("base")) != (self.recipe.digest(), self.engine.base.digest):
                    return 0
                epochs = min(int(metadata["epochs"]), self.recipe.epochs)
                kept = [
                    [file.get_tensor(f"{i}.{part}") for part in ("value", "mean", "square")]
                    for i in range(len(self.trained))
                ]
        except (OSError, SafetensorError, ValueError, KeyError):
            return 0
        if any(t.shape != p.shape for p, three in zip(self.trained, kept, strict=True) for t in three):
            return 0
        self.taken = epochs * self.steps_per_epoch
        for parameter, (value, mean, square) in zip(self.trained, kept, strict=True):
            parameter.data.copy_(value)
            step = torch.tensor(float(self.taken))
            self.optimiser.state[parameter] = {"step": step, "exp_avg": mean, "exp_avg_sq": square}
        return epochs

    def detach(self) -> None:
        """Leaves the engine as it was found."""
        for linear in self.engine.wrapped.values():
            linear.factors.pop(_TRAINED, None)


def one_cycle(step: int, steps: int) -> float:
    """Share of the top learning rate at a step: up by cosine for 15 % of the run, then down to nothing."""
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / warm)) / 2
    return max(1e-4, (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2)


def _epoch_batches(lengths: Sequence[int], recipe: Recipe, epoch: int) -> Iterator[list[int]]:
    """Batches of one epoch: shuffled, sorted by length within pools of some batches, and shuffled again."""
    rng = random.Random(f"order/{recipe.seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = recipe.batch * _POOL
    pools = [sorted(order[i : i + size], key=lambda row: lengths[row]) for i in range(0, len(order), size)]
    found = [pool[i : i + recipe.batch] for pool in pools for i in range(0, len(pool), recipe.batch)]
    rng.shuffle(found)
    yield from found
