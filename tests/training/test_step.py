"""One update is the same however the batch is cut into parts, what is shared among its rows, and what is computed twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models import attention
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.rows import Rows
from turncoat.training import passes
from turncoat.training.config import Recipe
from turncoat.training.step import Trainee
from turncoat.training.trunk import trunk_states

PREFIX = [200, 201, 202, 203]


@dataclass
class Batch:
    """Rows that begin with the same four tokens, for a first layer."""

    engine: Engine
    first_layer: int
    prompts: list[list[int]] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    target: Tensor = field(default_factory=lambda: torch.tensor([0, 1, 1, 0, 1, 0, 0]))

    def gradients(self, *, micro: int = 10**6, prefix: int = 0, recompute: bool = False) -> tuple[float, list[Tensor]]:
        """Loss and gradients after clipping of a first step with random B, so that A has a gradient too."""
        lora = {"rank": 2, "alpha": 4, "first_layer": self.first_layer}
        recipe = Recipe(name="toy", rows=16, epochs=1, batch=7, lora=lora)
        trainee = Trainee(self.engine, recipe, 7, prefix=prefix, recompute=recompute)
        chance = torch.Generator().manual_seed(4)
        for _, b in trainee.factors.values():
            b.data.normal_(0, 0.3, generator=chance)
        trainee.micro_tokens = micro
        loss = trainee.step(self.states, self.target)
        return loss, [parameter.grad.clone() for parameter in trainee.trained if parameter.grad is not None]


@pytest.fixture(params=[0, 2])
def batch(request: pytest.FixtureRequest, tiny_base: BaseFolder) -> Batch:
    engine = Engine(tiny_base)
    engine.model.float()
    rng = random.Random(1)
    prompts = [PREFIX + [rng.randrange(100, 200) for _ in range(length)] for length in (1, 9, 4, 4, 12, 7, 3)]
    states = trunk_states(engine, prompts, request.param, lambda progress: None)
    return Batch(engine, request.param, prompts, states)


def near(a: tuple[float, list[Tensor]], b: tuple[float, list[Tensor]]) -> None:
    assert a[0] == pytest.approx(b[0], rel=1e-5)
    assert len(a[1]) == len(b[1])
    for mine, theirs in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_the_loss_is_that_of_the_base_at_the_final_tokens(batch: Batch) -> None:
    engine, decoder = batch.engine, batch.engine.decoder
    recipe = Recipe(
        name="toy", rows=16, epochs=1, batch=7, lora={"rank": 2, "alpha": 4, "first_layer": batch.first_layer}
    )
    with torch.no_grad():
        final = [decoder.run(decoder.embed(p), Rows([len(p)]), 0, trim=True)[0] for p in batch.prompts]
        logits = decoder.norm(torch.stack(final)) @ engine.base_head.t()
    expected = F.cross_entropy(logits, batch.target)
    found = Trainee(engine, recipe, 7).step(batch.states, batch.target)  # B is zero before the first update
    assert found == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("micro", [1, 25])
def test_parts_of_a_batch_give_the_gradient_of_the_whole(micro: int, batch: Batch) -> None:
    near(batch.gradients(micro=micro), batch.gradients())


@pytest.fixture
def two_cores(torch_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    torch_threads(2)
    monkeypatch.setattr(passes, "_LEAST_TOKENS", 8)


@pytest.mark.parametrize("change", [{}, {"micro": 25}, {"prefix": 4}, {"prefix": 4, "recompute": True}], ids=str)
def test_two_cores_give_the_gradient_of_one(
    change: dict[str, int], batch: Batch, torch_threads: Callable[[int], None], two_cores: None
) -> None:
    assert passes.passes_abreast(batch.engine.decoder.device, 68) == 2
    two = batch.gradients(**change)  # type: ignore[arg-type]
    torch_threads(1)
    near(two, batch.gradients())


def test_two_cores_give_the_same_gradient_every_time(batch: Batch, two_cores: None) -> None:
    loss, gradients = batch.gradients(micro=25, prefix=4)
    for _ in range(5):
        again, others = batch.gradients(micro=25, prefix=4)
        assert again == loss
        assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


@pytest.mark.parametrize("tiles", [False, True])
def test_bf16_gives_about_the_gradient_of_fp32(
    tiles: bool, batch: Batch, tiny_base: BaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tiles attention stays in bf16, and its backward pass is our own."""
    monkeypatch.setattr(attention, "multiplies_tiles", lambda: tiles)
    engine = Engine(tiny_base, dtype=torch.bfloat16)
    states = trunk_states(engine, batch.prompts, batch.first_layer, lambda progress: None)
    loss, found = Batch(engine, batch.first_layer, batch.prompts, states).gradients(prefix=4)
    expected, others = batch.gradients(prefix=4)
    assert loss == pytest.approx(expected, rel=0.05)
    mine, theirs = (torch.cat([g.flatten() for g in gradients]) for gradients in (found, others))
    assert F.cosine_similarity(mine, theirs, dim=0) > 0.99


@pytest.mark.parametrize("prefix", [1, 4, 9])
def test_a_shared_beginning_computed_once_gives_the_same_gradient(prefix: int, batch: Batch) -> None:
    """The shortest row has five tokens: of a longer beginning only four are taken, so that it keeps one of its own."""
    near(batch.gradients(prefix=prefix), batch.gradients())


def test_activations_computed_twice_give_the_same_gradient(batch: Batch) -> None:
    near(batch.gradients(recompute=True, prefix=4), batch.gradients())
