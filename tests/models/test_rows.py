"""Rows packed behind what they begin with."""

from __future__ import annotations

import pytest
import torch

from turncoat.models.rows import pack

CPU = torch.device("cpu")
BEGIN = torch.arange(6.0).reshape(3, 2)


def row(*own: float) -> torch.Tensor:
    return torch.cat((BEGIN, torch.tensor(own).repeat_interleave(2).reshape(-1, 2)))


def test_what_rows_begin_with_is_packed_once() -> None:
    packed, rows = pack([row(7.0), row(8.0, 9.0)], 3, CPU)
    assert (rows.prefix, rows.lengths, rows.tokens) == (3, (1, 2), 6)
    torch.testing.assert_close(packed, torch.cat((BEGIN, row(7.0)[3:], row(8.0, 9.0)[3:])))


@pytest.mark.parametrize(("own", "lengths"), [([(), (8.0,)], (1, 2)), ([(), ()], (1, 1))])
def test_every_row_keeps_a_token_of_its_own(own: list[tuple[float, ...]], lengths: tuple[int, ...]) -> None:
    packed, rows = pack([row(*one) for one in own], 3, CPU)
    assert (rows.prefix, rows.lengths, len(packed)) == (2, lengths, 2 + sum(lengths))


def test_a_row_alone_is_packed_whole() -> None:
    packed, rows = pack([row(7.0)], 3, CPU)
    assert (rows.prefix, rows.lengths) == (0, (4,))
    torch.testing.assert_close(packed, row(7.0))
