"""The two-token head: two rows that score the last position, benign first, malicious second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from turncoat.scenarios.errors import ModelError
from turncoat.scenarios.whole_file import write_whole

from .prompt import LABELS

HEAD_FILE = "head.safetensors"


def label_tokens(tokenizer: Any) -> tuple[int, int] | None:
    """Ids of the two labels, or None where the vocabulary does not hold both as single tokens."""
    ids = [tokenizer(label, add_special_tokens=False).input_ids for label in LABELS]
    return (ids[0][0], ids[1][0]) if all(len(i) == 1 for i in ids) and ids[0] != ids[1] else None


def rows_of_language_head(model: Any, tokenizer: Any) -> Tensor:
    """The head of an untrained model, shape (2, hidden), fp32: its own two label rows, or small random ones.

    The fallback's seed is fixed, so that two loads of one base have the same head.
    """
    weight = model.get_output_embeddings().weight
    ids = label_tokens(tokenizer)
    if ids is None or max(ids) >= weight.shape[0]:
        return torch.empty(2, weight.shape[1]).normal_(0.0, 0.02, generator=torch.Generator().manual_seed(0))
    rows: Tensor = weight[list(ids)].detach().float().clone()
    return rows


def save_head(rows: Tensor, path: Path, metadata: dict[str, str]) -> None:
    """Writes the two rows, fp32; the metadata names the base and the prompt version that they were trained for."""
    write_whole(path, save({"weight": rows.detach().float().contiguous()}, metadata=metadata))


def load_head(path: Path, hidden: int) -> tuple[Tensor, dict[str, str]]:
    """Reads the two rows and their metadata.

    Raises:
        ModelError: Not a safetensors file, another shape than (2, hidden), or a value that is not finite.
    """
    if not path.is_file():
        raise ModelError.at(path, "not a readable safetensors file (not a regular file)", "train or fetch it again")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            names = list(file.keys())
            if names != ["weight"] or list(file.get_slice("weight").get_shape()) != [2, hidden]:
                raise ModelError.at(
                    path, f"holds {names[:3]}, not one `weight` of shape (2, {hidden})", "use the head of this base"
                )
            rows: Tensor = file.get_tensor("weight").float()
    except (OSError, ValueError, RuntimeError, _safetensors_error()) as fault:
        raise ModelError.at(
            path, f"not a readable safetensors file ({type(fault).__name__})", "train or fetch it again"
        ) from None
    if not torch.isfinite(rows).all():
        raise ModelError.at(path, "holds values that are not finite", "train or fetch it again")
    return rows, metadata


def _safetensors_error() -> type[Exception]:
    from safetensors import SafetensorError

    error: type[Exception] = SafetensorError
    return error
