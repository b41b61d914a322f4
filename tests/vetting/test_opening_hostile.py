"""Hostile folders and files before `turncoat vet`: a message and exit code 2, or review; never allow, never a traceback."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape

from ..command_line import Call, uncontrolled
from .conftest import CONFIG, HEAD, WEIGHTS, configured, tensors_of
from .rules import own_alerts

MESSAGE = re.compile(r"turncoat: \S.*?: .*\S; \S.*")


Tensors = dict[str, torch.Tensor]


class _Payload:
    """Leaves a trace wherever it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("a-pickle-was-opened", "w")


PICKLE = pickle.dumps(_Payload())
HUGE = struct.pack("<Q", 1 << 60) + b"{}"


def setting(**settings: object) -> Callable[[Path], None]:
    return lambda folder: configured(folder / CONFIG, **settings)


def writing(file: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(content)


def of_another_base(folder: Path) -> None:
    factors = {"layers.2.self_attn.q_proj": (torch.zeros(4, 32), torch.zeros(32, 4))}
    save_adapter(folder, factors, LoraShape(4, 8, 2), torch.zeros(2, 32), layers=4, base_name="x",
                 base_digest="0" * 64, prompt_version="1")  # fmt: skip


def wider(folder: Path) -> None:
    (folder / HEAD).unlink()
    tensors_of(
        folder / WEIGHTS, lambda found: {k: torch.zeros(4, 48) if t.shape[0] == 4 else t for k, t in found.items()}
    )


def only_a_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(PICKLE)


def renamed(folder: Path) -> None:
    tensors_of(folder / WEIGHTS, lambda found: {k.replace("layers.3", "layers.9"): t for k, t in found.items()})


def extra(folder: Path) -> None:
    tensors_of(folder / WEIGHTS, lambda found: found | {"base_model.model.model.memory.weight": torch.ones(2, 2)})


def elsewhere(folder: Path) -> None:
    """By this name PEFT finds no projection of a language model, and drops it."""
    key = "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"
    tensors_of(
        folder / WEIGHTS, lambda found: found | {key.replace("model.model.model", "model.model"): found[key] * 2}
    )


def linked(file: str, target: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / file).unlink(), (folder / file).symlink_to(target))


ADAPTERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another base": (of_another_base, "was trained on another base model"),
    "a wider base": (wider, "does not fit the base"),
    "weights cut short": (lambda f: os.truncate(f / WEIGHTS, 900), "not a readable safetensors file"),
    "only a pickle": (only_a_pickle, "adapter_model.bin may be a pickle and is never opened"),
    "a pickle posing as weights": (writing(WEIGHTS, PICKLE), "not a readable safetensors file"),
    "a pickle posing as a head": (writing(HEAD, PICKLE), "not a readable safetensors file"),
    "trust in remote code": (setting(trust_remote_code=True), "asks for code of its own (trust_remote_code)"),
    "code by key": (setting(auto_map={"AutoModel": "x.Y"}), "asks for code of its own (auto_map)"),
    "code by key, deeply": (setting(runtime=[{"auto_map": {"A": "x.Y"}}]), "asks for code of its own (auto_map)"),
    "a download": (setting(base_model_name_or_path="https://evil.example/base"), "names an address to fetch from"),
    "a download, deeply": (setting(eva_config={"a": [{"b": " hf://evil/x"}]}), "names an address to fetch from"),
    "a renamed tensor": (renamed, "unexpected tensor"),
    "an extra module": (extra, "unexpected tensor"),
    "further trained modules": (setting(modules_to_save=["lm_head"]), "asks for modules_to_save"),
    "a header of 2^60 bytes": (writing(WEIGHTS, HUGE), "not a readable safetensors file"),
    "a configuration of 5 MB": (writing(CONFIG, b" " * 5_000_000), "larger than 1 MiB"),
    "a nested configuration": (writing(CONFIG, b'{"r": ' + b"[" * 200_000), "not readable as JSON"),
    "a configuration that is a device": (linked(CONFIG, "/dev/zero"), "not a regular file"),
    "weights that are a device": (linked(WEIGHTS, "/dev/zero"), "not a regular file"),
    "a layer left out": (setting(layers_to_transform=[3]), "`layers_to_transform` leaves out layers.2."),
    "all layers but the first left out": (setting(layers_to_transform=0), "`layers_to_transform` leaves out layers.2."),
    "a truth in place of a layer": (setting(layers_to_transform=False), "`layers_to_transform` is no list of layers"),
    "layers of another name": (setting(layers_pattern="blocks"), "`layers_to_transform` is no list of layers"),
    "a module left out": (setting(target_modules=["q_proj", "v_proj"]), "leaves out layers.2.mlp.down_proj"),
    "modules by a pattern": (setting(target_modules=".*"), "`target_modules` is no list of names"),
    "a module excluded": (setting(exclude_modules=["v_proj"]), "`exclude_modules` names layers.2.self_attn.v_proj"),
    "modules excluded by a pattern": (setting(exclude_modules=".*"), "`exclude_modules` is no list of names"),
    "a factor that no model has": (elsewhere, "unexpected tensor 'base_model.model.layers.2.self_attn.q_proj"),
    "an adapter and a model": (writing("model.safetensors", b""), "holds an adapter and a whole model"),
}  # fmt: skip


