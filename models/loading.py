"""Loads a base into memory: its weights and its tokenizer, frozen, on the device and in the precision that suit it."""

from __future__ import annotations

from typing import Any

import torch

from turncoat.scenarios.errors import ModelError

from .bases import BaseFolder
from .decoder import ARCHITECTURES
from .prompt import TOKEN_BUDGET
from .quantise import packing


def best_device() -> torch.device:
    """A CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: torch.device | None = None) -> torch.dtype:
    """bf16 where the processor multiplies it in hardware, else fp32."""
    if (device or best_device()).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else torch.float32


def load(base: BaseFolder, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Tokenizer and model, in evaluation mode, no parameter asking for a gradient.

    Raises:
        ModelError: The folder cannot be read, lacks tensors, or holds an architecture that `decoder` does not run.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    packed = packing(base)
    # Packed weights cannot be moved afterwards: they are packed where they are to stay.
    placing: dict[str, Any] = {"quantization_config": packed, "device_map": {"": device}} if packed else {}
    logging.disable_progress_bar()
    said = logging.get_verbosity()
    logging.set_verbosity_error()  # its report on a broken checkpoint is a page of colours; ours is a line
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base.path, dtype=dtype, attn_implementation="sdpa", output_loading_info=True,
            local_files_only=True, use_safetensors=True, trust_remote_code=False, **placing,
        )  # fmt: skip
    except MemoryError:
        raise
    except Exception as fault:  # the readers document no error of their own; anything may come of a foreign folder
        reason = str(fault).splitlines()[0][:160] if str(fault) else type(fault).__name__
        raise ModelError.at(
            base.path, f"the base cannot be loaded ({reason})", "pull it again or name another"
        ) from None
    finally:
        logging.set_verbosity(said)
    model, report = loaded
    _check(base, model, sorted(report["missing_keys"]))
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return tokenizer, model if packed else model.to(device)


def _check(base: BaseFolder, model: Any, missing: list[str]) -> None:
    if model.config.model_type not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError.at(base.path, f"is of type {model.config.model_type!r}", f"the types understood are {known}")
    config = model.config.get_text_config()
    for setting in ("attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"):
        if getattr(config, setting, None):
            raise ModelError.at(base.path, f"sets {setting}, which is not computed here", "name another base")
    for rope in _rope_settings(config):
        if rope.get("rope_type") in ("dynamic", "longrope") and _shortest(config, rope) <= TOKEN_BUDGET:
            fault = f"turns positions by {rope['rope_type']}, beginning within {TOKEN_BUDGET} tokens"
            raise ModelError.at(
                base.path, fault, "its verdicts would depend on what was asked before; name another base"
            )
    if missing:
        # The library would fill them with random numbers, and whatever those say would be called a verdict.
        lack = f"the base lacks {len(missing)} of its tensors ({missing[0][:80]})"
        raise ModelError.at(base.path, lack, "pull it again or name another")


def _rope_settings(config: Any) -> list[dict[str, Any]]:
    """Settings of the rotary embedding: one set, or one for each kind of layer."""
    told = getattr(config, "rope_parameters", None) or {}
    return [told] if "rope_type" in told else [one for one in told.values() if isinstance(one, dict)]


def _shortest(config: Any, rope: dict[str, Any]) -> int:
    """The length from which on such an embedding changes."""
    told = (rope.get("original_max_position_embeddings"), getattr(config, "max_position_embeddings", None))
    return min((int(length) for length in told if length), default=0)
