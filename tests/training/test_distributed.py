"""Two processes on the loopback train what one process trains."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as processes

from turncoat.models.base_folder import open_base_folder
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.scenarios.families import training_families
from turncoat.training.config import Recipe
from turncoat.training.corpus import RowSource, draw_rows
from turncoat.training.distributed import ALONE, Ranks, current, ranks, speaks
from turncoat.training.finetune import Trained, finetune
from turncoat.training.progress import Progress
from turncoat.training.trunk import trunk_states
from turncoat.training.workshop import Workshop

# 19 rows in batches of 6: the last batch is a single row, so that one of two processes has none of it.
RECIPE = Recipe(
    name="toy", rows=19, epochs=2, batch=6, learning_rate=2e-2, lora={"rank": 2, "alpha": 4, "first_layer": 2}
)


def train(base: BaseFolder, checkpoint: Path) -> tuple[Trained, list[float]]:
    engine = Engine(base)
    engine.model.float()
    rng = random.Random(3)
    prompts = [[rng.randrange(100, 250) for _ in range(rng.randint(3, 12))] for _ in range(19)]
    states = trunk_states(engine, prompts, 2, lambda progress: None)
    losses: list[float] = []

    def told(progress: Progress) -> None:
        assert progress.loss is not None
        losses.append(progress.loss)

    return finetune(engine, states, [len(p) % 2 == 0 for p in prompts], RECIPE, checkpoint, told), losses


def measured(base: Path) -> list[float]:
    """Margins of seven rows under the base as it is, of which two processes measure four and three."""
    source = RowSource((101,), training_families(), 5)
    workshop = Workshop(str(base), lambda progress: None)
    return workshop.margins({"baseline": None}, {"some": list(draw_rows(source, 7))})["baseline"]["some"]


def one_of_two(rank: int, folder: Path, base: Path, environment: dict[str, str]) -> None:
    import os

    os.environ |= environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    with ranks() as group:
        assert (group.rank, group.count, current()) == (rank, 2, group)
        rows = torch.arange(10.0).view(5, 2)  # 3 of them fall to the first process
        assert torch.equal(group.joined(rows[group.share(5)], 5), rows)
        assert speaks() == (rank == 0)
        trained, losses = train(
            open_base_folder("tiny", base, folder / f"digests-{rank}"), folder / f"{rank}.safetensors"
        )
        margins = measured(base)
    torch.save(
        {"margins": margins, "losses": losses, "head": trained.head, "factors": trained.factors},
        folder / f"result-{rank}.pt",
    )


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_two_processes_give_the_losses_and_the_adapter_of_one(tiny_base: BaseFolder, tmp_path: Path) -> None:
    alone, losses = train(tiny_base, tmp_path / "alone.safetensors")
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes.spawn(one_of_two, (tmp_path, tiny_base.path, environment), nprocs=2)
    results: list[dict[str, Any]] = [torch.load(tmp_path / f"result-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert len(losses) == 8
    for result in results:
        assert result["margins"] == pytest.approx(measured(tiny_base.path), rel=1e-4, abs=1e-4)
    for result in results:
        torch.testing.assert_close(torch.tensor(result["losses"]), torch.tensor(losses), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(result["head"], alone.head, rtol=1e-3, atol=1e-4)
    assert torch.equal(results[0]["head"], results[1]["head"])
    for name, (a, b) in results[0]["factors"].items():
        assert torch.equal(a, results[1]["factors"][name][0])
        assert torch.equal(b, results[1]["factors"][name][1])
    assert (tmp_path / "0.safetensors").exists()
    assert not (tmp_path / "1.safetensors").exists()  # the first process alone writes


def test_rows_are_dealt_in_turn_and_each_to_one_process() -> None:
    shares = [Ranks(rank, 3).share(7) for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    assert Ranks(2, 3).share(2) == []
    assert ALONE.share(3) == [0, 1, 2]


def test_without_a_launcher_a_process_is_alone() -> None:
    with ranks() as group:
        assert group is ALONE
        assert group.writes
    assert speaks()
