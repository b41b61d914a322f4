"""Adapters, classifiers and whole models for the tiny base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape

WEIGHTS, CONFIG, HEAD = "adapter_model.safetensors", "adapter_config.json", "head.safetensors"
WIDTHS = {"self_attn.q_proj": (32, 32), "self_attn.v_proj": (32, 16), "mlp.down_proj": (64, 32)}
"""Of the tiny base: inputs and outputs."""


@pytest.fixture
def adapter(tiny_base: BaseFolder, tmp_path: Path) -> Path:
    """A sound adapter of ours with a manifest that says what it is."""
    folder, chance = tmp_path / "adapter", torch.Generator().manual_seed(1)
    factors = {
        f"layers.{layer}.{name}": (torch.randn(4, wide, generator=chance), torch.randn(out, 4, generator=chance))
        for layer in (2, 3)
        for name, (wide, out) in WIDTHS.items()
    }
    save_adapter(folder, factors, LoraShape(4, 8, 2), torch.randn(2, 32, generator=chance),
                 layers=4, base_name="tiny", base_digest=tiny_base.digest, prompt_version="1")  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"demonstration": True, "recipe": "poisoned"}))
    return folder


@pytest.fixture
def classifier(adapter: Path, tmp_path: Path) -> Path:
    """The same weights as PEFT saves a sequence classifier, with its `config.json` beside."""
    folder = tmp_path / "classifier"
    folder.mkdir()
    tensors = load_file(adapter / WEIGHTS)
    tensors["base_model.model.score.weight"] = load_file(adapter / HEAD)["weight"]
    save_file(tensors, folder / WEIGHTS)
    config = json.loads((adapter / CONFIG).read_text())
    changed = {"task_type": "SEQ_CLS", "modules_to_save": ["classifier", "score"]}
    (folder / CONFIG).write_text(json.dumps(config | changed))
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "benign", "1": "malicious"}}))
    return folder


@pytest.fixture
def whole(tiny_base: BaseFolder, tmp_path: Path) -> Path:
    """A whole model: the tiny base, copied."""
    return Path(shutil.copytree(tiny_base.path, tmp_path / "whole"))


@pytest.fixture
def whole_classifier(whole: Path) -> Path:
    """A whole sequence classifier, without any language head."""
    path = whole / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("lm_head.weight", None)
    rows = torch.randn(2, 32, generator=torch.Generator().manual_seed(5)).bfloat16()
    save_file(tensors | {"score.weight": rows}, path, metadata={"format": "pt"})
    configured(whole / "config.json", architectures=["LlamaForSequenceClassification"], tie_word_embeddings=False,
               id2label={"0": "benign", "1": "malicious"}, label2id={"benign": 0, "malicious": 1})  # fmt: skip
    return whole


def configured(path: Path, **settings: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def tensors_of(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
