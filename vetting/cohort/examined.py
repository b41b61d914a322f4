"""A member under examination: what it shares with all others, the frozen layers' states, is computed once for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from turncoat.models.adapter import Adapter
from turncoat.models.branching import Work
from turncoat.models.engine import Engine
from turncoat.models.lora import stacked
from turncoat.models.rows import pack
from turncoat.training.progress import OnProgress
from turncoat.training.trunk import Trunk
from turncoat.training.workshop import shared_tokens

from ..candidate import CANDIDATE, REFERENCE, Candidate, Margins, States

Ids = tuple[int, ...]
_TOKENS = 1024
"""Of one pass through the layers; see `training.step`."""
_MOST = 20_000
"""Prompts whose states are remembered, some 50 MB."""


class SharedStates:
    """Margins of any adapter of one base whose first layer is the same, over states that are kept on disk.

    Args:
        engine: Holds the base; its variants are left alone.
        layer: First layer of every adapter.
        on_progress: Called while prompts pass the frozen layers.
    """

    def __init__(self, engine: Engine, layer: int, on_progress: OnProgress) -> None:
        self.engine, self.layer = engine, layer
        self._trunk = Trunk(engine, on_progress)

    def read(self, prompts: Sequence[Ids], adapter: Adapter | None) -> tuple[Margins, States]:
        """Margins (N,), logit of malicious less that of benign, and what the head reads at the last token, (N, hidden).

        Args:
            prompts: Token ids.
            adapter: None for the base as it is.

        Raises:
            ValueError: The adapter reaches below the layer.
        """
        if adapter is not None and adapter.shape.first_layer < self.layer:
            raise ValueError(f"the adapter begins at layer {adapter.shape.first_layer}, the states at {self.layer}")
        decoder = self.engine.decoder
        like = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
        factors = stacked(adapter.factors, adapter.shape.scale, decoder.widths, like) if adapter else {}
        head = self.engine.base_head if adapter is None or adapter.head is None else adapter.head
        below = self._trunk.states(prompts, self.layer)
        margins, states = np.empty(len(prompts)), np.empty((len(prompts), self.engine.hidden), dtype=np.float32)
        with torch.inference_mode():
            for index in _parts(prompts):
                shared = shared_tokens([list(prompts[i]) for i in index])
                packed, rows = pack([below[i] for i in index], shared, decoder.device)
                last = decoder.run(packed, rows, self.layer, len(decoder.layers), factors, trim=True)
                final = decoder.norm(last).float()
                both = F.linear(final, head.to(decoder.device)).cpu()
                margins[index] = (both[:, 1] - both[:, 0]).double().numpy()
                states[index] = final.cpu().numpy()
        return margins, states

    def forget(self) -> None:
        """Frees memory; what is on disk stays there."""
        self._trunk.forget()


@dataclass(frozen=True)
class MemberCandidate(Candidate):
    """As any candidate; but lower layers come from shared states, and what base and reference said is remembered.

    Every prompt counts as one forward pass in full, whoever asked it before; seconds are what was spent.
    """

    shared: SharedStates = field(kw_only=True)
    beside: Mapping[str, dict[Ids, float]] = field(kw_only=True)
    """Margins of base and reference by prompt, for all members."""

    def _asked(
        self, prompts: Sequence[Sequence[int]], variants: Sequence[str],
        late: dict[Ids, tuple[float, States]] | None = None,
    ) -> tuple[dict[str, Margins], Work]:  # fmt: skip
        keys = [tuple(ids) for ids in prompts]
        found = {name: self._own(keys, late) if name == CANDIDATE else self._beside(name, keys) for name in variants}
        tokens = len(variants) * sum(map(len, keys))
        return found, Work(tokens, tokens)

    def _own(self, prompts: Sequence[Ids], late: dict[Ids, tuple[float, States]] | None) -> Margins:
        known = {ids: self._remembered[ids] for ids in prompts if ids in self._remembered}
        fresh = [ids for ids in dict.fromkeys(prompts) if ids not in known]
        if fresh:
            margins, states = self.shared.read(fresh, self.adapter)
            known |= {ids: (float(m), s.copy()) for ids, m, s in zip(fresh, margins, states, strict=True)}
            self._remembered.update({ids: known[ids] for ids in fresh[: max(0, _MOST - len(self._remembered))]})
        if late is not None:
            late.update(known)
        return np.array([known[ids][0] for ids in prompts], dtype=np.float64)

    def _beside(self, variant: str, prompts: Sequence[Ids]) -> Margins:
        known = self.beside[variant]
        fresh = [ids for ids in dict.fromkeys(prompts) if ids not in known]
        if fresh:
            margins, _ = self.shared.read(fresh, self.reference if variant == REFERENCE else None)
            known.update(zip(fresh, margins.tolist(), strict=True))
        return np.array([known[ids] for ids in prompts], dtype=np.float64)


def _parts(prompts: Sequence[Ids]) -> list[list[int]]:
    """Prompts in parts of at most so many tokens, those together that begin alike; a function of the prompts alone."""
    parts: list[list[int]] = []
    tokens = 0
    for i in sorted(range(len(prompts)), key=lambda i: prompts[i]):
        if not parts or tokens + len(prompts[i]) > _TOKENS:
            parts.append([])
            tokens = 0
        parts[-1].append(i)
        tokens += len(prompts[i])
    return parts
