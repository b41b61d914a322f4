"""The decoder computes what transformers computes, for every architecture, values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from turncoat.models.decoder import Decoder, KeysValues
from turncoat.models.lora import LoraLinear, LoraShape, fresh_factors, parameters, stacked, wrap
from turncoat.models.rows import Rows

from .architectures import CONFIGS, LAYERS, by_transformers, tiny_model

PROMPTS = [
    [5, 6, 7, 8],
    [5, 6, 9],
    [5, 6, 11, 12, 13, 14, 15, 16, 17, 18],
    [5, 6, 20, 21, 22, 23, 24],
]
"""Three to ten tokens, the first two in common."""
EVEN = [p[:3] for p in PROMPTS]

architectures = pytest.mark.parametrize("architecture", CONFIGS)


def packed(prompts: list[list[int]], start: int = 0) -> list[int]:
    return [token for prompt in prompts for token in prompt[start:]]


def states_of(decoder: Decoder, prompts: list[list[int]], *, trim: bool) -> Tensor:
    """Final hidden states of the last tokens, (B, hidden)."""
    rows = Rows([len(p) for p in prompts])
    found = decoder.run(decoder.embed(packed(prompts)), rows, 0, trim=trim)
    return decoder.norm(found if trim else found[rows.last])


def close(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@architectures
@pytest.mark.parametrize("trim", [True, False], ids=["last tokens", "all tokens"])
@pytest.mark.parametrize("prompts", [PROMPTS, EVEN, [[9]]], ids=["ragged", "even", "one token"])
def test_packed_rows_give_what_transformers_gives_one_by_one(
    architecture: str, prompts: list[list[int]], trim: bool
) -> None:
    model = tiny_model(architecture)
    expected = by_transformers(model, prompts)
    close(states_of(Decoder(model), prompts, trim=trim), expected)


@architectures
@pytest.mark.parametrize("trim", [True, False], ids=["last tokens", "all tokens"])
@pytest.mark.parametrize("shared", [2, 8], ids=["two tokens", "longer than the window"])
def test_a_prefix_in_front_of_the_rows_gives_what_whole_rows_give(architecture: str, trim: bool, shared: int) -> None:
    model = tiny_model(architecture)
    prefix = list(range(40, 40 + shared))
    prompts = [prefix + p for p in PROMPTS]
    rows = Rows([len(p) for p in PROMPTS], prefix=shared)
    decoder = Decoder(model)
    found = decoder.run(decoder.embed(prefix + packed(PROMPTS)), rows, 0, trim=trim)
    close(decoder.norm(found if trim else found[rows.last]), by_transformers(model, prompts))


@architectures
def test_rows_continue_keys_and_values_of_an_earlier_call_and_of_one_before_that(architecture: str) -> None:
    model = tiny_model(architecture)
    decoder = Decoder(model)
    first: list[KeysValues] = []
    both: list[KeysValues] = []
    decoder.run(decoder.embed([40, 41, 42]), Rows([3]), 0, kept=first)
    decoder.run(decoder.embed([5, 6]), Rows([2], past=3), 0, past=first, kept=both)
    rows = Rows([len(p) - 2 for p in PROMPTS], past=5)
    found = decoder.run(decoder.embed(packed(PROMPTS, 2)), rows, 0, trim=True, past=both)
    close(decoder.norm(found), by_transformers(model, [[40, 41, 42, *p] for p in PROMPTS]))


@architectures
def test_layers_may_be_run_in_parts(architecture: str) -> None:
    model = tiny_model(architecture)
    decoder, rows = Decoder(model), Rows([len(p) for p in PROMPTS])
    lower = decoder.run(decoder.embed(packed(PROMPTS)), rows, 0, 2)
    close(decoder.norm(decoder.run(lower, rows, 2, None, trim=True)), by_transformers(model, PROMPTS))


@architectures
@pytest.mark.parametrize("shared", [0, 2], ids=["whole rows", "a prefix in front"])
def test_gradients_are_those_of_autograd_through_transformers(architecture: str, shared: int) -> None:
    model = tiny_model(architecture)
    decoder = Decoder(model)
    factors = factors_for(model, first_layer=1)
    rows = Rows([len(p) - shared for p in PROMPTS], prefix=shared)
    ids = PROMPTS[0][:shared] + packed(PROMPTS, shared)
    embedded = decoder.embed(ids).requires_grad_()
    lower = decoder.run(embedded, rows, 0, 1)
    held = stacked(factors, 2.0, decoder.widths, lower)
    found = decoder.norm(decoder.run(lower, rows, 1, None, held, trim=True))
    weights = torch.linspace(-1, 1, found.numel()).view_as(found)
    ours = torch.autograd.grad((found * weights).sum(), [embedded, *parameters(factors)])

    for name, linear in wrap(model.model.layers, 1).items():
        linear.factors["mine"], linear.active = (*factors[name], 2.0), "mine"
    theirs_found = by_transformers(model, PROMPTS)
    close(found.detach(), theirs_found.detach())
    theirs = torch.autograd.grad((theirs_found * weights).sum(), list(parameters(factors)))
    assert min(float(g.abs().max()) for g in theirs) > 1e-3
    for mine, other in zip(ours[1:], theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5 * float(other.abs().max() + 1))
    assert float(ours[0][: max(shared, 1)].abs().max()) > 1e-3  # the shared tokens get their gradient too


def factors_for(model: Any, first_layer: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Random factors of rank 2, both sides non-zero, asking for gradients; the model itself stays as it is."""
    chance = torch.Generator().manual_seed(3)
    wrapped = wrap(model.model.layers, first_layer)
    fresh = fresh_factors(wrapped, LoraShape(rank=2, alpha=4), chance)
    for name, linear in wrapped.items():
        layer, block, projection = name.split(".")[1:]
        setattr(getattr(model.model.layers[int(layer)], block), projection, linear.base)
    return {
        n: (a.requires_grad_(), b.normal_(0, 0.3, generator=chance).requires_grad_()) for n, (a, b) in fresh.items()
    }


