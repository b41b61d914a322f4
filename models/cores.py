"""Parts of a computation side by side, a core each.

On the CPU a batch on one core and another beside it are done sooner than each in turn on all cores: a layer is some thirty
operations of a millisecond or less, and after each the cores would wait for the slowest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Found = TypeVar("Found")

_AHEAD = 2
"""Parts that are begun, or wait, for each that runs, while an earlier one is not taken yet."""


def width(device: torch.device) -> int:
    """How many parts run at once: torch's threads on the CPU, one on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def side_by_side(tasks: Iterable[Callable[[], Found]], abreast: int) -> Iterator[Found]:
    """What tasks return, in their order; `abreast` at once, which share torch's threads. Of one: one after another.

    Gradients and inference mode are a thread's own: a task sets them itself. What a task raises is raised here, and those
    that have not begun are dropped. One call at a time: a thread that meets torch for the first time during a call keeps a
    task's share of the threads.
    """
    if abreast < 2:
        yield from (task() for task in tasks)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(abreast)
    try:
        torch.set_num_threads(max(1, threads // abreast))  # threads begun from now on inherit it
        waiting: deque[Future[Found]] = deque()
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > _AHEAD * abreast:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            torch.set_num_threads(threads)
