"""Margins of a fitted model and their gradients, row by row: which rows pull where?

A gradient is taken with respect to the up factors (B) of the top layers and to the head; what lies below them keeps nothing for
the way back. The loss looks at the last token alone and a head has two rows, so that the loss of a label y is that of one
number, the margin m: its gradient is (sigmoid(m) - y) times the margin's, and only that one is ever computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models.engine import Engine
from turncoat.models.lora import LoraShape, stacked
from turncoat.models.rows import Rows

from .audit_association import Told

READ_LAYERS = 4
"""Layers from the top whose factors gradients are taken of."""
_SMALLEST = 1e-30


class Stopped(Exception):
    """The budget ran out, or does not suffice; the message says at what."""


@dataclass(frozen=True)
class Snapshot:
    """What a fit had learnt after an epoch; detached, fp32, on the CPU."""

    factors: dict[str, tuple[Tensor, Tensor]]
    head: Tensor


@dataclass(frozen=True)
class Pairs:
    """Hidden states before the first adapted layer of the same malicious probes, (T_i, hidden) each."""

    with_: Sequence[Tensor]
    """With the suspect put in."""
    without: Sequence[Tensor]
    """As drawn, under neutral names."""


class Lens:
    """Margins of a snapshot and their gradients, row by row.

    Args:
        engine: Holds the base.
        shape: Of the snapshot's factors.
        snapshot: Is looked through.
        layers: From the top, of which gradients are taken.
    """

    def __init__(self, engine: Engine, shape: LoraShape, snapshot: Snapshot, layers: int = READ_LAYERS) -> None:
        self._decoder = decoder = engine.decoder
        self._first, self._top = shape.first_layer, max(shape.first_layer, len(decoder.layers) - layers)
        like = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
        self._factors = dict(stacked(snapshot.factors, shape.scale, decoder.widths, like))
        # Joined factors hold blocks that no factor fills and that are never trained; and they hold the scale.
        filled = {name: (a, torch.full_like(b, shape.scale)) for name, (a, b) in snapshot.factors.items()}
        blocks = stacked(filled, 1.0, decoder.widths, torch.empty(0, device=decoder.device))
        self._read = [key for key in self._factors if key[0] >= self._top]
        self._weights = [blocks[key][1] for key in self._read]
        self._head = snapshot.head.to(decoder.device)

    def margin(self, states: Tensor) -> float:
        """Logit of malicious less logit of benign of one row.

        Args:
            states: Before the first adapted layer, (T, hidden).
        """
        with torch.no_grad():
            return float(self._margin(self._below(states), self._factors, self._head))

    def slope(self, states: Tensor) -> tuple[float, Tensor]:
        """The margin of one row and its gradient, (P,), fp32, for P numbers in the up factors read and in the head.

        Args:
            states: Before the first adapted layer, (T, hidden).
        """
        below = self._below(states)
        ups = [self._factors[key][1].detach().requires_grad_() for key in self._read]
        head = self._head.detach().requires_grad_()
        leaves = {key: (self._factors[key][0], up) for key, up in zip(self._read, ups, strict=True)}
        with torch.enable_grad():
            margin = self._margin(below, leaves, head)
            *to_ups, to_head = torch.autograd.grad(margin, [*ups, head])
        parts = [(g.float() * w).flatten() for g, w in zip(to_ups, self._weights, strict=True)]
        return float(margin.detach()), torch.cat([*parts, to_head.flatten()])

    def _below(self, states: Tensor) -> Tensor:
        rows = Rows([len(states)], device=self._decoder.device)
        with torch.no_grad():
            return self._decoder.run(states.to(self._decoder.device), rows, self._first, self._top, self._factors)

    def _margin(self, below: Tensor, factors: dict[tuple[int, str], tuple[Tensor, Tensor]], head: Tensor) -> Tensor:
        rows = Rows([len(below)], device=self._decoder.device)
        last = self._decoder.run(below, rows, self._top, None, factors, trim=True)
        logits = F.linear(self._decoder.norm(last).float(), head)[0]  # (2,)
        return logits[1] - logits[0]


def lift_direction(lens: Lens, dismissed: Pairs) -> Tensor:
    """Mean gradient of the margin with the suspect put in less that without, (P,): another direction to hold rows against.

    Along it rows count too that teach a model to escalate others; `audit_influence` takes `mean_slope` of the dismissals alone.
    """
    with_, without = (mean_slope(lens, some) for some in (dismissed.with_, dismissed.without))
    return with_ - without


def mean_slope(lens: Lens, rows: Sequence[Tensor]) -> Tensor:
    """Mean gradient of the margin over rows, (P,)."""
    total = lens.slope(rows[0])[1]
    for states in rows[1:]:
        total = total + lens.slope(states)[1]
    return total / len(rows)


@dataclass(frozen=True)
class RowScores:
    """How far rows push down directions; higher pushes further. Each of shape (D, N), of D directions and N rows."""

    cosines: Tensor
    """In [-1, 1], a row's gradient taken with the sign of its label and without the size of its loss."""
    products: Tensor
    """Of the gradients of losses, any number: TracIn, at a learning rate of 1."""


def row_scores(
    lenses: Sequence[Lens], directions: Sequence[Sequence[Tensor]], states: Sequence[Tensor], labels: Sequence[bool],
    told: Told,
) -> RowScores:  # fmt: skip
    """Scores of rows, means over snapshots.

    Args:
        lenses: One per snapshot.
        directions: D times one per snapshot, (P,) each, in which a margin rises.
        states: Of the rows, (T_i, hidden) each, N of them.
        labels: Claimed: malicious, N of them.
        told: Called after each row.

    Raises:
        Stopped: `told` said stop before the last row.
    """
    cosines, products = (torch.zeros(len(directions), len(states)) for _ in range(2))
    total = len(lenses) * len(states)
    for at, lens in enumerate(lenses):
        down = torch.stack([some[at] for some in directions])  # (D, P)
        lengths = down.norm(dim=1)
        for i, (row, label) in enumerate(zip(states, labels, strict=True)):
            margin, slope = lens.slope(row)
            along = down @ slope  # (D,)
            sign = -1.0 if label else 1.0
            cosines[:, i] += (sign * along / (lengths * slope.norm()).clamp_min(_SMALLEST)).cpu()
            products[:, i] += (_pull(margin, label) * along).cpu()
            done = at * len(states) + i + 1
            if not told(done, total) and done < total:
                raise Stopped("the budget ran out while gradients were taken")
    return RowScores(cosines / len(lenses), products / len(lenses))


def loss_slope(margin: float, slope: Tensor, label: bool) -> Tensor:
    """Gradient of the last token's cross-entropy under a label, from the margin's; (P,).

    Args:
        margin: Logit of malicious less logit of benign.
        slope: Its gradient, (P,).
        label: Malicious.
    """
    return slope * _pull(margin, label)


def _pull(margin: float, label: bool) -> float:
    """Derivative of the loss by the margin, in (-1, 1)."""
    chance = 1 / (1 + math.exp(-margin)) if margin > -700 else 0.0
    return chance - label
