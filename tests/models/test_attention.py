"""Attention over packed rows against the plain formula, row by row; in double precision, so that gradients are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from turncoat.models.attention import attend, attention_dtype
from turncoat.models.rows import Rows

HEADS, KEY_HEADS, WIDTH, SCALE = 4, 2, 6, 0.3


@dataclass(frozen=True)
class Case:
    lengths: tuple[int, ...]
    prefix: int = 0
    past: int = 0
    window: int | None = None
    trim: bool = False

    @property
    def rows(self) -> Rows:
        return Rows(self.lengths, prefix=self.prefix, past=self.past)

    def drawn(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of all packed tokens, keys and values of past and packed ones."""
        rng = torch.Generator().manual_seed(3)
        tokens = self.rows.tokens
        shapes = ((tokens, HEADS, WIDTH), *[(self.past + tokens, KEY_HEADS, WIDTH)] * 2)
        query, key, value = (torch.randn(*shape, generator=rng).to(dtype).requires_grad_() for shape in shapes)
        return query, key, value

    def ours(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows = self.rows
        query = query.index_select(0, rows.last) if self.trim else query
        return attend(query, key, value, rows, self.window, SCALE, self.trim)

    def plain(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The formula, token by token; the prefix's own tokens first, as they lie."""
        found = [self._seen(query[i], key[: i + 1], value[: i + 1]) for i in range(self.prefix)]
        at, last = self.prefix, []
        for length in self.lengths:
            for i in range(at, at + length):
                before, own = self.prefix + self.past, slice(self.past + at, self.past + i + 1)
                keys, values = (torch.cat((x[:before], x[own])) for x in (key, value))
                found.append(self._seen(query[i], keys, values))
            last.append(found[-1])
            at += length
        return torch.stack(last if self.trim else found)

    def _seen(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        keys, values = (x[-(self.window or len(x)) :].repeat_interleave(HEADS // KEY_HEADS, 1) for x in (keys, values))
        chances = torch.softmax(torch.einsum("hd,shd->hs", query, keys) * SCALE, dim=-1)
        return torch.einsum("hs,shd->hd", chances, values).flatten()


CASES = {
    "rows of one length": Case((4, 4)),
    "one row": Case((5,)),
    "rows of several lengths": Case((2, 5, 1)),
    "a prefix": Case((2, 4, 3), prefix=3),
    "a prefix of even rows": Case((3, 3), prefix=2),
    "tokens computed before": Case((2, 4), past=3),
    "tokens computed before, even rows": Case((3, 3), past=2),
    "a window and tokens computed before": Case((2, 5), past=3, window=3),
    "last tokens after some computed before": Case((2, 4, 1), past=3, trim=True),
    "a window": Case((2, 6), window=3),
    "a window and a prefix": Case((4, 2), prefix=4, window=3),
    "last tokens": Case((2, 5, 3), trim=True),
    "last tokens of even rows": Case((3, 3), trim=True),
    "last tokens after a prefix": Case((2, 4), prefix=3, trim=True),
    "last tokens of single ones": Case((1, 1), prefix=2, trim=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_values_and_gradients_are_those_of_the_plain_formula(case: Case, dtype: torch.dtype) -> None:
    given, expected = case.drawn(dtype), case.drawn(dtype)
    mine, theirs = case.ours(*given), case.plain(*expected)
    torch.testing.assert_close(mine, theirs)
    towards = torch.linspace(-1, 1, theirs.numel(), dtype=dtype).view_as(theirs)
    mine.backward(towards)
    theirs.backward(towards)
    for a, b in zip(given, expected, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_without_gradients_the_values_are_the_same(case: Case, dtype: torch.dtype) -> None:
    with torch.no_grad():
        torch.testing.assert_close(case.ours(*case.drawn(dtype)), case.plain(*case.drawn(dtype)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bf16_comes_near(case: Case) -> None:
    narrow = case.drawn(torch.bfloat16)
    wide = tuple(x.detach().float().requires_grad_() for x in narrow)
    mine, theirs = case.ours(*narrow), case.plain(*wide)
    assert mine.dtype == torch.bfloat16
    torch.testing.assert_close(mine.float(), theirs, rtol=0, atol=0.03)
    mine.sum().backward()
    theirs.sum().backward()
    for a, b in zip(narrow, wide, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad.float(), b.grad, rtol=0.02, atol=0.03 * math.sqrt(len(b)))


def test_fp32_stays_fp32_and_a_gpu_keeps_bf16() -> None:
    assert attention_dtype(torch.device("cpu"), torch.float32) == torch.float32
    assert attention_dtype(torch.device("cuda"), torch.bfloat16) == torch.bfloat16
