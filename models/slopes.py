"""Gradients with respect to the embeddings of prompts: which way would a token have to change for the margin to fall?

Source: the first-order estimate of HotFlip, arXiv:1712.06751: the margin under another token is about the margin now plus
the gradient times the difference of the two embeddings.
Limits: first order; what it proposes has to be tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .engine import Engine
from .rows import Rows


def margin_slopes(engine: Engine, name: str, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, list[Tensor]]:
    """Margins under a variant and their gradients.

    Args:
        engine: Knows the variant.
        name: Given to `Engine.add`.
        prompts: Token ids, a batch that fits in memory together: everything between is kept for the way back.

    Returns:
        Logit of malicious less logit of benign, (B,), and for each prompt its gradient with respect to the embeddings of
        its tokens, (T_i, hidden); fp32, on the CPU.
    """
    rows = Rows([len(ids) for ids in prompts], device=engine.decoder.device)
    with torch.enable_grad():
        packed = engine.decoder.embed([token for ids in prompts for token in ids]).detach().requires_grad_()
        margins = _margins(engine, name, packed, rows)
        (slope,) = torch.autograd.grad(margins.sum(), packed)
    return margins.detach().cpu(), list(slope.float().cpu().split(rows.lengths))


def soft_margins(engine: Engine, name: str, prompts: Sequence[Sequence[int]], vector: Tensor, at: int) -> Tensor:
    """Margins of prompts into which a token is put that no vocabulary holds, (B,), fp32; gradients flow into `vector`.

    Args:
        engine: Knows the variant.
        name: Given to `Engine.add`.
        prompts: Token ids, each of at least `at` and at least one.
        vector: The token's embedding, (hidden,).
        at: Tokens of the prompt that stand before it.
    """
    decoder = engine.decoder
    rows = Rows([len(ids) + 1 for ids in prompts], device=decoder.device)
    soft = vector.to(decoder.device, decoder.dtype)[None]
    embedded = [decoder.embed(ids) for ids in prompts]
    parts = [part for states in embedded for part in (states[:at], soft, states[at:])]
    return _margins(engine, name, torch.cat(parts), rows).cpu()


def _margins(engine: Engine, name: str, packed: Tensor, rows: Rows) -> Tensor:
    decoder, variant = engine.decoder, engine.variant(name)
    states = decoder.run(packed, rows, 0, variant.first_layer)
    last = decoder.run(states, rows, variant.first_layer, None, variant.factors, trim=True)
    return decoder.norm(last).float() @ (variant.head[1] - variant.head[0])
