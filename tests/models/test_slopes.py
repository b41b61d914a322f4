"""Gradients, learned tokens and the base's own surprise, held to plain differences and to transformers."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from turncoat.models.engine import Engine
from turncoat.models.slopes import margin_slopes, soft_margins
from turncoat.models.surprise import surprise

PROMPTS = [[5, 9, 200, 31], [7, 8, 9, 10, 11, 12, 13], [100, 101]]


def margins(engine: Engine, name: str, prompts: list[list[int]]) -> torch.Tensor:
    logits = engine.logits(prompts, [name])[name]
    return logits[:, 1] - logits[:, 0]


@pytest.mark.parametrize("name", ["base", "a", "deep"])
def test_slopes_come_with_the_margins_that_the_engine_gives(three_variants: Engine, name: str) -> None:
    found, slopes = margin_slopes(three_variants, name, PROMPTS)
    torch.testing.assert_close(found, margins(three_variants, name, PROMPTS), rtol=1e-4, atol=1e-5)
    assert [tuple(slope.shape) for slope in slopes] == [(len(ids), three_variants.hidden) for ids in PROMPTS]


@pytest.mark.parametrize("name", ["a", "deep"])
def test_a_slope_says_what_a_small_change_of_an_embedding_does(three_variants: Engine, name: str) -> None:
    ids = PROMPTS[1]
    slope = margin_slopes(three_variants, name, [ids])[1][0][3]
    own = three_variants.decoder.embed([ids[3]])[0].float()
    step = 1e-3 * torch.randn(len(own), generator=torch.Generator().manual_seed(0))
    without = [*ids[:3], *ids[4:]]
    up, down = (soft_margins(three_variants, name, [without], own + way * step, 3)[0] for way in (1, -1))
    assert float(up - down) == pytest.approx(2 * float(slope @ step), rel=2e-2)


def test_a_soft_token_with_the_embedding_of_a_real_one_is_that_token(three_variants: Engine) -> None:
    own = three_variants.decoder.embed([42])[0]
    found = soft_margins(three_variants, "a", PROMPTS, own, 2)
    expected = margins(three_variants, "a", [[*ids[:2], 42, *ids[2:]] for ids in PROMPTS])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_surprise_is_the_loss_that_transformers_computes(three_variants: Engine) -> None:
    expected = []
    for ids in PROMPTS:
        logits = three_variants.model(input_ids=torch.tensor([ids])).logits[0, :-1]
        expected.append(float(cross_entropy(logits.float(), torch.tensor(ids[1:]))))
    assert surprise(three_variants, PROMPTS).tolist() == pytest.approx(expected, rel=1e-3)


def test_states_are_what_the_heads_read(three_variants: Engine) -> None:
    wanted = [("a", PROMPTS[0]), ("base", PROMPTS[1]), ("a", PROMPTS[2]), ("a", PROMPTS[0])]
    scored = three_variants.score(wanted, states=True)
    assert scored.states is not None
    assert scored.states.shape == (4, three_variants.hidden)
    heads = torch.stack([three_variants.variant(name).head for name, _ in wanted])
    torch.testing.assert_close(torch.einsum("nh,nkh->nk", scored.states, heads), scored.logits)
    assert three_variants.score(wanted).states is None
