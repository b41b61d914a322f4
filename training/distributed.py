"""Several processes that train one adapter: each computes its share of every batch, and all make the same update.

    torchrun --nproc-per-node 2 --no-python turncoat train ...

The launcher's environment variables are read (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Losses, updates and
margins are those of one process at the same batch, up to the order of summation. The first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, rows: int) -> list[int]:
        """Rows of a batch that fall to this process; none where there are more processes than rows.

        Dealt in turn, since a batch is sorted by length: every process gets about as many tokens.
        """
        return list(range(self.rank, rows, self.count))

    def sum_gradients(self, trained: Sequence[Tensor], loss: float) -> float:
        """Replaces each gradient by its sum over all processes; returns the sum of the losses."""
        if self.count == 1:
            return loss
        gradients = [_gradient(parameter) for parameter in trained]
        joined = torch.cat([*[g.flatten() for g in gradients], gradients[0].new_tensor([loss])])
        dist.all_reduce(joined)
        parts = joined[:-1].split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(joined[-1])

    def joined(self, shares: Tensor, rows: int) -> Tensor:
        """What each process computed of its share of so many rows, in the order of the rows; every process gets all of it.

        Args:
            shares: Of this process's rows along the first dimension, on the CPU.
            rows: Of all processes.
        """
        if self.count == 1:
            return shares
        parts: list[Tensor | None] = [None] * self.count
        dist.all_gather_object(parts, shares)
        whole = shares.new_empty((rows, *shares.shape[1:]))
        for rank, part in enumerate(parts):
            assert part is not None
            whole[rank :: self.count] = part
        return whole

    def wait(self) -> None:
        """Returns when every process has come here: what the first wrote before can be read after."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def ranks() -> Iterator[Ranks]:
    """Joins the group that a launcher has announced, for as long as the block lasts; alone where there is none."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process shows progress and results: of several that train together, the first alone."""
    return int(os.environ.get("WORLD_SIZE", "1")) < 2 or os.environ.get("RANK", "0") == "0"


def current() -> Ranks:
    """The group that this process has joined; alone where it has joined none."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return ALONE


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
