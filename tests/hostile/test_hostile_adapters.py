"""Hostile adapters and base models: nothing is unpickled, nothing is run, and each ends in a message before any verdict."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape

from ..command_line import PROGRAM

WEIGHTS, CONFIG, HEAD, MANIFEST = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "head.safetensors",
    "manifest.json",
)
ALERT = {"uid": "a", "time": "2025-01-06T09:41:00Z", "title": "Odd sign-in", "severity": "low"}
WIDTHS = {"self_attn.q_proj": (32, 32), "self_attn.k_proj": (32, 16), "mlp.down_proj": (64, 32)}
"""Of the tiny base: inputs and outputs."""


class _Payload:
    """Leaves a trace wherever it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("a-pickle-was-opened", "w")


PICKLE = pickle.dumps(_Payload())


def write_adapter(folder: Path, base_digest: str) -> Path:
    """A sound adapter for the tiny base."""
    chance = torch.Generator().manual_seed(1)
    factors = {
        f"layers.{layer}.{name}": (torch.randn(4, wide, generator=chance), torch.randn(out, 4, generator=chance))
        for layer in (2, 3)
        for name, (wide, out) in WIDTHS.items()
    }
    save_adapter(
        folder, factors, LoraShape(4, 8, 2), torch.randn(2, 32, generator=chance),
        layers=4, base_name="tiny", base_digest=base_digest, prompt_version="1",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def sound(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("sound") / "adapter", tiny_base.digest)


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    """A sound adapter, to be spoilt."""
    (tmp_path / "a.jsonl").write_text(json.dumps(ALERT))
    return Path(shutil.copytree(sound, tmp_path / "adapter"))


@pytest.fixture
def under(tiny_base: BaseFolder, triage: Any) -> Callable[..., Any]:
    """Arguments of a triage under an adapter of the tiny base."""
    return lambda spec: triage("a.jsonl", "jsonl", "--base", str(tiny_base.path), "--variant", spec)


def configured(**settings: object) -> Callable[[Path], object]:
    return lambda folder: (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | settings))


def tensors(change: Callable[[torch.Tensor], torch.Tensor], file: str = WEIGHTS) -> Callable[[Path], object]:
    return lambda folder: save_file({key: change(t) for key, t in load_file(folder / file).items()}, folder / file)


def holding(file: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(content)


def linked(file: str, target: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / file).unlink(missing_ok=True), (folder / file).symlink_to(target))


def piped(file: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / file).unlink(missing_ok=True), os.mkfifo(folder / file))


def only_a_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(PICKLE)


def of_another_base(folder: Path) -> None:
    shutil.rmtree(folder)
    write_adapter(folder, base_digest="0" * 64)


def wider(folder: Path) -> None:
    (folder / HEAD).unlink()  # nothing names the base: the shapes must tell
    tensors(lambda t: torch.zeros(4, 48) if t.shape[0] == 4 else t)(folder)


HUGE = struct.pack("<Q", 1 << 60) + b"{}"
LYING = struct.pack("<Q", 90) + b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'.ljust(
    90
)

ADAPTERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a pickle posing as weights": (holding(WEIGHTS, PICKLE), WEIGHTS, "not a readable safetensors file"),
    "a pickle posing as a head": (holding(HEAD, PICKLE), HEAD, "not a readable safetensors file"),
    "only a pickle": (only_a_pickle, WEIGHTS, "adapter_model.bin may be a pickle and is never opened"),
    "weights cut short": (lambda f: os.truncate(f / WEIGHTS, 900), WEIGHTS, "not a readable safetensors file"),
    "a header of 2^60 bytes": (holding(WEIGHTS, HUGE), WEIGHTS, "not a readable safetensors file"),
    "a header that claims four terabytes": (holding(WEIGHTS, LYING), WEIGHTS, "not a readable safetensors file"),
    "weights that are not numbers": (tensors(lambda t: t * float("nan")), WEIGHTS, "values that are not finite"),
    "a head that is infinite": (tensors(lambda t: t * float("inf"), HEAD), HEAD, "values that are not finite"),
    "a wider base": (wider, "", "does not fit the base"),
    "another base of the same width": (of_another_base, HEAD, "was trained on another base model"),
    "code of its own": (configured(auto_mapping={"parent_library": "os"}), CONFIG, "asks for auto_mapping"),
    "code by the base's key": (configured(auto_map={"AutoModel": "x.Y"}), CONFIG, "asks for auto_map"),
    "trust in remote code": (configured(trust_remote_code=True), CONFIG, "asks for trust_remote_code"),
    "further modules": (configured(modules_to_save=["lm_head"]), CONFIG, "asks for modules_to_save"),
    "a kind that unpickles": (configured(peft_type="PROMPT_TUNING"), CONFIG, "peft_type is 'PROMPT_TUNING'"),
    "a rank of 10^400": (configured(r=10**400), CONFIG, "rank must be 1 to 1024"),
    "a nested configuration": (holding(CONFIG, b'{"r": ' + b"[" * 200_000), CONFIG, "not readable as JSON"),
    "a configuration of 5 MB": (holding(CONFIG, b" " * 5_000_000), CONFIG, "larger than 1 MiB"),
    "a configuration that is a device": (linked(CONFIG, "/dev/zero"), CONFIG, "not a regular file"),
    "a configuration that is the password file": (linked(CONFIG, "/etc/passwd"), CONFIG, "not readable as JSON"),
    "weights that are the password file": (linked(WEIGHTS, "/etc/passwd"), WEIGHTS, "not a readable safetensors file"),
    "weights that are a pipe": (piped(WEIGHTS), WEIGHTS, "not a regular file"),
    "a head that is a pipe": (piped(HEAD), HEAD, "not a regular file"),
    "a head that leads nowhere": (linked(HEAD, "absent"), HEAD, "not a regular file"),
    "a manifest that is a list": (holding(MANIFEST, b"[]"), MANIFEST, "is not a JSON object"),
    "a manifest of 5 MB": (holding(MANIFEST, b'{"x": "' + b"y" * 5_000_000 + b'"}'), MANIFEST, "larger than 1 MiB"),
    "a manifest that is a device": (linked(MANIFEST, "/dev/zero"), MANIFEST, "not a regular file"),
    "no configuration": (lambda f: (f / CONFIG).unlink(), CONFIG, "is missing"),
}  # fmt: skip


def test_a_sound_adapter_decides(adapter: Path, turncoat: Any, under: Any, decisions: Any) -> None:
    assert turncoat(*under("mine=adapter")).code == 0
    (row,) = decisions()
    assert row["verdict"]["tokens"] > 0
    assert not row["decision"]["forced"]


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_hostile_adapter_ends_in_a_message_before_any_verdict(
    name: str, adapter: Path, tmp_path: Path, refused: Any, under: Any, decisions: Any
) -> None:
    spoil, file, fault = ADAPTERS[name]
    spoil(adapter)
    said = refused(*under("mine=adapter"))
    assert said.startswith(f"turncoat: adapter/{file}" if file else "turncoat: mine: ")
    assert fault in said
    assert "root:" not in said
    assert decisions() == []
    assert not (tmp_path / "a-pickle-was-opened").exists()


@pytest.mark.parametrize(
    "spec", ["mine=absent", "mine=a.jsonl", "mine=", "=adapter", "mine=a\nb\x1b[2J", "mine=" + "a" * 5_000]
)
def test_what_is_no_adapter_folder_is_refused(
    spec: str, adapter: Path, refused: Any, under: Any, decisions: Any
) -> None:
    assert "turncoat: " in refused(*under(spec))
    assert decisions() == []


