"""One training run's parameters, and how a batch of rows updates them.

A batch goes through the layers in parts of some thousand tokens, packed, and their gradients are summed. What all rows begin
with is computed once a part, the last layer for the final tokens alone, and the loss looks at nothing else (the collator of
arXiv:2511.02600).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from turncoat.models.engine import Engine
from turncoat.models.lora import Stacked, fresh_factors, parameters, stacked, wrap
from turncoat.models.rows import pack

from .config import Recipe
from .distributed import ALONE, Ranks
from .passes import passes
from .schedule import one_cycle


class Trainee:
    """Parameters, optimiser and schedule of one training run.

    Args:
        engine: Holds the base, which stays as it is.
        recipe: Learning rate, epochs, batch, shape, seed.
        rows: Number of rows of an epoch.
        prefix: Tokens that all rows begin with.
        ranks: The processes that share each batch.
        recompute: Trades time for memory: activations inside a layer are computed again in the backward pass.
    """

    def __init__(
        self, engine: Engine, recipe: Recipe, rows: int, *, prefix: int = 0, ranks: Ranks = ALONE, recompute: bool = False
    ) -> None:  # fmt: skip
        self.decoder, self.recipe, self.ranks = engine.decoder, recipe, ranks
        self.prefix, self.recompute, self.shape = prefix, recompute, recipe.lora.shape()
        self.steps_per_epoch = math.ceil(rows / recipe.batch)
        self.steps = recipe.epochs * self.steps_per_epoch
        self.micro_tokens: int | None = None
        """Most tokens of a pass through the layers; None: what suits the machine."""
        generator = torch.Generator().manual_seed(recipe.seed)
        fresh = fresh_factors(wrap(engine.layers, self.shape.first_layer), self.shape, generator)
        self.factors = {name: (self._own(a), self._own(b)) for name, (a, b) in fresh.items()}
        self.head = self._own(engine.base_head)
        self.trained = [*parameters(self.factors), self.head]
        self.optimiser = torch.optim.AdamW(self.trained, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
        self.taken = 0

    def step(self, states: Sequence[Tensor], target: Tensor) -> float:
        """One update; every process is given the whole batch and computes its share.

        Args:
            states: Hidden states before the first trained layer, one (T_i, hidden) a row.
            target: Labels, (B,), 1 for malicious.

        Returns:
            Mean loss of the batch, before the update.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * one_cycle(self.taken, self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(states, target)
        loss = self.ranks.sum_gradients(self.trained, loss)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.taken += 1
        return loss

    def result(self) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
        """Factors by projection and the head, (2, hidden), detached, fp32, on the CPU."""
        kept = {name: (a.detach().cpu(), b.detach().cpu()) for name, (a, b) in self.factors.items()}
        return kept, self.head.detach().cpu()

    def _backward(self, states: Sequence[Tensor], target: Tensor) -> float:
        """Leaves the gradient of this process's share of the mean loss with the parameters; returns that share."""
        decoder, like = self.decoder, torch.empty(0, dtype=self.decoder.dtype, device=self.decoder.device)
        joined = stacked(self.factors, self.shape.scale, decoder.widths, like)
        # The parts of the batch stop at these leaves; what they leave there goes on to the masters once.
        leaves = {key: (a.detach().requires_grad_(), b.detach().requires_grad_()) for key, (a, b) in joined.items()}
        flat = [leaf for pair in leaves.values() for leaf in pair]
        sums = [torch.zeros_like(leaf, dtype=torch.float32) for leaf in flat]
        head = self.head.detach().requires_grad_()
        sums.append(torch.zeros_like(head))
        total, mine = 0.0, self.ranks.share(len(states))

        def run(part: list[int]) -> tuple[float, tuple[Tensor | None, ...]]:
            return self._part(states, target, [mine[i] for i in part], leaves, head)

        for _, (loss, gradients) in passes(decoder, [len(states[i]) for i in mine], run, self.micro_tokens):
            total += loss
            for gradient, part in zip(sums, gradients, strict=True):
                if part is not None:
                    gradient.add_(part)
        self.head.grad = sums.pop()
        outputs = [tensor for pair in joined.values() for tensor in pair]
        torch.autograd.backward(outputs, [g.to(out.dtype) for g, out in zip(sums, outputs, strict=True)])
        return total

    def _part(
        self, states: Sequence[Tensor], target: Tensor, index: Sequence[int], leaves: Stacked, head: Tensor
    ) -> tuple[float, tuple[Tensor | None, ...]]:
        """Of some rows of a batch: their share of its mean loss, and the gradients of factors and head."""
        logits = F.linear(self._final([states[i] for i in index], leaves).float(), head)
        loss = F.cross_entropy(logits, target[index].to(logits.device), reduction="sum") / len(states)
        flat = [leaf for pair in leaves.values() for leaf in pair]
        return float(loss.detach()), torch.autograd.grad(loss, [*flat, head], allow_unused=True)

    def _final(self, states: Sequence[Tensor], factors: Stacked) -> Tensor:
        """Normed hidden states at the rows' last tokens, (B, hidden)."""
        packed, rows = pack(states, self.prefix, self.decoder.device)
        start, stop = self.shape.first_layer, len(self.decoder.layers)
        if not self.recompute:
            return self.decoder.norm(self.decoder.run(packed, rows, start, stop, factors, trim=True))
        for layer in range(start, stop):
            packed = recomputed(
                self.decoder.run, packed, rows, layer, layer + 1, factors, trim=layer == stop - 1, use_reentrant=False
            )
        return self.decoder.norm(packed)

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor.detach().clone().to(self.decoder.device).requires_grad_()
