"""Adapter folders: ours are PEFT's own, and a hostile one ends in a message."""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from turncoat.models.adapter import Adapter, load_adapter, save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.head import save_head
from turncoat.models.lora import LoraShape
from turncoat.scenarios.errors import ModelError

from ..full_disk import full_disk

WEIGHTS, CONFIG, HEAD = "adapter_model.safetensors", "adapter_config.json", "head.safetensors"
PROMPTS = [[5, 6, 7], [11, 12, 13, 14, 15, 16, 17, 18], [9]]


def load(folder: Path, base: BaseFolder) -> Adapter:
    return load_adapter(folder, hidden=32, layers=4, base_digest=base.digest)


def test_peft_reads_our_folder_and_gives_the_same_logits(
    adapter_folder: Path, tiny_base: BaseFolder, engine: Engine
) -> None:
    plain = AutoModelForCausalLM.from_pretrained(tiny_base.path, dtype=torch.float32, attn_implementation="eager")
    model = PeftModel.from_pretrained(plain, str(adapter_folder)).eval()
    head = load_file(adapter_folder / HEAD)["weight"]
    expected = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            states = model(input_ids=torch.tensor([prompt]), output_hidden_states=True).hidden_states[-1]
            expected.append(head @ states[0, -1])
    engine.add("mine", load(adapter_folder, tiny_base))
    engine.add("base", None)
    found = engine.logits(PROMPTS, ["mine", "base"])
    torch.testing.assert_close(found["mine"], torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert (found["mine"] - found["base"]).abs().max() > 0.1


def test_what_was_saved_is_what_is_read(adapter_folder: Path, tiny_base: BaseFolder) -> None:
    adapter = load(adapter_folder, tiny_base)
    assert (adapter.shape.rank, adapter.shape.alpha, adapter.shape.scale, adapter.shape.first_layer) == (4, 8, 2, 2)
    assert len(adapter.factors) == 2 * 7
    saved = load_file(adapter_folder / WEIGHTS)
    a, b = adapter.factors["layers.3.mlp.down_proj"]
    assert torch.equal(a, saved["base_model.model.model.layers.3.mlp.down_proj.lora_A.weight"])
    assert torch.equal(b, saved["base_model.model.model.layers.3.mlp.down_proj.lora_B.weight"])
    assert adapter.head is not None
    assert torch.equal(adapter.head, load_file(adapter_folder / HEAD)["weight"])


def test_weights_that_find_no_room_end_in_an_error_of_the_system_and_replace_nothing(adapter_folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in adapter_folder.iterdir()}
    factors = {"layers.3.mlp.up_proj": (torch.ones(4, 32), torch.ones(64, 4))}
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_adapter(adapter_folder, factors, LoraShape(4, 8, 2), torch.ones(2, 32),
                     layers=4, base_name="b", base_digest="d", prompt_version="1")  # fmt: skip
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_head(torch.ones(2, 32), adapter_folder / HEAD, {})
    assert before.items() <= {path.name: path.read_bytes() for path in adapter_folder.iterdir()}.items()


def test_without_a_head_of_its_own_an_adapter_uses_the_label_rows_of_the_base(
    adapter_folder: Path, tiny_base: BaseFolder
) -> None:
    (adapter_folder / HEAD).unlink()
    assert load(adapter_folder, tiny_base).head is None


def test_rank_stabilised_scaling_is_applied(adapter_folder: Path, tiny_base: BaseFolder) -> None:
    configure(adapter_folder, use_rslora=True)
    assert load(adapter_folder, tiny_base).shape.scale == pytest.approx(8 / 4**0.5)


def test_the_digest_changes_with_the_weights(adapter_folder: Path, tiny_base: BaseFolder) -> None:
    before = load(adapter_folder, tiny_base).digest
    tensors = load_file(adapter_folder / WEIGHTS)
    save_file({key: value + 0.01 for key, value in tensors.items()}, adapter_folder / WEIGHTS)
    assert load(adapter_folder, tiny_base).digest != before


def configure(folder: Path, **settings: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | settings))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {key.replace(old, new): value for key, value in tensors.items()}


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("a-pickle-was-opened", "w")  # type: ignore[return-value]


def truncate(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-100])


def nan_in(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / file)
        next(iter(tensors.values()))[0, 0] = float("nan")
        save_file(tensors, folder / file)

    return spoil


def swapped_for_a_folder(file: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / file).unlink(), (folder / file).mkdir())


def only_a_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(_Payload()))


