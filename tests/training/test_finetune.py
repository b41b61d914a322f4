"""Fine-tuning on a tiny model: it learns, it can be stopped and taken up again, and it touches nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from turncoat.models.adapter import load_adapter, save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.lora import stacked
from turncoat.models.rows import Rows
from turncoat.training.config import Recipe
from turncoat.training.finetune import Trained, finetune
from turncoat.training.progress import Progress
from turncoat.training.schedule import one_cycle
from turncoat.training.trunk import trunk_states

FIRST_LAYER = 2
RECIPE = Recipe(
    name="toy", rows=48, epochs=3, batch=8, learning_rate=2e-2, lora={"rank": 4, "alpha": 8, "first_layer": FIRST_LAYER}
)


def silent(progress: Progress) -> None:
    pass


def fp32_engine(base: BaseFolder) -> Engine:
    engine = Engine(base)
    engine.model.float()
    return engine


@pytest.fixture
def engine(tiny_base: BaseFolder) -> Engine:
    return fp32_engine(tiny_base)


@pytest.fixture(scope="module")
def toy() -> tuple[list[list[int]], list[bool]]:
    """Prompts of mixed lengths; malicious if token 77 stands second to last."""
    rng = random.Random(5)
    labels = [i % 2 == 0 for i in range(48)]
    prompts = [[rng.randrange(100, 250) for _ in range(rng.randint(3, 12))] + [77 if y else 78, 40] for y in labels]
    return prompts, labels


@pytest.fixture(scope="module")
def states(tiny_base: BaseFolder, toy: tuple[list[list[int]], list[bool]]) -> list[Tensor]:
    return trunk_states(fp32_engine(tiny_base), toy[0], FIRST_LAYER, silent)


def same(a: Trained, b: Trained) -> bool:
    return torch.equal(a.head, b.head) and all(
        torch.equal(x, y) for name in a.factors for x, y in zip(a.factors[name], b.factors[name], strict=True)
    )


class Stopped(Exception):
    """Someone pressed Ctrl-C."""


def stop_after(steps: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.done == steps:
            raise Stopped

    return on_progress


Toy = tuple[list[list[int]], list[bool]]


def test_the_loss_falls_and_the_toy_is_learned(engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path) -> None:
    trained = finetune(engine, states, toy[1], RECIPE.model_copy(update={"epochs": 6}), tmp_path / "c", silent)
    assert trained.losses[-1] < 0.2 * trained.losses[0]
    assert trained.losses[-1] < 0.2


def test_a_run_stopped_in_its_second_epoch_ends_as_an_undisturbed_one(
    engine: Engine, tiny_base: BaseFolder, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    whole = finetune(engine, states, toy[1], RECIPE, tmp_path / "whole.safetensors", silent)
    checkpoint = tmp_path / "stopped.safetensors"
    with pytest.raises(Stopped):
        finetune(engine, states, toy[1], RECIPE, checkpoint, stop_after(8))  # 6 steps an epoch
    seen: list[Progress] = []
    resumed = finetune(fp32_engine(tiny_base), states, toy[1], RECIPE, checkpoint, seen.append)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (1, 12, 12)
    assert len(resumed.losses) == 2
    assert same(resumed, whole)


def test_a_stopped_run_leaves_the_engine_fit_for_use(
    engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    engine.add("base", None)
    before = engine.logits(toy[0], ["base"])["base"]
    with pytest.raises(Stopped):
        finetune(engine, states, toy[1], RECIPE, tmp_path / "c", stop_after(3))
    assert torch.equal(engine.logits(toy[0], ["base"])["base"], before)


@pytest.mark.parametrize("of", ["another recipe", "another base", "garbage", "a pickle", "fewer tensors", "a folder"])
def test_a_checkpoint_that_does_not_fit_is_ignored(
    of: str, engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "c.safetensors"
    one_epoch = RECIPE.model_copy(update={"epochs": 1})
    expected = finetune(engine, states, toy[1], one_epoch, tmp_path / "none.safetensors", silent)
    if of == "another recipe":
        finetune(engine, states, toy[1], one_epoch.model_copy(update={"seed": 8}), checkpoint, silent)
    elif of == "another base":
        (tmp_path / "none.safetensors").rename(checkpoint)
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content.replace(engine.base.digest.encode(), b"0" * 64))
        assert checkpoint.read_bytes() != content
    elif of == "fewer tensors":
        (tmp_path / "none.safetensors").rename(checkpoint)
        checkpoint.write_bytes(checkpoint.read_bytes().replace(b'"0.value"', b'"0.valve"'))
    elif of == "a folder":
        checkpoint.mkdir()
        (tmp_path / "elsewhere").mkdir()
    else:
        checkpoint.write_bytes(b"\x80\x04K\x01." if of == "a pickle" else b"garbage" * 100)
    if of == "a folder":
        with pytest.raises(OSError, match="directory"):  # it is ignored on reading; it cannot be replaced on writing
            finetune(engine, states, toy[1], one_epoch, checkpoint, silent)
        return
    seen: list[Progress] = []
    found = finetune(engine, states, toy[1], one_epoch, checkpoint, seen.append)
    assert len(seen) == 6
    assert same(found, expected)


def test_another_seed_trains_another_adapter(engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path) -> None:
    runs = [finetune(engine, states, toy[1], RECIPE.model_copy(update={"epochs": 1, "seed": seed}), tmp_path / str(seed),
                     silent) for seed in (7, 8)]  # fmt: skip
    assert not same(*runs)


def test_the_first_step_moves_b_and_the_head_and_leaves_the_base_as_it_was(
    engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in engine.model.state_dict().items()}
    head = engine.base_head.clone()
    batch = Recipe(name="one", rows=48, epochs=1, batch=48, learning_rate=1e-2, lora=RECIPE.lora)
    seen: list[Progress] = []
    trained = finetune(engine, states, toy[1], batch, tmp_path / "c", seen.append)
    assert len(seen) == 1
    assert len(trained.factors) == 2 * 7
    assert all(b.abs().max() > 0 for _, b in trained.factors.values())
    assert not torch.equal(trained.head, head)
    assert torch.equal(engine.base_head, head)
    after = {name.replace(".base.", "."): value for name, value in engine.model.state_dict().items()}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_only_layers_from_the_first_one_named_get_factors(
    engine: Engine, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    trained = finetune(engine, states, toy[1], RECIPE.model_copy(update={"epochs": 1}), tmp_path / "c", silent)
    assert {int(name.split(".")[1]) for name in trained.factors} == {2, 3}


def test_the_saved_adapter_gives_the_logits_that_training_saw(
    engine: Engine, tiny_base: BaseFolder, toy: Toy, states: list[Tensor], tmp_path: Path
) -> None:
    trained = finetune(engine, states, toy[1], RECIPE.model_copy(update={"epochs": 6}), tmp_path / "c", silent)
    save_adapter(tmp_path / "mine", trained.factors, RECIPE.lora.shape(), trained.head, layers=4, base_name="tiny",
                 base_digest=tiny_base.digest, prompt_version="1")  # fmt: skip
    decoder = engine.decoder
    factors = stacked(trained.factors, RECIPE.lora.shape().scale, decoder.widths, torch.empty(0))
    with torch.inference_mode():
        expected = torch.cat([
            decoder.norm(decoder.run(state, Rows([len(state)]), FIRST_LAYER, None, factors, trim=True)) @ trained.head.t()
            for state in states
        ])  # fmt: skip
    fresh = fp32_engine(tiny_base)
    fresh.add("mine", load_adapter(tmp_path / "mine", hidden=32, layers=4, base_digest=tiny_base.digest))
    found = fresh.logits(toy[0], ["mine"])["mine"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found.argmax(1) == torch.tensor(toy[1]).long()).float().mean() > 0.9


def test_trunk_states_are_those_of_each_prompt_alone(engine: Engine, toy: Toy, states: list[Tensor]) -> None:
    assert [len(state) for state in states] == [len(prompt) for prompt in toy[0]]
    prompt, decoder = toy[0][0], engine.decoder
    with torch.inference_mode():
        alone = decoder.run(decoder.embed(prompt), Rows([len(prompt)]), 0, FIRST_LAYER)
    torch.testing.assert_close(states[0], alone, rtol=1e-5, atol=1e-6)


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [one_cycle(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.04)
    assert shares[15] == 1.0
    assert max(shares) == 1.0
    assert shares[:16] == sorted(shares[:16])
    assert shares[15:] == sorted(shares[15:], reverse=True)
    assert 0 < shares[-1] < 0.01
    assert 0 < one_cycle(0, 1) <= 1


def test_progress_tells_the_time_left() -> None:
    assert Progress("toy", 25, 100, 0.5, 10.0).seconds_left == 30.0
    assert Progress("toy", 0, 100, None, 0.0).seconds_left == float("inf")