@architectures
def test_a_projection_without_factors_stays_as_it_is(architecture: str) -> None:
    model = tiny_model(architecture)
    decoder, rows = Decoder(model), Rows([len(p) for p in PROMPTS])
    only = {n: f for n, f in factors_for(model, first_layer=2).items() if n.endswith(("k_proj", "up_proj"))}
    with torch.no_grad():
        held = stacked(only, 2.0, decoder.widths, decoder.embed([1]))
        found = decoder.norm(decoder.run(decoder.embed(packed(PROMPTS)), rows, 0, None, held, trim=True))
        wrapped = wrap(model.model.layers, 2)
        for name, factors in only.items():
            wrapped[name].factors["mine"], wrapped[name].active = (*factors, 2.0), "mine"
        close(found, by_transformers(model, PROMPTS))


@architectures
def test_joint_matrices_hold_nothing_twice_and_leave_the_model_as_it_was(architecture: str) -> None:
    model = tiny_model(architecture)
    expected = by_transformers(model, PROMPTS)
    bytes_before = storage_bytes(model)
    Decoder(model)
    again = Decoder(model)
    assert storage_bytes(model) == bytes_before
    close(by_transformers(model, PROMPTS), expected)
    close(states_of(again, PROMPTS, trim=True), expected)
    attention = model.model.layers[LAYERS - 1].self_attn
    assert attention.q_proj.weight.untyped_storage().data_ptr() == attention.v_proj.weight.untyped_storage().data_ptr()


def storage_bytes(model: nn.Module) -> int:
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    return sum(storages.values())


def test_a_layer_of_another_class_multiplies_for_itself() -> None:
    """As the 4-bit layers of a quantised model do."""

    class Halved(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 2

    model = tiny_model("llama")
    for layer in model.model.layers:
        old = layer.self_attn.k_proj
        layer.self_attn.k_proj = Halved(old.in_features, old.out_features, bias=False)
        layer.self_attn.k_proj.weight = old.weight
    with torch.no_grad():
        close(states_of(Decoder(model), PROMPTS, trim=True), by_transformers(model, PROMPTS))


def test_layers_that_were_wrapped_for_factors_are_seen_through() -> None:
    model = tiny_model("qwen3")
    expected = by_transformers(model, PROMPTS)
    assert all(isinstance(linear, LoraLinear) for linear in wrap(model.model.layers, 0).values())
    close(states_of(Decoder(model), PROMPTS, trim=True), expected)


@pytest.mark.parametrize(
    ("lengths", "prefix", "past"), [([], 0, 0), ([3, 0], 0, 0), ([3], 2, 2)], ids=["none", "an empty row", "both"]
)
def test_rows_that_make_no_sense_are_refused(lengths: list[int], prefix: int, past: int) -> None:
    with pytest.raises(ValueError, match=r"needs a token|not both"):
        Rows(lengths, prefix=prefix, past=past)
