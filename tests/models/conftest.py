"""Engines over the tiny base, in fp32 so that results can be compared closely, and adapter folders for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from turncoat.models.adapter import load_adapter, save_adapter
from turncoat.models.base_folder import open_base_folder
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.lora import LoraShape, fresh_factors, wrap

from ..conftest import tiny_tokenizer
from .architectures import CONFIGS


def fp32_engine(base: BaseFolder) -> Engine:
    """An engine whose results do not depend on the batch."""
    engine = Engine(base)
    engine.model.float()
    return engine


def write_adapter(base: BaseFolder, folder: Path, *, seed: int = 1, first_layer: int = 2) -> Path:
    """A PEFT folder with random factors, B included, for the tiny base."""
    engine, shape = fp32_engine(base), LoraShape(rank=4, alpha=8, first_layer=first_layer)
    chance = torch.Generator().manual_seed(seed)
    fresh = fresh_factors(wrap(engine.layers, first_layer), shape, chance)
    factors = {name: (a, torch.empty_like(b).normal_(0, 0.3, generator=chance)) for name, (a, b) in fresh.items()}
    head = torch.empty(2, engine.hidden).normal_(0, 1, generator=chance)
    save_adapter(
        folder, factors, shape, head,
        layers=4, base_name=base.name, base_digest=base.digest, prompt_version="1",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def tiny_base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], BaseFolder]:
    """Makes a folder of a random tiny model with a tokenizer, once per name in `architectures.CONFIGS`; fp32 weights."""
    made: dict[str, BaseFolder] = {}

    def tiny(architecture: str) -> BaseFolder:
        if architecture not in made:
            folder = tmp_path_factory.mktemp("tiny") / architecture.replace(" ", "-")
            words = tiny_tokenizer()
            words.save_pretrained(folder)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = AutoModelForCausalLM.from_config(CONFIGS[architecture](vocab_size=len(words)))
                for parameter in model.parameters():  # norms and biases start out plain, and would hide a mistake
                    parameter.data.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(folder)
            made[architecture] = open_base_folder(f"tiny {architecture}", folder, folder.parent / "digests")
        return made[architecture]

    return tiny


@pytest.fixture
def engine(tiny_base: BaseFolder) -> Engine:
    """A fresh engine over the tiny base, fp32."""
    return fp32_engine(tiny_base)


@pytest.fixture(scope="session")
def sound_adapter(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound adapter for the tiny base; not to be changed."""
    return write_adapter(tiny_base, tmp_path_factory.mktemp("sound") / "adapter")


@pytest.fixture
def adapter_folder(sound_adapter: Path, tmp_path: Path) -> Path:
    """A sound adapter for the tiny base, to be changed at will."""
    return Path(shutil.copytree(sound_adapter, tmp_path / "adapter"))


@pytest.fixture(scope="session")
def three_variants(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with `base` and adapters from layer 2 (`a`, `b`) and from layer 1 (`deep`)."""
    folder, engine = tmp_path_factory.mktemp("variants"), fp32_engine(tiny_base)
    engine.add("base", None)
    for seed, (name, first_layer) in enumerate({"a": 2, "b": 2, "deep": 1}.items()):
        path = write_adapter(tiny_base, folder / name, seed=seed, first_layer=first_layer)
        engine.add(name, load_adapter(path, hidden=32, layers=4, base_digest=tiny_base.digest))
    return engine
