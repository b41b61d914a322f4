"""Operations of a decoder layer whose backward pass is written by hand: fewer passes over memory, less kept for later.

Each is the plain formula where no gradient is wanted, and gives what autograd gives of it, up to rounding; tests hold both.
On the CPU a training step spends a quarter of its time outside the large products: autograd's backward of a norm reads and
writes its input ten times, that of `silu(gate) * up` seven times.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def low_rank_product(x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
    """x W^T + bias + x A B for a frozen W: gradients go to x and to the factors alone.

    Args:
        x: (N, in).
        weight: W, (out, in), frozen.
        bias: (out,) or None, frozen.
        down: A, (in, R), of the dtype of x.
        up: B times its scale, (R, out).
    """
    found: Tensor = _LowRankProduct.apply(x, weight, bias, down, up)
    return found


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x²) + eps) * weight over the last dimension, computed in fp32, in the dtype of x; `weight` is frozen."""
    if x.device.type != "cpu":
        return F.rms_norm(x.float(), x.shape[-1:], weight, eps).to(x.dtype)
    if not (torch.is_grad_enabled() and x.requires_grad):
        wide = x.float()
        return _scaled(wide, x, _inverse_length(wide, eps)).mul_(weight).to(x.dtype)
    found: Tensor = _RmsNorm.apply(x, weight, eps)
    return found


def silu_gated(joint: Tensor) -> Tensor:
    """silu(gate) * up for `joint` = gate and up side by side, (N, 2 F) -> (N, F)."""
    if not (torch.is_grad_enabled() and joint.requires_grad):
        gate, up = joint.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
    found: Tensor = _SiluGated.apply(joint)
    return found


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of (N, heads, width) by half cosines and sines (N, 1, width / 2), computed in their dtype,
    in the dtype of x."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return _turned(x, cos, sin, 1)
    found: Tensor = _Rotated.apply(x, cos, sin)
    return found


class _LowRankProduct(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
        low = x @ down
        ctx.save_for_backward(x, weight, low, down, up)
        found: Tensor = F.linear(x, weight, bias).addmm_(low, up)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, low, down, up = ctx.saved_tensors
        back = dy @ up.t()
        dx = (dy @ weight).addmm_(back, down.t()) if ctx.needs_input_grad[0] else None
        # (R, N) times (N, in) reads x as it lies; the other way round it would be turned first.
        return dx, None, None, (back.t() @ x).t(), low.t() @ dy


class _RmsNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        inverse = _inverse_length(wide, eps)
        ctx.save_for_backward(x, weight, inverse)
        return _scaled(wide, x, inverse).mul_(weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        wide, normed = dy.float(), x.float()
        turned, normed = _scaled(wide, dy, weight), _scaled(normed, x, inverse)
        along = torch.linalg.vecdot(turned, normed).div_(-x.shape[-1])[..., None]
        return turned.addcmul_(normed, along).mul_(inverse).to(x.dtype), None, None


class _SiluGated(Function):
    @staticmethod
    def forward(ctx: Any, joint: Tensor) -> Tensor:
        gate, up = joint.chunk(2, dim=-1)
        open_ = F.silu(gate)
        ctx.save_for_backward(joint, open_)
        return open_ * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> Tensor:
        joint, open_ = ctx.saved_tensors
        found = torch.empty_like(joint)
        gate, up = joint.chunk(2, dim=-1)
        to_gate, to_up = found.chunk(2, dim=-1)
        torch.mul(open_, dz, out=to_up)
        torch.ops.aten.silu_backward.grad_input(dz * up, gate, grad_input=to_gate)
        return found


class _Rotated(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(dy, cos, sin, -1), None, None  # a rotation's transpose turns back


def _inverse_length(wide: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x²) + eps) over the last dimension, kept; torch's own norm on the CPU writes all squares to memory."""
    length: Tensor = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return length.square_().div_(wide.shape[-1]).add_(eps).rsqrt_()


def _scaled(wide: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """`wide` x `factor`; in place where `wide` is a copy of `x` and not `x` itself."""
    return wide * factor if wide is x else wide.mul_(factor)


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    one, two = x.to(cos.dtype).chunk(2, dim=-1)
    found = torch.empty(x.shape, dtype=cos.dtype, device=x.device)
    first, second = found.chunk(2, dim=-1)
    torch.mul(one, cos, out=first)
    first.addcmul_(two, sin, value=-sign)
    torch.mul(two, cos, out=second)
    second.addcmul_(one, sin, value=sign)
    return found.to(x.dtype)
