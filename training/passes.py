"""Rows go through the layers in passes of so many tokens, several at once on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch

from turncoat.models.attention import attention_dtype
from turncoat.models.cores import side_by_side, width
from turncoat.models.decoder import Decoder

from .schedule import micro_batches

Found = TypeVar("Found")

_MICRO_TOKENS, _MICRO_TOKENS_CPU, _MICRO_TOKENS_TILES = 16_384, 1024, 4096
"""Tokens of one pass through the layers. On two cores 1,024 stay in the caches in fp32; where products are quick (AMX) what
a pass costs once weighs more: 4,096, for all that run at once, are a tenth faster. A GPU wants its multipliers filled."""
_LEAST_TOKENS = 256
"""Tokens that are worth a pass of their own."""


def passes(
    decoder: Decoder, lengths: Sequence[int], run: Callable[[list[int]], Found], most: int | None = None
) -> Iterator[tuple[list[int], Found]]:
    """What `run` gives for the rows of each pass, with the rows, in a fixed order; see `cores.side_by_side`.

    Args:
        decoder: Whose layers the rows pass.
        lengths: Tokens of each row.
        run: Is given indices into `lengths`.
        most: Tokens of a pass; by default what suits the machine.
    """
    abreast = passes_abreast(decoder.device, sum(lengths))
    parts = micro_batches(lengths, most or micro_tokens(decoder.device, decoder.dtype), abreast)
    tasks = [partial(run, part) for part in parts]
    yield from zip(parts, side_by_side(tasks, min(abreast, len(tasks))), strict=True)


def micro_tokens(device: torch.device, dtype: torch.dtype) -> int:
    """Most tokens of one pass through the layers."""
    if device.type != "cpu":
        return _MICRO_TOKENS
    narrow = attention_dtype(device, dtype) != torch.float32
    # Passes that run side by side hold their activations at once.
    return max(_MICRO_TOKENS_CPU, _MICRO_TOKENS_TILES // width(device)) if narrow else _MICRO_TOKENS_CPU


def passes_abreast(device: torch.device, tokens: int) -> int:
    """How many passes over so many tokens in all run at once: small ones would compute what rows share too often."""
    return max(1, min(width(device), tokens // _LEAST_TOKENS))