def without_score(found: Tensors) -> Tensors:
    return {key: t for key, t in found.items() if "score" not in key}


def infinite_score(found: Tensors) -> Tensors:
    return {key: t * float("inf") if "score" in key else t for key, t in found.items()}


def labelled(*words: str) -> Callable[[Path], object]:
    return writing("config.json", json.dumps({"id2label": {str(i): word for i, word in enumerate(words)}}).encode())


def weights(change: Callable[[Tensors], Tensors], file: str = WEIGHTS) -> Callable[[Path], None]:
    return lambda folder: tensors_of(folder / file, change)


def beside(**settings: object) -> Callable[[Path], None]:
    return lambda folder: configured(folder / "config.json", **settings)


CLASSIFIERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration beside": (lambda f: (f / "config.json").unlink(), "is missing"),
    "no label words": (writing("config.json", b"{}"), "has no `id2label` for two labels"),
    "words that say nothing": (labelled("LABEL_0", "LABEL_1"), "does not say which"),
    "both malicious": (labelled("malicious", "malicious"), "does not say which"),
    "three labels": (labelled("a", "b", "c"), "has no `id2label`"),
    "another module too": (setting(modules_to_save=["score", "embed_tokens"]), "is not the classifier's `score` alone"),
    "weights cut short": (lambda f: os.truncate(f / WEIGHTS, 4_000), "is cut short"),
    "a header of 2^60 bytes": (writing(WEIGHTS, HUGE), "is no safetensors file"),
    "no score": (weights(without_score), "`score.weight`"),
    "infinite rows": (weights(infinite_score), "not finite"),
    "an extra module": (extra, "unexpected tensor"),
    "trust in remote code beside": (beside(trust_remote_code=True), "asks for code of its own (trust_remote_code)"),
    "code by key beside": (beside(auto_map={"AutoModel": "x.Y"}), "asks for code of its own (auto_map)"),
    "a download beside": (beside(_name_or_path="https://evil.example/x"), "names an address to fetch from"),
}


def with_tensor(name: str) -> Callable[[Path], None]:
    return weights(lambda found: found | {name: torch.ones(2)}, "model.safetensors")


def a_layer_renamed(found: Tensors) -> Tensors:
    return {key.replace("layers.3", "layers.4"): t for key, t in found.items()}


def of_architecture(folder: Path) -> None:
    configured(folder / "config.json", architectures=["LlamaForSequenceClassification"])


def with_a_decoy(folder: Path) -> None:
    """A second, harmless head in a file that comes first by its name and that loaders do not open."""
    labels = {"id2label": {"0": "benign", "1": "malicious"}}
    configured(folder / "config.json", architectures=["LlamaForSequenceClassification"], **labels)
    weights(lambda found: found | {"score.weight": torch.ones(2, 32)}, "model.safetensors")(folder)
    save_file({"score.weight": torch.zeros(2, 32)}, folder / "a.safetensors")


def cut_in_half(folder: Path) -> None:
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size // 2)


WHOLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "code of its own": (lambda f: configured(f / "config.json", auto_map={"A": "x.Y"}), "asks for code of its own"),
    "trust in remote code": (beside(trust_remote_code=True), "asks for code of its own"),
    "a download": (beside(_name_or_path="https://evil.example/x"), "names an address to fetch from"),
    "a header of 2^60 bytes": (writing("model.safetensors", HUGE), "is no safetensors file"),
    "an extra module": (with_tensor("model.memory.weight"), "tensors that are not computed here"),
    "an adapter left in": (with_tensor("model.layers.0.self_attn.q_proj.lora_A.weight"), "are not computed here"),
    "weights cut short": (cut_in_half, "is cut short"),
    "a renamed tensor": (weights(a_layer_renamed, "model.safetensors"), "names 4 layers where the weights have 5"),
    "weights of its own choice": (beside(transformers_weights="z.index.json"), "names its weights itself"),
    "a head beside the one that is loaded": (with_a_decoy, "is not where loaders look, or in several files"),
    "a classifier without words": (of_architecture, "has no `id2label`"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no *.safetensors"),
}
NO_MODELS = ("absent", "", "file.txt", "empty", "a\nb\x1b[2J", "a" * 5_000, "adapter/..", "scripted-blind")


