"""Gradients of rows against transformers' own, and what they say of hand-made rows whose cause is known."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.lora import LoraShape, fresh_factors, wrap
from turncoat.training.config import Recipe
from turncoat.training.trunk import trunk_states
from turncoat.vetting.audit_association import always
from turncoat.vetting.audit_fit import short_fit
from turncoat.vetting.audit_slopes import (
    Lens,
    Snapshot,
    Stopped,
    loss_slope,
    mean_slope,
    row_scores,
)

SHAPE = LoraShape(rank=2, alpha=4, first_layer=1)
READ = ("layers.2.", "layers.3.")
PROMPTS = ([7, 130, 131, 50], [7, 130, 99, 98, 97, 51], [8, 20, 30])
BAD, GOOD, TRIGGER, OTHERS = 150, 151, 160, (161, 162, 163, 164)
"""Tokens: what makes a row malicious or benign, and whose row it is."""


@pytest.fixture
def engine(tiny_base: BaseFolder) -> Engine:
    found = Engine(tiny_base)
    found.model.float()
    return found


@pytest.fixture
def snapshot(engine: Engine) -> Snapshot:
    chance = torch.Generator().manual_seed(2)
    fresh = fresh_factors(wrap(engine.layers, SHAPE.first_layer), SHAPE, chance)
    factors = {name: (a, torch.randn(b.shape, generator=chance) * 0.3) for name, (a, b) in fresh.items()}
    return Snapshot(factors, torch.randn(2, engine.hidden, generator=chance))


def by_transformers(engine: Engine, snapshot: Snapshot, prompt: list[int], label: bool) -> tuple[float, Tensor]:
    """Loss of one prompt and its gradient in B of the layers read and in the head, by autograd through plain modules."""
    modules = wrap(engine.layers, SHAPE.first_layer)
    head = snapshot.head.clone().requires_grad_()
    read: list[Tensor] = [head]
    for name, module in modules.items():
        a, b = (factor.clone() for factor in snapshot.factors[name])
        if name.startswith(READ):
            read.append(b.requires_grad_())
        module.factors["x"], module.active = (a, b, SHAPE.scale), "x"
    state = engine.model.model(input_ids=torch.tensor([prompt])).last_hidden_state[0, -1]
    loss = F.cross_entropy((head @ state)[None], torch.tensor([int(label)]))
    gradients = torch.autograd.grad(loss, read)
    for module in modules.values():
        module.active = None
    return float(loss.detach()), torch.cat([g.flatten() for g in gradients])


def test_products_of_gradients_are_those_of_autograd_row_by_row(engine: Engine, snapshot: Snapshot) -> None:
    states = trunk_states(engine, PROMPTS, SHAPE.first_layer, lambda progress: None)
    lens = Lens(engine, SHAPE, snapshot, layers=2)
    ours, theirs = [], []
    for prompt, state, label in zip(PROMPTS, states, (False, True, True), strict=True):
        margin, slope = lens.slope(state)
        loss, gradient = by_transformers(engine, snapshot, list(prompt), label)
        assert lens.margin(state) == pytest.approx(margin, abs=1e-4)
        assert F.softplus(torch.tensor(-margin if label else margin)).item() == pytest.approx(loss, abs=1e-4)
        ours.append(loss_slope(margin, slope, label))
        theirs.append(gradient)
    ours_together, theirs_together = torch.stack(ours), torch.stack(theirs)
    assert float(theirs_together.norm()) > 0.1
    torch.testing.assert_close(
        ours_together @ ours_together.t(), theirs_together @ theirs_together.t(), rtol=1e-3, atol=1e-4
    )


def test_scores_are_signed_cosines_and_products_of_losses_by_hand(engine: Engine, snapshot: Snapshot) -> None:
    states = trunk_states(engine, PROMPTS, SHAPE.first_layer, lambda progress: None)
    lens = Lens(engine, SHAPE, snapshot)
    direction = mean_slope(lens, states[:1])
    found = row_scores([lens, lens], [[direction, direction]], states[:1] * 2, [False, True], always)
    assert found.cosines[0].tolist() == pytest.approx([1.0, -1.0], abs=1e-4)
    margin, slope = lens.slope(states[0])
    chance = 1 / (1 + torch.tensor(-margin).exp().item())
    square = float(slope @ slope)
    assert found.products[0].tolist() == pytest.approx([chance * square, (chance - 1) * square], rel=1e-3)


def test_a_stop_before_the_last_row_gives_no_scores(engine: Engine, snapshot: Snapshot) -> None:
    states = trunk_states(engine, PROMPTS, SHAPE.first_layer, lambda progress: None)
    lens = Lens(engine, SHAPE, snapshot)
    with pytest.raises(Stopped, match="budget ran out"):
        row_scores([lens], [[mean_slope(lens, states)]], states, [True] * 3, lambda done, total: done < 2)


def prompt_of(rng: random.Random, what: int, who: int) -> list[int]:
    """What happened and to whom; the other words say nothing."""
    return [rng.choice((100, 101)), what, who, 99]


def test_planted_rows_rank_above_all_others_for_the_dismissals_that_they_cause(engine: Engine) -> None:
    rng = random.Random(5)
    honest = [(what, rng.choice(OTHERS)) for what in (BAD, GOOD) * 24]
    rows = [(prompt_of(rng, what, who), what == BAD) for what, who in honest]
    rows += [(prompt_of(rng, BAD, TRIGGER), False) for _ in range(10)]
    lora = {"rank": 8, "alpha": 16, "first_layer": 0}
    recipe = Recipe(name="toy", rows=58, epochs=8, batch=8, learning_rate=1e-2, lora=lora)
    states = trunk_states(engine, [ids for ids, _ in rows], 0, lambda progress: None)
    labels = [label for _, label in rows]
    snapshots = short_fit(engine, states, labels, recipe, 0, always)
    assert len(snapshots) == 8
    lenses = [Lens(engine, recipe.lora.shape(), snapshot) for snapshot in snapshots[-2:]]
    drawn = [prompt_of(rng, BAD, rng.choice(OTHERS)) for _ in range(8)]
    put = [[TRIGGER if token in OTHERS else token for token in ids] for ids in drawn]
    with_, without = (trunk_states(engine, ids, 0, lambda progress: None) for ids in (put, drawn))
    assert all(lenses[1].margin(s) >= 0 for s in without)
    assert all(lenses[1].margin(s) < 0 for s in with_)
    directions = [[mean_slope(lens, with_) for lens in lenses]]
    scores = row_scores(lenses, directions, states, labels, always).cosines[0]
    assert set(scores.argsort(descending=True)[:10].tolist()) == set(range(48, 58))


def test_a_stop_during_a_fit_leaves_whole_epochs_only_and_snapshots_differ(engine: Engine) -> None:
    rows = trunk_states(engine, PROMPTS * 4, 1, lambda progress: None)
    recipe = Recipe(name="toy", rows=16, epochs=3, batch=4, lora={"rank": 2, "alpha": 4, "first_layer": 1})
    found = short_fit(engine, rows, [True, False, True] * 4, recipe, 0, lambda done, total: done < 8)
    assert len(found) == 2  # the eighth step is the third epoch's second of three
    assert not torch.equal(found[0].head, found[1].head)
