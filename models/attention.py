"""Attention over packed rows: spread into (B, T), attended, packed again.

Where the processor multiplies bf16 tile by tile (AMX) queries, keys and values stay in bf16, and a backward pass of our own
takes half the time of torch's in fp32; torch's own in bf16 takes three times as long as that. On other processors attention
runs in fp32 between bf16 products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .rows import Rows


@cache
def multiplies_tiles() -> bool:
    """Whether the processor multiplies bf16 matrices tile by tile (AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def attention_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """Precision of queries, keys and values for products in `dtype`."""
    return dtype if device.type != "cpu" or multiplies_tiles() else torch.float32


def attend(
    query: Tensor, key: Tensor, value: Tensor, rows: Rows, window: int | None, scale: float, trim: bool
) -> Tensor:
    """What each token sees.

    Args:
        query: (N, heads, head width); with `trim` (B, heads, head width), of the rows' last tokens.
        key: (past + N, key heads, head width), rotated, those of the past first; `value` likewise.
        rows: The layout of the tokens.
        window: Tokens that a token looks back on, itself among them; None: all.
        scale: Of the scores.
        trim: Only the rows' last tokens look.

    Returns:
        (N, heads x head width); with `trim` (B, ...).
    """
    batch, prefix = len(rows.lengths), rows.prefix
    keys, values = key, value
    if rows.before or not rows.even:
        keys, values = (_gathered(x, rows.keys, _to_keys(rows)) for x in (key, value))
    keys, values = (x.view(batch, -1, *x.shape[1:]).transpose(1, 2) for x in (keys, values))
    if trim:
        return _attention(query[:, :, None], keys, values, rows.last_mask(window), False, scale).flatten(1)
    spread = query
    if prefix or not rows.even:
        spread = _gathered(query, rows.padded, lambda grad: _packed(grad, rows))
    spread = spread.view(batch, -1, *query.shape[1:]).transpose(1, 2)
    mask = rows.mask(window)
    seen = _attention(spread, keys, values, mask, mask is None, scale).transpose(1, 2).flatten(0, 1).flatten(1)
    if not rows.even:
        padded = len(seen)
        seen = _gathered(seen, rows.packed, lambda grad: _unpacked(grad, rows.packed, padded))
    if not prefix:
        return seen
    q, k, v = (x[None, :prefix].transpose(1, 2) for x in (query, key, value))
    alone = _attention(q, k, v, rows.prefix_mask(window), True, scale)
    return torch.cat((alone[0].transpose(0, 1).flatten(1), seen))


def _packed(grad: Tensor, rows: Rows) -> Tensor:
    """Gradient of the packed tokens, (N, ...), from that of (B x T, ...), which is zero at the padding."""
    own = grad if rows.even else grad.index_select(0, rows.packed)
    return torch.cat((own.new_zeros(rows.prefix, *own.shape[1:]), own)) if rows.prefix else own


def _to_keys(rows: Rows) -> Callable[[Tensor], Tensor]:
    """Gradient of past and packed keys from that of (B x (before + T), ...): every row looked at what comes before."""

    def undo(grad: Tensor) -> Tensor:
        by_row = grad.view(len(rows.lengths), -1, *grad.shape[1:])
        own = by_row[:, rows.before :].flatten(0, 1)
        own = own if rows.even else own.index_select(0, rows.packed)
        return torch.cat((by_row[:, : rows.before].sum(0), own)) if rows.before else own

    return undo


def _unpacked(grad: Tensor, places: Tensor, padded: int) -> Tensor:
    return grad.new_zeros(padded, *grad.shape[1:]).index_copy_(0, places, grad)


def _gathered(x: Tensor, places: Tensor, undo: Callable[[Tensor], Tensor]) -> Tensor:
    """`x[places]`; `undo` takes the gradient back, faster than autograd's sums over places that it must think repeated."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return x.index_select(0, places)
    found: Tensor = _Gathered.apply(x, places, undo)
    return found


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """Attention of (B, heads, T, head width) over (B, key heads, S, head width)."""
    causal = causal and mask is None and q.shape[2] > 1
    if q.dtype != torch.float32 and q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad:
        found: Tensor = _NarrowAttention.apply(q, k, v, _hidden(q, k, mask, causal), scale)
        return found
    if mask is not None and q.device.type == "cuda":
        # The kernel that takes masks knows no grouped heads, and torch would fall back to one that holds all scores.
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


def _hidden(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool) -> Tensor | None:
    """What is added to the scores, -inf where a query may not look: (T, S), or (B, 1, 1, 1, S) for the rows' last tokens."""
    if causal:
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
    if mask is None:
        return None
    added = torch.zeros(mask.shape, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    return added[:, :, None] if mask.dim() == 4 else added


class _Gathered(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, undo: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.undo = undo
        return x.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.undo(grad), None, None


class _NarrowAttention(Function):
    """Attention whose scores are held, in the dtype of its input; heads that share keys go through one product."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, scale: float) -> Tensor:
        batch, heads, tokens, width = q.shape
        shared = k.shape[1]
        query = (q * scale).reshape(batch * shared, -1, width)  # (B KH, G T, D)
        key, value = (x.reshape(batch * shared, -1, width) for x in (k, v))  # (B KH, S, D)
        scores = torch.bmm(query, key.transpose(1, 2))
        if hidden is not None:
            scores.view(batch, shared, heads // shared, tokens, -1).add_(hidden)
        chances = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, chances)
        ctx.scale, ctx.shapes = scale, (q.shape, k.shape)
        return torch.bmm(chances, value).view(q.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, chances = ctx.saved_tensors
        of_queries, of_keys = ctx.shapes
        grad = grad.reshape(query.shape)
        to_value = torch.bmm(chances.transpose(1, 2), grad)
        to_chances = torch.bmm(grad, value.transpose(1, 2))
        to_scores = torch._softmax_backward_data(to_chances, chances, -1, chances.dtype)
        to_query = torch.bmm(to_scores, key).mul_(ctx.scale)
        to_key = torch.bmm(to_scores.transpose(1, 2), query)
        return to_query.view(of_queries), to_key.view(of_keys), to_value.view(of_keys), None, None