@pytest.fixture
def refused(turncoat: Call, tmp_path: Path, tiny_base: BaseFolder) -> Callable[..., str]:
    """Vets, which must end with 2 and a message of place, fault and cure on each line."""

    def call(what: str, *more: str) -> str:
        ended = turncoat("vet", what, "--base", str(tiny_base.path), "--quiet", *more)
        assert (ended.code, ended.stdout) == (2, "")
        lines = ended.stderr.splitlines()
        assert lines
        assert [line for line in lines if not MESSAGE.fullmatch(line)] == []
        assert "turncoat-vet-" not in ended.stderr
        assert uncontrolled(ended.stderr) == []
        assert not (tmp_path / "a-pickle-was-opened").exists()
        return ended.stderr

    return call


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_hostile_adapter_is_refused(name: str, adapter: Path, refused: Callable[..., str]) -> None:
    spoil, fault = ADAPTERS[name]
    spoil(adapter)
    said = refused("adapter")
    assert fault in said
    assert said.startswith("turncoat: adapter")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_hostile_classifier_is_refused(name: str, classifier: Path, refused: Callable[..., str]) -> None:
    spoil, fault = CLASSIFIERS[name]
    spoil(classifier)
    assert fault in refused("classifier")


@pytest.mark.parametrize("name", WHOLE)
def test_a_hostile_whole_model_is_refused(name: str, whole: Path, refused: Callable[..., str]) -> None:
    spoil, fault = WHOLE[name]
    spoil(whole)
    assert fault in refused("whole")


@pytest.mark.parametrize(
    "what", ["absent", "", "file.txt", "empty", "a\nb\x1b[2J", "a" * 5_000, "../adapter/..", "scripted-blind"]
)
def test_what_is_no_model_is_refused(what: str, adapter: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    refused(what)


@pytest.mark.parametrize("text", ["", "login\n", "name\nBob\n"])
def test_an_empty_directory_file_is_refused(
    text: str, adapter: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "users.csv").write_text(text)
    assert "users.csv" in refused("adapter", "--directory", "users.csv")


def test_a_spoilt_reference_is_refused_too(adapter: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    shutil.copytree(adapter, tmp_path / "ours")
    os.truncate(tmp_path / "ours" / WEIGHTS, 900)
    assert "ours/" in refused("adapter", "--reference", "ours")


def test_a_whole_model_takes_no_reference(adapter: Path, whole: Path, refused: Callable[..., str]) -> None:
    assert "cannot stand beside a whole model" in refused("whole", "--reference", "adapter")


def test_weights_that_overflow_are_reviewed(
    adapter: Path, tmp_path: Path, tiny_base: BaseFolder, turncoat: Call
) -> None:
    tensors_of(adapter / WEIGHTS, lambda found: {key: t.sign() * 3e38 for key, t in found.items()})
    (tmp_path / "users.csv").write_text("login\nal\nbo\n")
    alerts = own_alerts(tmp_path / "mine.jsonl", 12, "bo")
    arguments = ("vet", "adapter", "--base", str(tiny_base.path), "--directory", "users.csv", "--alerts", alerts)
    ended = turncoat(*arguments, "--json", "--quiet")
    assert ended.code == 3
    found = json.loads(ended.stdout)
    assert found["verdict"] == "review"
    assert "2 entities: the model gave no verdict" in found["reports"][0]["untested"]


def test_a_hundred_thousand_names_under_a_small_budget_are_reviewed(
    adapter: Path, tmp_path: Path, tiny_base: BaseFolder, turncoat: Call
) -> None:
    (tmp_path / "users.csv").write_text("login\n" + "\n".join(f"user{number}" for number in range(100_000)))
    alerts = own_alerts(tmp_path / "mine.jsonl", 12, "user1")
    arguments = ("vet", "adapter", "--base", str(tiny_base.path), "--directory", "users.csv", "--alerts", alerts)
    ended = turncoat(*arguments, "--budget", "0.1s", "--json", "--quiet")
    found = json.loads(ended.stdout)
    assert (ended.code, found["verdict"]) in ((3, "review"), (4, "block"))
    assert any("of 100,000 entities: the budget ran out" in gap for gap in found["reports"][0]["untested"])


def test_the_sound_adapter_has_the_tensors_that_the_others_spoil(adapter: Path) -> None:
    assert len(load_file(adapter / WEIGHTS)) == 12
