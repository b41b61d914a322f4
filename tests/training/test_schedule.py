"""Parts of a batch: every row once, within the budget, rows of similar length together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turncoat.training.schedule import micro_batches


def test_a_batch_within_the_budget_stays_whole() -> None:
    assert micro_batches([5, 3, 4], 12) == [[1, 2, 0]]


def test_a_batch_beyond_it_falls_into_parts_of_about_equal_tokens() -> None:
    assert micro_batches([10] * 6, 40) == [[0, 1, 2], [3, 4, 5]]


def test_a_row_longer_than_the_budget_goes_alone() -> None:
    assert micro_batches([3, 50, 3], 10) == [[0, 2], [1]]


@pytest.mark.parametrize(("budget", "least", "parts"), [(100, 2, 2), (31, 2, 2), (29, 2, 4), (100, 3, 3), (12, 3, 6)])
def test_parts_are_a_multiple_of_what_is_computed_at_once(budget: int, least: int, parts: int) -> None:
    assert len(micro_batches([5] * 12, budget, least)) == parts


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 200))
def test_every_row_is_in_one_part_and_no_part_of_several_rows_is_too_large(lengths: list[int], budget: int) -> None:
    parts = micro_batches(lengths, budget)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or sum(lengths[i] for i in part) <= budget for part in parts)
    assert all(part for part in parts)
