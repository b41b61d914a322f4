"""GGUF files: what their conversion keeps and refuses, and that it is whole or absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from turncoat.models.bases import resolve_base, turncoat_home
from turncoat.models.conversion import convert_gguf
from turncoat.scenarios.errors import ModelError

from ..full_disk import full_disk
from .gguf_files import write_tiny_gemma, write_tiny_gguf


@pytest.fixture(autouse=True)
def own_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own model cache, but for those that ask for the real model."""
    if "real_base" not in request.fixturenames:
        monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))


def refusal(spec: Path | str) -> str:
    """What a person reads when the spec is refused."""
    with pytest.raises(ModelError) as caught:
        resolve_base(str(spec))
    return str(caught.value)


@pytest.mark.parametrize("content", [b"not a model", b"GGUF" + b"\xff" * 64, b"GGUF"])
def test_a_file_that_is_no_gguf_model_leaves_no_folder(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fake.gguf"
    file.write_bytes(content)
    assert str(file) in refusal(file)
    assert not list((turncoat_home() / "bases").glob("[!.]*"))


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
