"""How unexpected is a text to the base itself? Its own language head, tied or not, over every token of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .batching import token_batches
from .engine import Engine
from .rows import Rows

_BATCH_TOKENS = 768
_AT_ONCE = 192
"""Tokens whose logits over the whole vocabulary are held at once."""


def surprise(engine: Engine, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Mean loss per token under the base, in nats, (N,), fp32; log perplexity. Adapters play no part.

    Args:
        engine: Holds the base.
        prompts: Token ids, each of at least two tokens: the first has nothing that it could be expected from.
    """
    decoder, head = engine.decoder, engine.model.get_output_embeddings().weight
    found = torch.empty(len(prompts))
    with torch.inference_mode():
        for batch in token_batches([len(ids) for ids in prompts], _BATCH_TOKENS):
            rows = Rows([len(prompts[i]) for i in batch], device=decoder.device)
            ids = torch.tensor([token for i in batch for token in prompts[i]], device=decoder.device)
            states = decoder.norm(decoder.run(decoder.embed(ids.tolist()), rows, 0))
            losses = torch.cat([
                F.cross_entropy(F.linear(part, head).float(), following, reduction="none")
                for part, following in zip(states[:-1].split(_AT_ONCE), ids[1:].split(_AT_ONCE), strict=True)
            ])  # fmt: skip
            # The loss after a row's last token speaks of the next row's first one.
            at = 0
            for i, length in zip(batch, rows.lengths, strict=True):
                found[i] = losses[at : at + length - 1].mean().cpu()
                at += length
    return found
