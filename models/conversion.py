"""GGUF into a plain Hugging Face folder of bf16 safetensors, once.

Loading a GGUF directly takes 15 s each time and leaves the model marked as quantised, which training refuses; the
converted folder loads in 0.1 s.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from turncoat.scenarios.errors import ModelError

from .base_folder import safetensors_fault


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write the model and tokenizer of a GGUF file as bf16 safetensors.

    Args:
        gguf: The file; its architecture must be one that transformers can read from GGUF.
        target: The folder to make. It appears only when all of it is written; what lay there is replaced.

    Raises:
        ModelError: The file is no GGUF, or of an unknown architecture or quantisation.
        OSError: The disk is full or the folder cannot be written.
    """
    with gguf.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError.at(gguf, "is no GGUF file", "give a file that starts with 'GGUF'")
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _quiet_transformers():
            _convert(gguf, partial)
        if any(fault := safetensors_fault(path) for path in partial.glob("*.safetensors")):
            raise ModelError.at(gguf, f"gave a weights file that {fault}", "make room on the disk and try again")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    """Load and save; every fault of the third-party readers over a foreign file becomes one of ours."""
    place = str(gguf.parent)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            place,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=gguf.name, local_files_only=True)
    except MemoryError:
        raise
    except Exception as fault:  # the readers document no error of their own; anything may come of a foreign file
        first_line = (str(fault).splitlines() or [type(fault).__name__])[0]
        cure = "use another quantisation, or a folder of safetensors"
        raise ModelError.at(gguf, f"cannot be read as a model ({first_line[:200]})", cure) from fault
    # The weights are plain bf16 now; the mark would make trainers refuse them.
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Neither bars nor warnings of the library: the caller tells the person what goes on."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        # The bar over the tensors heeds no setting; it writes to whatever stderr is.
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
