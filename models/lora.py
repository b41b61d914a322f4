"""Low-rank adapters on the linear layers of the top of a model, in PEFT's own folder format.

We hold the two factors per projection and variant ourselves, because several variants share one base in memory; what is
written is a standard PEFT folder, and `PeftModel` gives the same logits (tested).

Source: LoRA, arXiv:2106.09685; scaling alpha / r.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = {
    "qkv": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "o": ("self_attn", ("o_proj",)),
    "gate_up": ("mlp", ("gate_proj", "up_proj")),
    "down": ("mlp", ("down_proj",)),
}
"""Projections that read the same input and are computed as one product: group -> (block, projections)."""

Stacked = Mapping[tuple[int, str], tuple[Tensor, Tensor]]
"""(layer, group) -> A side by side (in, R) and B block by block, times the scale (R, outputs of the group)."""

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


def stacked(
    factors: Mapping[str, tuple[Tensor, Tensor]], scale: float, widths: Sequence[Mapping[str, int]], like: Tensor
) -> Stacked:
    """Factors by projection name, joined so that projections on one input take one product; differentiable.

    Args:
        factors: `layers.20.self_attn.q_proj` -> A (r, in), B (out, r), fp32.
        scale: alpha / r; goes into B.
        widths: Per layer, outputs of each projection by name: `Decoder.widths`.
        like: Any tensor of the dtype and on the device to compute with.
    """
    found: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
    for layer in sorted({int(name.split(".")[1]) for name in factors}):
        for group, (block, names) in GROUPS.items():
            parts = [factors.get(f"layers.{layer}.{block}.{name}") for name in names]
            held = [part for part in parts if part is not None]
            if not held:
                continue
            down = torch.cat([a for a, _ in held]).t()
            up = torch.block_diag(*[
                held[0][1].new_zeros(widths[layer][name], 0) if part is None else part[1]
                for name, part in zip(names, parts, strict=True)
            ]).t()  # fmt: skip
            # Contiguous as (R, in) and (out, R): the layout that the products read fastest.
            found[layer, group] = (down.to(like), (up * scale).to(like))
    return found


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