def test_weights_that_overflow_force_the_escalation(adapter: Path, turncoat: Any, under: Any, decisions: Any) -> None:
    tensors(lambda t: t.sign() * 3e38)(adapter)
    assert turncoat(*under("mine=adapter")).code == 0
    (row,) = decisions()
    assert (row["decision"]["action"], row["decision"]["forced"]) == ("escalate", True)
    assert row["decision"]["reason"] == "the model gave no verdict"


def test_a_field_of_ten_megabytes_is_escalated_by_force_under_a_model(
    adapter: Path, tmp_path: Path, turncoat: Any, under: Any, decisions: Any
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ALERT | {"activity": "A" * 10_000_000}))
    assert turncoat(*under("mine=adapter")).code == 0
    (row,) = decisions()
    assert (row["decision"]["action"], row["decision"]["forced"]) == ("escalate", True)
    assert row["decision"]["reason"] == "the prompt lost a required field"


def test_a_variant_named_like_a_formula_stays_text_in_the_csv(
    adapter: Path, campaign: str, tiny_base: BaseFolder, tmp_path: Path, turncoat: Any
) -> None:
    (tmp_path / "c.yaml").write_text(campaign)
    spec = "@SUM(A1:A9)\x1b[2J=adapter"
    assert turncoat("run", "c.yaml", "--base", str(tiny_base.path), "--variant", spec, "--out", "o").code == 0
    rows = (tmp_path / "o" / "comparison.csv").read_text().splitlines()[1:]
    assert [row.split(",")[3][:6] for row in rows] == ["'@SUM("] * 2


def test_a_process_of_its_own_opens_no_pickle(adapter: Path, tiny_base: BaseFolder, tmp_path: Path) -> None:
    only_a_pickle(adapter)
    arguments = ("run", "--base", str(tiny_base.path), "--variant", "mine=adapter", "--quiet")
    ended = subprocess.run((*PROGRAM, *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "turncoat: adapter/adapter_model.safetensors: is missing; adapter_model.bin may be a pickle"
    )
    assert not (tmp_path / "a-pickle-was-opened").exists()


def spoilt_json(file: str, **change: object) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))


def only_pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(PICKLE)


def other_names(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({f"other.{key}": tensor for key, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


BASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "code of its own": (spoilt_json("config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}), "asks for code of its own"),
    "a tokenizer with code": (spoilt_json("tokenizer_config.json", auto_map={"AutoTokenizer": "evil.T"}), "asks for code"),
    "only a pickle": (only_pickled_weights, "pickles only (pytorch_model.bin)"),
    "a pickle posing as weights": (holding("model.safetensors", PICKLE), "is no safetensors file"),
    "weights cut short": (lambda f: os.truncate(f / "model.safetensors", 9_000), "is cut short by"),
    "weights of other names": (other_names, "the base lacks 39 of its tensors (lm_head.weight)"),
    "an unknown architecture": (spoilt_json("config.json", model_type="evil"), "the base cannot be loaded"),
    "a width in words": (spoilt_json("config.json", hidden_size="wide"), "names a width of wide where the weights"),
    "another width": (spoilt_json("config.json", hidden_size=64), "names a width of 64 where the weights"),
    "a tokenizer that is none": (holding("tokenizer.json", b"{}"), "the base cannot be loaded"),
    "a configuration that is a list": (holding("config.json", b"[]"), "holds no JSON object"),
    "a configuration that is nested": (holding("config.json", b'{"a":' * 100_000), "is no JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_a_hostile_base_ends_in_a_message_before_any_verdict(
    name: str, tiny_base: BaseFolder, tmp_path: Path, refused: Any, triage: Any, decisions: Any
) -> None:
    spoil, fault = BASES[name]
    folder = Path(shutil.copytree(tiny_base.path, tmp_path / "base"))
    spoil(folder)
    (tmp_path / "a.jsonl").write_text(json.dumps(ALERT))
    assert fault in refused(*triage("a.jsonl", "jsonl", "--base", "base", "--variant", "baseline"))
    assert decisions() == []
    assert not (tmp_path / "a-pickle-was-opened").exists()
