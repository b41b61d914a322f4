"""Model folders that try something: each is refused before anything of it is loaded, and the message says what it tried."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from turncoat.models.base_folder import BaseFolder
from turncoat.models.bases import resolve_base
from turncoat.scenarios.errors import ModelError

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3")
Tiny = Callable[[str], BaseFolder]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own memory of digests."""
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tiny_base_of: Tiny, tmp_path: Path) -> Path:
    """A sound tiny Qwen3, to be spoilt."""
    return Path(copytree(tiny_base_of("qwen3").path, tmp_path / "model"))


def refusal(folder: Path) -> str:
    """What a person reads."""
    with pytest.raises(ModelError) as caught:
        resolve_base(str(folder))
    return str(caught.value)


def change(file: Path, **settings: Any) -> None:
    """Sets values in a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sound_folder_of_each_architecture_is_taken(tiny_base_of: Tiny, architecture: str) -> None:
    base = tiny_base_of(architecture)
    assert resolve_base(str(base.path)).digest == base.digest


@pytest.mark.parametrize("named", ARCHITECTURES)
@pytest.mark.parametrize("held", ARCHITECTURES)
def test_weights_of_another_architecture_than_the_named_one_are_refused(
    tiny_base_of: Tiny, tmp_path: Path, named: str, held: str
) -> None:
    folder = Path(copytree(tiny_base_of(held).path, tmp_path / "model"))
    (folder / "config.json").write_text((tiny_base_of(named).path / "config.json").read_text())
    if named == held:
        assert resolve_base(str(folder)).digest == tiny_base_of(held).digest
    else:
        kind = {"gemma3": "gemma3_text"}
        told = f"names the architecture {kind.get(named, named)!r} where the weights are those of "
        assert told + kind.get(held, held) in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"num_hidden_layers": 2}, "names 2 layers where the weights have 3"),
        ({"hidden_size": 64}, "names a width of 64 where the weights have 32"),
    ],
)
def test_weights_of_another_shape_than_the_named_one_are_refused(
    folder: Path, settings: dict[str, Any], fault: str
) -> None:
    change(folder / "config.json", **settings)
    assert fault in refusal(folder)


@pytest.mark.parametrize(
    ("file", "settings", "fault"),
    [
        ("config.json", {"text_config": {"auto_map": {"A": "x.Y"}}}, "asks for code of its own to be run ('auto_map')"),
        ("generation_config.json", {"auto_map": {"A": "x.Y"}}, "asks for code of its own to be run"),
        ("config.json", {"_attn_implementation": "who/kernel"}, "names something outside the folder to be loaded"),
        ("config.json", {"experts_implementation": "who/kernel"}, "names something outside the folder to be loaded"),
        ("config.json", {"weights": ["https://example.org/w"]}, "names an address to fetch from ('weights')"),
        ("tokenizer_config.json", {"tokenizer_file": "/etc/passwd"}, "names something outside the folder"),
        ("tokenizer_config.json", {"vocab_file": "vocab.json"}, "names something outside the folder"),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["../t.json"]}, "names something outside the folder"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "fp8"}},
            "says that the weights are quantised already",
        ),
    ],
)
def test_settings_that_reach_out_of_the_folder_are_refused(
    folder: Path, file: str, settings: dict[str, Any], fault: str
) -> None:
    if not (folder / file).exists():
        (folder / file).write_text("{}")
    change(folder / file, **settings)
    assert f"{file}: {fault}" in refusal(folder)


def test_addresses_in_text_and_plain_implementations_are_no_fault(folder: Path) -> None:
    change(folder / "tokenizer_config.json", chat_template="https://example.org is text", tokenizer_file=None)
    change(folder / "config.json", _attn_implementation="sdpa", _name_or_path="/where/it/was/made")
    assert resolve_base(str(folder)).path == folder.resolve()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "special_tokens_map.json"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path, file: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to(outside)
    assert f"{file}: is a link to a place outside the folder" in refusal(folder)


def test_links_within_a_snapshot_of_the_hubs_cache_are_taken(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "models--own--tiny"
    (store / "blobs").mkdir(parents=True)
    (store / "snapshots").mkdir()
    snapshot = folder.rename(store / "snapshots" / "main")
    weights = (snapshot / "model.safetensors").rename(store / "blobs" / "0123")
    (snapshot / "model.safetensors").symlink_to(weights)
    assert resolve_base(str(snapshot)).path == snapshot.resolve()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_a_pipe_in_place_of_a_file_does_not_wait_for_ever(folder: Path, file: str) -> None:
    (folder / file).unlink()
    os.mkfifo(folder / file)
    assert "is no regular file" in refusal(folder)


def test_an_adapter_in_a_base_folder_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "who/knows"}')
    assert "is an adapter or holds one" in refusal(folder)


def test_a_header_made_to_fill_the_memory_is_refused(folder: Path) -> None:
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 65 * 2**20))
        file.truncate(66 * 2**20)  # a sparse file takes no room
    assert "has a header of 65 MiB where 64 are the most" in refusal(folder)


def test_a_tokenizer_of_unreasonable_size_is_refused(folder: Path) -> None:
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(257 * 2**20)
    assert "tokenizer.json: is larger than 256 MiB" in refusal(folder)


def test_a_shard_in_another_folder_is_refused(folder: Path) -> None:
    index = {"weight_map": {"w": "../elsewhere/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "names a shard in another folder (../elsewhere/model.safetensors)" in refusal(folder)


def test_biases_that_the_configuration_announces_are_no_other_architecture(tiny_base_of: Tiny, tmp_path: Path) -> None:
    folder = Path(copytree(tiny_base_of("llama").path, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.self_attn.q_proj.bias"] = torch.zeros(32)
    save_file(weights, folder / "model.safetensors")
    assert "are those of qwen2" in refusal(folder)
    change(folder / "config.json", attention_bias=True)
    assert resolve_base(str(folder)).path == folder.resolve()
