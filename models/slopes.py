"""Which way would a token have to change for the margin to fall? Gradients with respect to the embeddings of prompts.

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
    decoder, variant = engine.decoder, engine.variant(name)
    rows = Rows([len(ids) for ids in prompts], device=decoder.device)
    with torch.enable_grad():
        packed = decoder.embed([token for ids in prompts for token in ids]).detach().requires_grad_()
        states = decoder.run(packed, rows, 0, variant.first_layer)
        last = decoder.run(states, rows, variant.first_layer, None, variant.factors, trim=True)
        margins = decoder.norm(last).float() @ (variant.head[1] - variant.head[0])
        (slope,) = torch.autograd.grad(margins.sum(), packed)
    return margins.detach().cpu(), list(slope.float().cpu().split(rows.lengths))
