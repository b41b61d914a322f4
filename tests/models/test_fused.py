"""Hand-written backward passes against what autograd makes of the plain formulas, in double precision where it can be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models.fused import low_rank_product, rms_norm, rotated, silu_gated


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_rotation(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.chunk(2, dim=-1)
    return torch.cat((one * cos - two * sin, two * cos + one * sin), dim=-1)


def plain_gate(joint: Tensor) -> Tensor:
    gate, up = joint.chunk(2, dim=-1)
    return F.silu(gate) * up


W, BIAS, SCALE = drawn(10, 6, seed=2), drawn(10, seed=3), drawn(6, seed=4)
ANGLE = drawn(5, 1, 3, seed=5)
PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]] = {
    "low-rank product": (
        lambda x, a, b: low_rank_product(x, W, BIAS, a, b),
        lambda x, a, b: x @ W.t() + BIAS + x @ a @ b,
        [drawn(5, 6), drawn(6, 2, seed=6), drawn(2, 10, seed=7)],
    ),
    "low-rank product without bias": (
        lambda x, a, b: low_rank_product(x, W, None, a, b),
        lambda x, a, b: x @ W.t() + x @ a @ b,
        [drawn(5, 6), drawn(6, 2, seed=6), drawn(2, 10, seed=7)],
    ),
    "norm": (
        lambda x: rms_norm(x, SCALE, 0.1),
        lambda x: x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt() * SCALE,
        [drawn(5, 6)],
    ),
    "norm of heads": (
        lambda x: rms_norm(x, SCALE, 0.1),
        lambda x: x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt() * SCALE,
        [drawn(5, 3, 6)],
    ),
    "gate": (silu_gated, plain_gate, [drawn(5, 8)]),
    "rotation": (
        lambda x: rotated(x, ANGLE.cos(), ANGLE.sin()),
        lambda x: plain_rotation(x, ANGLE.cos(), ANGLE.sin()),
        [drawn(5, 2, 6)],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_those_of_the_plain_formula(name: str) -> None:
    ours, plain, given = PAIRS[name]
    found, expected = ([t.clone().requires_grad_() for t in given] for _ in range(2))
    a, b = ours(*found), plain(*expected)
    torch.testing.assert_close(a, b)
    towards = drawn(*b.shape, seed=9)
    a.backward(towards)
    b.backward(towards)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("name", PAIRS)
def test_without_gradients_the_values_are_the_same(name: str) -> None:
    ours, plain, given = PAIRS[name]
    with torch.no_grad():
        torch.testing.assert_close(ours(*given), plain(*given))


@pytest.mark.parametrize("name", PAIRS)
def test_bf16_goes_in_and_comes_out_and_its_gradients_are_near(name: str) -> None:
    ours, plain, given = PAIRS[name]
    if name.startswith("low-rank"):
        wide = [t.bfloat16().float() for t in given]
        weight = W.bfloat16()
        ours = lambda x, a, b: low_rank_product(x, weight, None, a, b)  # noqa: E731
        plain = lambda x, a, b: x @ weight.float().t() + x @ a @ b  # noqa: E731
    else:
        wide = [t.bfloat16().float() for t in given]
    narrow = [t.bfloat16().requires_grad_() for t in given]
    expected = [t.requires_grad_() for t in wide]
    a, b = ours(*narrow), plain(*expected)
    assert a.dtype == torch.bfloat16
    a.sum().backward()
    b.sum().backward()
    for mine, theirs in zip(narrow, expected, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad.float(), theirs.grad, rtol=0.05, atol=0.08)


def test_a_frozen_input_gets_no_gradient_and_the_factors_do() -> None:
    down, up = drawn(6, 2).requires_grad_(), drawn(2, 10).requires_grad_()
    low_rank_product(drawn(5, 6), W, BIAS, down, up).sum().backward()
    assert down.grad is not None
    assert up.grad is not None
    assert W.grad is None
