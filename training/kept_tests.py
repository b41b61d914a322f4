"""Test rows that are measured again and again: the frozen layers see them once, each adapter only the layers above."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models.adapter import Adapter, load_adapter
from turncoat.models.engine import Engine
from turncoat.models.lora import stacked
from turncoat.models.rows import pack

from .corpus import Row
from .evaluate import margins_of
from .passes import passes
from .progress import OnProgress, Progress
from .trunk import Trunk
from .workshop import encode, shared_tokens


class KeptTests:
    """Measures adapters one after the other, as a sweep makes them; `Workshop.margins` measures several at once.

    Args:
        engine: Holds the base; its variants are left alone.
        sets: Rows by set.
        on_progress: Called while rows pass the layers.
    """

    def __init__(self, engine: Engine, sets: Mapping[str, Sequence[Row]], on_progress: OnProgress) -> None:
        self._engine, self._on_progress = engine, on_progress
        self._sizes = {name: len(rows) for name, rows in sets.items()}
        self._prompts = encode(engine, [row for rows in sets.values() for row in rows])
        self._prefix = shared_tokens(self._prompts)
        self._trunk = Trunk(engine, on_progress)
        self.seconds = {"trunk": 0.0, "measure": 0.0}
        """Wall time so far, by stage."""

    def margins(self, folder: Path) -> dict[str, list[float]]:
        """Margin (logit of malicious less benign) of every row under the adapter of a folder, by set.

        Raises:
            ModelError: No adapter there that fits the base.
        """
        engine = self._engine
        adapter = load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)
        started = time.perf_counter()
        states = self._trunk.states(self._prompts, adapter.shape.first_layer)
        passed = time.perf_counter()
        found = iter(margins_of(self._top(states, adapter)))
        self.seconds["trunk"] += passed - started
        self.seconds["measure"] += time.perf_counter() - passed
        return {name: [next(found) for _ in range(size)] for name, size in self._sizes.items()}

    def _top(self, states: Sequence[Tensor], adapter: Adapter) -> Tensor:
        """Logits (N, 2), fp32, from hidden states (T_i, hidden) before the adapter's first layer."""
        decoder = self._engine.decoder
        like = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
        factors = stacked(adapter.factors, adapter.shape.scale, decoder.widths, like)
        head = self._engine.base_head if adapter.head is None else adapter.head
        logits, done, started = torch.empty(len(states), 2), 0, time.perf_counter()
        first, stop = adapter.shape.first_layer, len(decoder.layers)

        def run(index: Sequence[int]) -> Tensor:
            packed, rows = pack([states[i] for i in index], self._prefix, decoder.device)
            with torch.inference_mode():
                last = decoder.run(packed, rows, first, stop, factors, trim=True)
                return F.linear(decoder.norm(last).float(), head.to(decoder.device)).cpu()

        for index, found in passes(decoder, [len(s) for s in states], run):
            logits[index] = found
            done += len(index)
            self._on_progress(Progress("measure", done, len(states), None, time.perf_counter() - started))
        return logits
