"""GGUF into a plain Hugging Face folder of bf16 safetensors, once.

Loading a GGUF directly takes 15 s each time and leaves the model marked as quantised, which training refuses; the
converted folder loads in 0.1 s. Gemma-3-270M takes about 80 s of processor time, most of it for a vocabulary of 262,144
pieces, which two readers walk through.

What becomes of Gemma-3, checked number by number on the 270M file (transformers 5.23): llama.cpp folds the one of the
norms' 1 + w into the weights and the reader takes it out again, so that all 55,936 are exact in bf16; the dequantised
matrices (three compared) are the file's, rounded to bf16. The file holds neither the rhythm of the layers, nor the
turning speed of the local ones, nor the scale of attention: the library's defaults (every sixth layer global, 10,000
beside 1,000,000, 256 to the power of -1/2) are those of this model. transformers' forward continues plain sentences
sensibly, but only behind the start token: without it the loss on three of them is 10 to 12 nats a token, with it 3 to 4.

Limits: the reader drops scaled positions (Llama 3.1 and later, Gemma-3 from 4B on) and the attention scale of
Gemma-3-27B. Such a file would give a model that is nearly right, so it is refused.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from turncoat.scenarios.errors import ModelError

from .folder_checks import safetensors_fault

_SAFETENSORS = "give the model as a folder of safetensors"
_SCALED_POSITIONS = (b".rope.scaling.factor", b"rope_freqs.weight", b"rope_factors_long.weight")
"""Keys and tensors of a GGUF file that transformers' reader passes over."""
_HEADER_BYTES = 64 * 2**20
_LAYERS_OF_GEMMA_27B = 62


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write the model and tokenizer of a GGUF file as bf16 safetensors.

    Args:
        gguf: The file; its architecture must be one that transformers can read from GGUF.
        target: The folder to make. It appears only when all of it is written; what lay there is replaced. Held by the
            caller: what another conversion to it left unfinished is removed.

    Raises:
        ModelError: The file is no GGUF, of an unknown architecture or quantisation, or has settings that would get lost;
            or the disk is full.
        OSError: The disk is full or the folder cannot be written.
    """
    with gguf.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError.at(gguf, "is no GGUF file", "give a file that starts with 'GGUF'")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            # The names stand before the tensors; searching for them is quick where parsing is not.
            if any(content.find(name, 0, _HEADER_BYTES) >= 0 for name in _SCALED_POSITIONS):
                raise ModelError.at(gguf, "has scaled positions, which the conversion would lose", _SAFETENSORS)
    _remove_unfinished(target)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with _quiet_transformers():
            _convert(gguf, partial)
        if any(fault := safetensors_fault(path) for path in partial.glob("*.safetensors")):
            raise ModelError.at(gguf, f"gave a weights file that {fault}", "make room on the disk and try again")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_unfinished(target: Path) -> None:
    """What conversions left that were killed: nobody else is at work on this target."""
    for left in target.parent.glob("*.partial"):
        if not re.fullmatch(re.escape(target.name) + r"\.\d+\.partial", left.name):
            continue
        if left.is_dir() and not left.is_symlink():  # a link was laid by somebody, and is never followed
            shutil.rmtree(left)
        else:
            left.unlink()


def _convert(gguf: Path, folder: Path) -> None:
    """Load and save; every fault of the third-party readers over a foreign file becomes one of ours."""
    try:
        with tempfile.TemporaryDirectory(prefix="turncoat-gguf-") as alone:
            # By itself: the readers would take tokenizer, configuration and adapter from files that lie beside it.
            (Path(alone) / gguf.name).symlink_to(gguf.absolute())
            plain = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
            packed = GgufConfig(dequantize=True)
            model = AutoModelForCausalLM.from_pretrained(
                alone, dtype=torch.bfloat16, quantization_config=packed, **plain
            )
            tokenizer = AutoTokenizer.from_pretrained(alone, **plain)
    except MemoryError:
        raise
    except Exception as fault:  # the readers document no error of their own; anything may come of a foreign file
        cure = "use another quantisation, or a folder of safetensors"
        raise ModelError.at(gguf, f"cannot be read as a model ({_first_line(fault)})", cure) from fault
    if model.config.model_type == "gemma3_text" and model.config.num_hidden_layers == _LAYERS_OF_GEMMA_27B:
        raise ModelError.at(gguf, "has an attention scale that the conversion would lose", _SAFETENSORS)
    # The weights are plain bf16 now; the mark would make trainers refuse them.
    model.config.__dict__.pop("quantization_config", None)
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, MemoryError):
        raise
    except Exception as fault:  # both write from Rust too, where a full disk is no OSError
        cure = "make room on the disk and try again"
        raise ModelError.at(gguf, f"its conversion cannot be written ({_first_line(fault)})", cure) from fault


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]


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
