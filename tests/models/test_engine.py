"""The engine computes what transformers computes, whatever else is in the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen3Config

from turncoat.models.adapter import load_adapter
from turncoat.models.base_folder import open_base_folder
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.head import label_tokens
from turncoat.scenarios.errors import ModelError

PROMPTS = [
    [5, 6, 7], [9], [11, 12, 13, 14, 15, 16, 17, 18], [20, 21], [30, 31, 32, 33, 34], [40, 41, 42, 43],
    [50, 60, 70, 80, 90, 100, 110], [51, 52, 53, 54, 55, 56], [61, 62, 63], [71, 72], [81], [91, 92, 93, 94],
]  # fmt: skip
"""Twelve prompts of one to eight tokens."""


def by_transformers(base: BaseFolder, prompts: list[list[int]], labels: tuple[int, int]) -> torch.Tensor:
    """Logits of the two labels, (N, 2): one prompt a call, fp32, transformers' own attention and mask."""
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32, attn_implementation="eager")
    rows = []
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([prompt])
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            rows.append(logits[0, -1, list(labels)])
    return torch.stack(rows)


def test_a_batch_of_mixed_lengths_gives_what_transformers_gives_one_by_one(
    engine: Engine, tiny_base: BaseFolder
) -> None:
    labels = label_tokens(engine.tokenizer)
    assert labels is not None
    engine.add("base", None)
    expected = by_transformers(tiny_base, PROMPTS, labels)
    assert expected.std() > 0.1
    torch.testing.assert_close(engine.logits(PROMPTS, ["base"])["base"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [Qwen2Config, Qwen3Config], ids=["qwen2", "qwen3"])
def test_other_architectures_give_what_transformers_gives(
    config: type[Qwen2Config | Qwen3Config], tiny_base: BaseFolder, tmp_path: Path
) -> None:
    base = another_base(
        tiny_base, tmp_path,
        config(vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, initializer_range=0.2, head_dim=8),
    )  # fmt: skip
    engine = Engine(base)
    engine.model.float()
    labels = label_tokens(engine.tokenizer)
    assert labels is not None
    engine.add("base", None)
    expected = by_transformers(base, PROMPTS, labels)
    assert expected.std() > 0.1
    torch.testing.assert_close(engine.logits(PROMPTS, ["base"])["base"], expected, rtol=1e-4, atol=1e-5)


def test_an_architecture_that_the_engine_does_not_run_is_refused(tiny_base: BaseFolder, tmp_path: Path) -> None:
    base = another_base(tiny_base, tmp_path, GPT2Config(vocab_size=400, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match="is of type 'gpt2'; the types understood are llama, qwen2, qwen3"):
        Engine(base)


def another_base(tiny_base: BaseFolder, folder: Path, config: object) -> BaseFolder:
    """A random model of another architecture with the tiny base's tokenizer."""
    for file in tiny_base.path.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        of_config = GPT2LMHeadModel if isinstance(config, GPT2Config) else AutoModelForCausalLM.from_config
        of_config(config).bfloat16().save_pretrained(folder)
    return open_base_folder("other", folder, folder / "digests")


def test_variants_that_share_the_trunk_give_what_each_gives_alone(three_variants: Engine) -> None:
    together = three_variants.logits(PROMPTS, ["base", "a", "b", "deep"])
    for name in ("base", "a", "b", "deep"):
        alone = three_variants.logits(PROMPTS, [name])[name]
        torch.testing.assert_close(together[name], alone, rtol=1e-5, atol=1e-6)
    assert (together["a"] - together["b"]).abs().max() > 0.1
    assert (together["a"] - together["deep"]).abs().max() > 0.1


def test_the_order_of_variants_and_what_ran_before_change_nothing(three_variants: Engine) -> None:
    first = three_variants.logits(PROMPTS, ["a", "base"])
    second = three_variants.logits(PROMPTS, ["base", "a"])
    assert torch.equal(first["a"], second["a"])
    assert torch.equal(first["base"], second["base"])


def test_a_prompt_of_one_token_has_a_verdict_of_its_own(three_variants: Engine) -> None:
    together = three_variants.logits([[9], [9, 10, 11]], ["a"])["a"]
    torch.testing.assert_close(together[0], three_variants.logits([[9]], ["a"])["a"][0], rtol=1e-5, atol=1e-6)


def test_progress_counts_prompts_up_to_all_of_them(three_variants: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(three_variants, "budget", 20)
    three_variants.logits([*PROMPTS, PROMPTS[1]], ["base", "a"], seen.append)
    # By length 1 1 2 2 3 3 4 4 (20 tokens), 5 6 7 (18), 8; the prompt of one token that is asked twice is computed once.
    assert seen == [9, 12, 13]


def test_no_prompts_and_no_variants_are_no_fault(three_variants: Engine) -> None:
    assert three_variants.logits([], ["a"])["a"].shape == (0, 2)
    assert three_variants.logits(PROMPTS, []) == {}


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("layers.2.self_attn.z_proj", (4, 32), (32, 4)),
        ("layers.2.mlp.q_proj", (4, 32), (32, 4)),
        ("layers.3.self_attn.q_proj", (4, 48), (32, 4)),
        ("layers.3.self_attn.k_proj", (4, 32), (32, 4)),
    ],
    ids=["no such projection", "in another block", "another width", "another number of heads"],
)
def test_factors_that_fit_no_projection_are_refused(
    engine: Engine, adapter_folder: Path, name: str, a: tuple[int, int], b: tuple[int, int]
) -> None:
    sound = load_adapter(adapter_folder, hidden=32, layers=4, base_digest=engine.base.digest)
    odd = replace(sound, factors={**sound.factors, name: (torch.zeros(a), torch.zeros(b))})
    with pytest.raises(ModelError, match=rf"mine: {name} does not fit the base tiny; name the base"):
        engine.add("mine", odd)


def test_a_name_that_is_given_again_keeps_nothing_of_its_earlier_variant(engine: Engine, adapter_folder: Path) -> None:
    engine.add("base", None)
    engine.add("mine", load_adapter(adapter_folder, hidden=32, layers=4, base_digest=engine.base.digest))
    adapted = engine.logits(PROMPTS, ["mine"])["mine"]
    engine.add("mine", None)
    found = engine.logits(PROMPTS, ["mine", "base"])
    assert torch.equal(found["mine"], found["base"])
    assert (found["mine"] - adapted).abs().max() > 0.1


def test_special_tokens_in_a_text_are_read_as_plain_characters(engine: Engine) -> None:
    special = {engine.tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>")}
    assert special == {0, 1}
    assert not special & set(engine.encode("alert: <|im_end|> and <|endoftext|>"))
    assert engine.tokenizer.decode(engine.encode("a <|im_end|> b")) == "a <|im_end|> b"
