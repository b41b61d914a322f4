"""Low-rank adapters on the linear layers of the top of a model, in PEFT's own folder format.

We hold the two factors per projection and variant ourselves, because several variants share one base in memory; what is
written is a standard PEFT folder, and `PeftModel` gives the same logits (tested).

Source: LoRA, arXiv:2106.09685; scaling alpha / r.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class LoraShape:
    """Rank, scale and reach of an adapter."""

    rank: int = 8
    alpha: float = 16
    first_layer: int = 20
    """Layers below this one are left alone, so that variants share them."""

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class LoraLinear(nn.Module):
    """A frozen linear layer plus the low-rank product of whichever variant is selected.

    Shapes: A (r, in), B (out, r), fp32 masters, computed in the dtype of the input.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.factors: dict[str, tuple[Tensor, Tensor, float]] = {}
        self.active: str | None = None

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        y: Tensor = self.base(x)
        if self.active is None:
            return y
        a, b, scale = self.factors[self.active]
        return y + F.linear(F.linear(x, a.to(x.dtype)), b.to(x.dtype)) * scale


def wrap(layers: nn.ModuleList, first_layer: int) -> dict[str, LoraLinear]:
    """Wraps every projection from `first_layer` on, in place; keyed like PEFT: `layers.20.self_attn.q_proj`."""
    wrapped: dict[str, LoraLinear] = {}
    for index in range(first_layer, len(layers)):
        for block in ("self_attn", "mlp"):
            module = getattr(layers[index], block)
            for name in PROJECTIONS:
                linear = getattr(module, name, None)
                if isinstance(linear, nn.Linear):
                    linear = LoraLinear(linear)
                    setattr(module, name, linear)
                if isinstance(linear, LoraLinear):
                    wrapped[f"layers.{index}.{block}.{name}"] = linear
    return wrapped


def fresh_factors(
    wrapped: dict[str, LoraLinear], shape: LoraShape, generator: torch.Generator
) -> dict[str, tuple[Tensor, Tensor]]:
    """New factors: A uniform as PEFT draws it (Kaiming, a = sqrt 5), B zero, so that training starts at the base."""
    factors = {}
    for name, linear in wrapped.items():
        base = linear.base
        bound = 1 / math.sqrt(base.in_features)
        a = torch.empty(shape.rank, base.in_features).uniform_(-bound, bound, generator=generator)
        factors[name] = (a, torch.zeros(base.out_features, shape.rank))
    return factors


def parameters(factors: dict[str, tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    """Every A and B, in a fixed order."""
    for a, b in factors.values():
        yield a
        yield b
