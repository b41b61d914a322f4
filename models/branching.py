"""One trunk, many variants: what variants leave alone runs once, and each continues from where it differs.

A variant is the base up to its first adapted layer. Whatever mix of variants a batch asks for, the base runs upwards once,
carrying only the prompts that somebody above still needs; at each variant's first layer the prompts that it was asked about
branch off. Keys and values of tokens computed before are kept per branch, for the prompts that continue them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .decoder import Decoder, KeysValues
from .lora import Stacked
from .rows import Rows

TRUNK = None
"""The base's own branch."""


@dataclass(frozen=True)
class Variant:
    """What the layers of a variant are."""

    head: Tensor
    """(2, hidden), fp32."""
    first_layer: int
    """Layers below are those of the base."""
    factors: Stacked = field(default_factory=dict)


@dataclass
class Past:
    """Tokens that were computed before: keys and values of each branch, from its first layer on."""

    tokens: int = 0
    branches: dict[str | None, list[KeysValues]] = field(default_factory=dict)

    def of(self, branch: str | None, start: int, stop: int | None = None) -> list[KeysValues]:
        """Layers [start, stop) of a branch, counted from its first."""
        return self.branches[branch][start:stop] if self.tokens else []


@dataclass
class Work:
    """Tokens computed, and tokens of the same prompts computed in full, each variant counted."""

    computed: float = 0
    """A token that passed a third of the layers counts as a third."""
    full: int = 0

    @property
    def saved(self) -> float:
        """Share of the work that was spared, in [0, 1)."""
        return 1 - self.computed / self.full if self.full else 0.0


def branch(
    decoder: Decoder, variants: Mapping[str, Variant], states: Tensor, rows: Rows, wanted: Sequence[Sequence[str]],
    past: Past, work: Work, kept: Past | None = None,
) -> Iterator[tuple[str, list[int], Tensor]]:  # fmt: skip
    """Takes packed embeddings through the layers of every variant that is wanted.

    Args:
        decoder: The base.
        variants: By name.
        states: (N, hidden).
        rows: Their layout; its past is that of `past`.
        wanted: Names of variants, per row.
        past: Tokens that all rows continue.
        work: Is added to.
        kept: Receives the keys and values of past and rows together.

    Yields:
        Variant, its rows, and their last tokens' hidden states before the final norm, (rows, hidden).
    """
    levels = sorted({variants[name].first_layer for names in wanted for name in names})
    inside, at = list(range(len(wanted))), 0
    for level in levels:
        needed = [i for i, row in enumerate(inside) if any(variants[n].first_layer >= level for n in wanted[row])]
        if len(needed) < len(inside):
            states, rows, inside = _only(states, rows, needed), rows.of(needed), [inside[i] for i in needed]
        top = level == len(decoder.layers)
        states = decoder.run(states, rows, at, level, trim=top, past=past.of(TRUNK, at, level),
                             kept=None if kept is None else kept.branches.setdefault(TRUNK, []))  # fmt: skip
        work.computed += rows.tokens * (level - at) / len(decoder.layers)
        at = level
        for name in sorted({n for row in inside for n in wanted[row] if variants[n].first_layer == level}):
            mine = [i for i, row in enumerate(inside) if name in wanted[row]]
            everyone = len(mine) == len(inside)
            if top:
                yield name, [inside[i] for i in mine], states if everyone else states[mine]
                continue
            own, own_rows = (states, rows) if everyone else (_only(states, rows, mine), rows.of(mine))
            last = decoder.run(own, own_rows, level, None, variants[name].factors, trim=True, past=past.of(name, 0),
                               kept=None if kept is None else kept.branches.setdefault(name, []))  # fmt: skip
            work.computed += own_rows.tokens * (len(decoder.layers) - level) / len(decoder.layers)
            yield name, [inside[i] for i in mine], last


def _only(states: Tensor, rows: Rows, chosen: Sequence[int]) -> Tensor:
    return states.index_select(0, rows.tokens_of(chosen))