HOSTILE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "weights cut short": (truncate(WEIGHTS), WEIGHTS, "not a readable safetensors file"),
    "head cut short": (truncate(HEAD), HEAD, "not a readable safetensors file"),
    "empty weights": (lambda f: (f / WEIGHTS).write_bytes(b""), WEIGHTS, "not a readable safetensors file"),
    "a pickle under the right name": (
        lambda f: (f / WEIGHTS).write_bytes(pickle.dumps(_Payload())), WEIGHTS, "not a readable safetensors file"),
    "a pickle as head": (lambda f: (f / HEAD).write_bytes(pickle.dumps(_Payload())), HEAD, "not a readable"),
    "only a pickle": (only_a_pickle, WEIGHTS, "adapter_model.bin may be a pickle and is never opened"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), WEIGHTS, "is missing"),
    "a folder as weights": (swapped_for_a_folder(WEIGHTS), WEIGHTS, "not a readable safetensors file"),
    "a folder as head": (swapped_for_a_folder(HEAD), HEAD, "not a readable safetensors file"),
    "a folder as configuration": (swapped_for_a_folder(CONFIG), CONFIG, "not readable as JSON"),
    "a header of 2^60 bytes": (
        lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), WEIGHTS, "not a readable"),
    "a header that claims more than there is": (
        lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 90) + (
            b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}').ljust(90)),
        WEIGHTS, "not a readable"),
    "no tensors": (lambda f: save_file({}, f / WEIGHTS), WEIGHTS, "holds no tensors"),
    "renamed tensors": (lambda f: rewrite(f, renamed("lora_A", "lora_Z")), WEIGHTS, "unexpected tensor"),
    "an embedding among them": (
        lambda f: rewrite(f, lambda t: t | {"base_model.model.model.embed_tokens.weight": torch.zeros(2, 2)}),
        WEIGHTS, "unexpected tensor 'base_model.model.model.embed_tokens.weight'"),
    "a layer that the base lacks": (lambda f: rewrite(f, renamed("layers.3", "layers.4")), WEIGHTS, "unexpected tensor"),
    "a layer number of 5,000 digits": (
        lambda f: rewrite(f, renamed("layers.3", "layers." + "3" * 5000)), WEIGHTS, "not a readable"),
    "a factor without its partner": (
        lambda f: rewrite(f, lambda t: dict(list(t.items())[1:])), WEIGHTS, "lacks a factor"),
    "another rank than configured": (lambda f: configure(f, r=5), WEIGHTS, "does not have rank 5"),
    "factors that are not finite": (nan_in(WEIGHTS), WEIGHTS, "holds values that are not finite"),
    "a head that is not finite": (nan_in(HEAD), HEAD, "holds values that are not finite"),
    "a head of three rows": (lambda f: save_file({"weight": torch.zeros(3, 32)}, f / HEAD), HEAD, "not one `weight`"),
    "a head of another base": (
        lambda f: save_file({"weight": torch.zeros(2, 32)}, f / HEAD, metadata={"base": "0" * 64}),
        HEAD, "was trained on another base model; name that base with --base"),
    "a head for another prompt": (
        lambda f: save_file({"weight": torch.zeros(2, 32)}, f / HEAD, metadata={"prompt_version": "0"}),
        HEAD, "was trained for prompt version '0'; train it again"),
    "no configuration": (lambda f: (f / CONFIG).unlink(), CONFIG, "is missing"),
    "huge configuration": (lambda f: (f / CONFIG).write_text("[" * (2 << 20)), CONFIG, "larger than 1 MiB"),
    "deeply nested configuration": (lambda f: (f / CONFIG).write_text("[" * 500_000), CONFIG, "not readable as JSON"),
    "configuration that is a list": (lambda f: (f / CONFIG).write_text("[]"), CONFIG, "is not a JSON object"),
    "configuration that is no text": (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), CONFIG, "not readable as JSON"),
    "another kind of adapter": (lambda f: configure(f, peft_type="IA3"), CONFIG, "peft_type is 'IA3'"),
    "further modules": (lambda f: configure(f, modules_to_save=["lm_head"]), CONFIG, "asks for modules_to_save"),
    "DoRA": (lambda f: configure(f, use_dora=True), CONFIG, "asks for use_dora"),
    "trained biases": (lambda f: configure(f, bias="all"), CONFIG, "asks for bias"),
    "layers shown twice": (lambda f: configure(f, layer_replication=[[0, 4], [2, 4]]), CONFIG, "asks for layer_replication"),
    "a start that changes the base": (lambda f: configure(f, init_lora_weights="pissa"), CONFIG, "asks for init_lora_weights"),
    "a start at random": (lambda f: configure(f, init_lora_weights=False), CONFIG, "asks for init_lora_weights"),
    "a start of an odd type": (lambda f: configure(f, init_lora_weights={"x": 1}), CONFIG, "asks for init_lora_weights"),
    "rank zero": (lambda f: configure(f, r=0), CONFIG, "rank 0, alpha 8"),
    "rank in words": (lambda f: configure(f, r="8"), CONFIG, "rank 8, alpha 8"),
    "alpha not a number": (lambda f: configure(f, lora_alpha=float("nan")), CONFIG, "alpha nan"),
    "alpha of 400 digits": (lambda f: configure(f, lora_alpha=10**400), CONFIG, "alpha 1000"),
    "manifest that is no JSON": (lambda f: (f / "manifest.json").write_text("{"), "manifest.json", "not readable as JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_ends_in_a_message_with_place_and_cure(
    name: str, adapter_folder: Path, tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, file, fault = HOSTILE[name]
    spoil(adapter_folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=re.escape(fault)) as caught:
        load(adapter_folder, tiny_base)
    (mistake,) = caught.value.mistakes
    assert mistake.place == str(adapter_folder / file)
    assert mistake.cure
    assert not (tmp_path / "a-pickle-was-opened").exists()


@pytest.mark.parametrize("there", ["a file", "nothing"])
def test_what_is_no_folder_is_refused(there: str, tiny_base: BaseFolder, tmp_path: Path) -> None:
    place = tmp_path / "adapter"
    if there == "a file":
        place.write_text("x")
    with pytest.raises(ModelError, match="no adapter folder there; give a folder with"):
        load(place, tiny_base)


def test_factors_of_a_wider_base_are_refused(adapter_folder: Path, tiny_base: BaseFolder, engine: Engine) -> None:
    (adapter_folder / HEAD).unlink()  # nothing names the base: the shapes must tell
    rewrite(adapter_folder, lambda t: {k: torch.zeros(4, 48) if "lora_A" in k else v for k, v in t.items()})
    with pytest.raises(ModelError, match="does not fit the base tiny; name the base it was trained on"):
        engine.add("mine", load(adapter_folder, tiny_base))
