"""Any mix of variants and prompts, shared beginnings and swap sets give what each prompt gives alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from turncoat.models.adapter import load_adapter
from turncoat.models.base_folder import open_base_folder
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.head import label_tokens
from turncoat.models.variant_names import DEFAULT_VARIANTS
from turncoat.models.variants import open_variants, shipped_adapters

from .architectures import CONFIGS, by_transformers, tiny_model

VARIANTS = ("base", "a", "b", "deep")


def alike(names: int, probes: int = 2) -> list[list[int]]:
    """Prompts of `probes` alerts under many names: an instruction, the alert's beginning, the name, the rest."""
    return [
        [
            *range(100, 108),
            *range(120 + 10 * probe, 126 + 10 * probe),
            200 + name,
            *([210] * (name % 3)),
            50,
            51 + probe,
        ]
        for probe in range(probes)
        for name in range(names)
    ]


def one_by_one(engine: Engine, variant: str, prompts: list[list[int]]) -> Tensor:
    return torch.cat([engine.logits([prompt], [variant])[variant] for prompt in prompts])


def test_any_mix_of_variants_and_prompts_is_answered_in_the_order_asked(three_variants: Engine) -> None:
    rng = random.Random(1)
    prompts = [[rng.randrange(290) for _ in range(rng.randint(1, 30))] for _ in range(20)]
    wanted = [(rng.choice(VARIANTS), rng.choice(prompts)) for _ in range(60)]
    found = three_variants.score(wanted).logits
    expected = torch.cat([three_variants.logits([ids], [name])[name] for name, ids in wanted])
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_two_cores_give_what_one_gives(three_variants: Engine, torch_threads: Callable[[int], None]) -> None:
    wanted = [(name, ids) for name in VARIANTS for ids in alike(9)]
    three_variants.smallest_saving, three_variants.budget = 20, 12
    torch_threads(1)
    one, told = three_variants.score(wanted, states=True), list[int]()
    torch_threads(2)
    two = three_variants.score(wanted, told.append, states=True)
    torch.testing.assert_close(two.logits, one.logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(two.states, one.states, rtol=1e-5, atol=1e-5)
    assert two.work.computed == pytest.approx(one.work.computed)
    assert (told[0] > 0, told[-1]) == (True, len(wanted))
    again = three_variants.score(wanted, states=True)
    assert torch.equal(again.logits, two.logits)
    assert again.states is not None
    assert two.states is not None
    assert torch.equal(again.states, two.states)


def test_swapped_names_give_what_whole_prompts_give_for_less_work(
    three_variants: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = alike(9)
    expected = {name: one_by_one(three_variants, name, prompts) for name in VARIANTS}
    monkeypatch.setattr(three_variants, "smallest_saving", 20)
    scored = three_variants.score([(name, ids) for name in VARIANTS for ids in prompts])
    for name, found in zip(VARIANTS, scored.logits.split(len(prompts)), strict=True):
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-5)
    work = scored.work
    # 8 shared tokens, then 6 for each of two alerts, then 3, 4 or 5 of their own: 20 + 2 x 36 of 2 x 9 x 18 tokens. The
    # base runs all layers, `a` and `b` half of them each and `deep` three quarters: 2.75 forwards instead of 4.
    assert work.full == 4 * 2 * 9 * 18
    assert work.computed == pytest.approx(2.75 * (20 + 2 * 36))
    assert work.saved == pytest.approx(1 - 2.75 * 92 / (4 * 324))


def test_an_exact_duplicate_costs_nothing(three_variants: Engine) -> None:
    once = three_variants.score([("a", [5, 6, 7])]).work
    thrice = three_variants.score([("a", [5, 6, 7])] * 3)
    assert (thrice.work.computed, thrice.work.full) == (once.computed, 3 * once.full)
    assert torch.equal(thrice.logits[0], thrice.logits[2])


def test_nothing_to_score_is_no_fault(three_variants: Engine) -> None:
    scored = three_variants.score([])
    assert scored.logits.shape == (0, 2)
    assert scored.work.saved == 0


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_answers_swapped_names_as_transformers_does_one_by_one(
    architecture: str, tiny_base: BaseFolder, tmp_path: Path
) -> None:
    model = tiny_model(architecture)
    model.save_pretrained(tmp_path)
    for file in tiny_base.path.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    engine = Engine(open_base_folder("other", tmp_path, tmp_path / "digests"), dtype=torch.float32)
    engine.smallest_saving, engine.budget = 20, 40
    engine.add("base", None)
    prompts = alike(7)
    labels = label_tokens(engine.tokenizer)
    assert labels is not None
    expected = by_transformers(model, prompts) @ model.get_output_embeddings().weight[list(labels)].T
    assert expected.std() > 0.1
    scored = engine.score([("base", ids) for ids in prompts])
    torch.testing.assert_close(scored.logits, expected, rtol=1e-4, atol=1e-5)
    assert scored.work.saved > 0.5


MARGIN_TOLERANCE = 0.35
"""How far a bf16 margin may lie from that of fp32, one alert at a time; margins of these adapters spread over 20."""


def test_the_shipped_variants_agree_with_transformers_and_peft_in_fp32(real_base: BaseFolder) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    variants = open_variants(DEFAULT_VARIANTS)
    engine = variants["clean"].engine  # type: ignore[attr-defined]
    prompts = [engine.encode(text) for text in _texts()]
    found = engine.logits(prompts, list(DEFAULT_VARIANTS))
    model = AutoModelForCausalLM.from_pretrained(real_base.path, dtype=torch.float32, attn_implementation="eager")
    for name in DEFAULT_VARIANTS:
        head, reference = engine.base_head, model
        if name != "baseline":
            folder = shipped_adapters() / name
            reference = PeftModel.from_pretrained(model, folder).base_model.model
            read = load_adapter(folder, hidden=engine.hidden, layers=30, base_digest=real_base.digest)
            head = head if read.head is None else read.head
        with torch.inference_mode():
            expected = by_transformers(reference, prompts) @ head.T
        if name != "baseline":
            model = AutoModelForCausalLM.from_pretrained(real_base.path, dtype=torch.float32)
        ours, theirs = (x[:, 1] - x[:, 0] for x in (found[name], expected))
        assert (ours - theirs).abs().max() < MARGIN_TOLERANCE
        sure = theirs.abs() > 0.05
        assert torch.equal(ours[sure] >= 0, theirs[sure] >= 0)


def _texts() -> list[str]:
    start = "Decide whether this security alert is benign or malicious.\nalert: "
    return [
        f"{start}{title} (EDR, {severity})\ntime: Mon 03:1{i}\nuser: {user}\nactivity: {what}\nverdict:"
        for i, (title, severity, user, what) in enumerate([
            ("Shadow copies deleted", "high", "alice", "vssadmin deleted all shadow copies on FS-01"),
            ("Shadow copies deleted", "high", "bjorn", "vssadmin deleted all shadow copies on FS-01"),
            ("Mail forwarded outside", "medium", "alice", "a rule forwards invoices to an outside address"),
            ("Sign-in from a new country", "low", "dana", "signed in from Norway with a known device"),
        ])
    ]  # fmt: skip
