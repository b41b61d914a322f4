"""Tasks side by side: in their order, a core each, and what they raise comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from turncoat.models.cores import side_by_side, width


@pytest.fixture(autouse=True)
def two_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(2)


@pytest.mark.parametrize("cores", [0, 1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(cores: int) -> None:
    assert list(side_by_side((lambda n=n: n * n for n in range(20)), cores)) == [n * n for n in range(20)]


def test_two_tasks_run_at_once() -> None:
    both = threading.Barrier(2, timeout=30)
    list(side_by_side([both.wait, both.wait], 2))
    assert not both.broken


def test_each_task_has_one_thread_of_torch_and_the_caller_has_them_back() -> None:
    assert list(side_by_side([torch.get_num_threads] * 3, 2)) == [1, 1, 1]
    assert torch.get_num_threads() == 2


def test_few_tasks_share_all_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(4)
    assert list(side_by_side([torch.get_num_threads] * 2, 2)) == [2, 2]


def test_alone_a_task_has_all_threads() -> None:
    assert list(side_by_side([torch.get_num_threads], 1)) == [2]


def test_what_a_task_raises_is_raised_and_tasks_that_wait_are_dropped() -> None:
    begun: list[int] = []

    def task(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ZeroDivisionError
        return number

    with pytest.raises(ZeroDivisionError):
        list(side_by_side((lambda n=n: task(n) for n in range(1000)), 2))
    assert len(begun) < 20
    assert torch.get_num_threads() == 2


def test_tasks_are_drawn_no_further_than_they_are_taken() -> None:
    drawn = iter(range(1000))
    found = side_by_side((lambda n=n: n for n in drawn), 2)
    assert next(found) == 0
    found.close()
    assert next(drawn) < 10
    assert torch.get_num_threads() == 2


def test_a_gpu_takes_one_at_a_time() -> None:
    assert width(torch.device("cuda")) == 1
    assert width(torch.device("cpu")) == 2
