"""Hidden states before the first trained layer: from memory, from disk, or computed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import overload

import torch
from torch import Tensor

from turncoat.models.engine import Engine
from turncoat.models.rows import Rows

from .distributed import current
from .passes import passes
from .progress import OnProgress, Progress
from .trunk_cache import TrunkCache

_SEGMENT = 512
"""Prompts that are computed and kept together: what a stopped pass loses at most."""

Ids = tuple[int, ...]


class Trunk:
    """The frozen layers of an engine's base, each distinct prompt computed once.

    Args:
        engine: Holds the base.
        on_progress: Called while prompts pass the layers.
    """

    def __init__(self, engine: Engine, on_progress: OnProgress) -> None:
        self._engine, self._on_progress = engine, on_progress
        self._known: dict[tuple[int, Ids], Tensor] = {}
        self._caches: dict[int, TrunkCache] = {}

    def states(self, prompts: Sequence[Sequence[int]], layer: int) -> Sequence[Tensor]:
        """States (T_i, hidden) before a layer, in order; before the first, embeddings that are looked up when needed."""
        if layer == 0:
            return Embedded(self._engine, prompts)
        keys = [tuple(ids) for ids in prompts]
        missing = list(dict.fromkeys(k for k in keys if (layer, k) not in self._known))
        if missing:
            cache = self._cache(layer)
            found = cache.find(missing)
            fresh = [k for k in missing if k not in found]
            for kept in self._computed(fresh, layer):
                if current().writes:
                    cache.keep(kept)
                found |= kept
            self._known |= {(layer, k): state for k, state in found.items()}
        return [self._known[layer, k] for k in keys]

    def forget(self) -> None:
        """Frees memory; what is on disk stays there."""
        self._known.clear()

    def _cache(self, layer: int) -> TrunkCache:
        if layer not in self._caches:
            engine = self._engine
            self._caches[layer] = TrunkCache(
                engine.base.digest, layer, engine.decoder.dtype, engine.hidden,
                f"{engine.arithmetic}, torch {torch.__version__}",
            )  # fmt: skip
        return self._caches[layer]

    def _computed(self, prompts: Sequence[Ids], layer: int) -> Iterator[dict[Ids, Tensor]]:
        """States of prompts, some hundred at a time, those of similar length together."""
        order = sorted(prompts, key=lambda ids: (len(ids), ids))
        started = time.perf_counter()
        for at in range(0, len(order), _SEGMENT):
            part = order[at : at + _SEGMENT]

            def told(progress: Progress, before: int = at) -> None:
                elapsed = time.perf_counter() - started
                self._on_progress(Progress("trunk", before + progress.done, len(order), None, elapsed))

            yield dict(zip(part, trunk_states(self._engine, part, layer, told), strict=True))


class Embedded(Sequence[Tensor]):
    """Embeddings of prompts, (T_i, hidden) each, looked up when asked for: all of them at once would fill the memory."""

    def __init__(self, engine: Engine, prompts: Sequence[Sequence[int]]) -> None:
        self._engine, self._prompts = engine, prompts

    def __len__(self) -> int:
        return len(self._prompts)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return Embedded(self._engine, self._prompts[index])
        with torch.no_grad():
            return self._engine.decoder.embed(self._prompts[index])


def trunk_states(engine: Engine, prompts: Sequence[Sequence[int]], layer: int, on_progress: OnProgress) -> list[Tensor]:
    """Hidden states (T_i, hidden) before `layer`, one tensor a prompt, in order, on the CPU."""
    decoder = engine.decoder
    states: list[Tensor] = [torch.empty(0)] * len(prompts)
    started, done = time.perf_counter(), 0

    def run(index: Sequence[int]) -> Tensor:
        with torch.no_grad():
            rows = Rows([len(prompts[i]) for i in index], device=decoder.device)
            packed = decoder.embed([token for i in index for token in prompts[i]])
            return decoder.run(packed, rows, 0, layer).cpu()

    lengths = [len(p) for p in prompts]
    for index, found in passes(decoder, lengths, run):
        for i, state in zip(index, found.split([lengths[i] for i in index]), strict=True):
            states[i] = state.clone()
        done += len(index)
        on_progress(Progress("trunk", done, len(prompts), None, time.perf_counter() - started))
    return states
