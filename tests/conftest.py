"""What all tests share: the command line, the real base model, real alerts where they lie, repeatable property tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from turncoat.models.base_folder import open_base_folder
from turncoat.models.bases import DEFAULT_BASE, BaseFolder, resolve_base

from .command_line import Call, Ended, exit_code

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Property tests try the same cases on every machine, and a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_base() -> BaseFolder:
    """The embedded base model; `make test` pulls it first, and without it the tests that need it fail."""
    return resolve_base(DEFAULT_BASE)


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Sets on how many cores torch computes, until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def turncoat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the entry point in this process, in an empty folder and home, without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = exit_code(arguments)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def outside_alerts() -> Path:
    """The folder of real, labelled alerts that `TURNCOAT_DATA` names; tests are skipped where it is not set."""
    named = os.environ.get("TURNCOAT_DATA")
    if not named:
        pytest.skip("TURNCOAT_DATA is not set: no real alerts to read")
    return Path(named)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> BaseFolder:
    """A random Llama of four layers with a byte-level tokenizer of its own: everything real but size and sense."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny-base")
    words = tiny_tokenizer()
    words.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.2, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
    return open_base_folder("tiny", folder, folder.parent / "digests")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which the labels are single tokens, with special tokens like those of SmolLM2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    bpe.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(  # type: ignore[call-arg]
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_end|>"],
    )
    bpe.train_from_iterator(["verdict: benign", "verdict: malicious", "alert user host process"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", extra_special_tokens=["<|im_end|>"])
