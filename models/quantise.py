"""4-bit weights on a GPU, by bitsandbytes: NF4 as in arXiv 2305.14314 (QLoRA), products in bf16.

Only the projections of the layers are packed; embeddings, norms and language head stay bf16. Another model than the plain
one: its digest, and with it adapters and fingerprints, are its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from turncoat.scenarios.errors import ModelError

from .base_folder import BaseFolder

GPU_EXTRA = "pip install 'turncoat[gpu]'"


def packing(base: BaseFolder) -> Any:
    """What transformers needs to pack the base while loading it; None for plain weights.

    Raises:
        ModelError: There is no CUDA device, or bitsandbytes is not installed.
    """
    if base.quantise == "none":
        return None
    import torch

    if not torch.cuda.is_available():
        plain = base.name.rpartition("@")[0]
        raise ModelError.at(base.name, "4-bit weights need a CUDA device, and there is none", f"name {plain} instead")
    if find_spec("bitsandbytes") is None:
        raise ModelError.at(base.name, "4-bit weights need bitsandbytes, which is not installed", f"run: {GPU_EXTRA}")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
