"""Sequence classifiers: which of their two rows means malicious, and where the rows are.

The order of the rows is what `id2label` says. Without words that are known nothing is guessed: a head read upside down
would turn the ruling round.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from turncoat.models.adapter import CONFIG_FILE, WEIGHTS_FILE, read_json
from turncoat.models.folder_checks import read_header
from turncoat.models.provenance import sha256_file
from turncoat.scenarios.errors import ModelError
from turncoat.scenarios.whole_file import write_whole

BENIGN = frozenset(("benign", "false positive", "benign positive", "negative", "not malicious"))
MALICIOUS = frozenset(("malicious", "true positive", "positive", "attack"))
"""Words for the two classes, in lower case, `_` and `-` read as spaces."""

_SCORE = re.compile(r"base_model\.model\.(?:score|classifier)\.(?:modules_to_save\.(?:default\.)?)?weight")
_SAVED_HEADS = frozenset(("score", "classifier"))
"""PEFT names both for every sequence classifier, whichever the model has."""
_LARGEST_WEIGHTS = 2 << 30
_ONE_FILE = "model.safetensors"


def row_order(place: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    """Rows of benign and malicious, from `id2label`.

    Raises:
        ModelError: Not two labels, or words of which it is not known which is which.
    """
    labels = config.get("id2label")
    if not isinstance(labels, dict) or set(map(str, labels)) != {"0", "1"}:
        cure = 'write "id2label": {"0": "benign", "1": "malicious"}, in the order in which it was trained'
        raise ModelError.at(place, "has no `id2label` for two labels", cure)
    words = [re.sub(r"[\s_-]+", " ", str(labels[key])).strip().lower() for key in sorted(labels, key=str)]
    if words[0] in BENIGN and words[1] in MALICIOUS:
        return 0, 1
    if words[0] in MALICIOUS and words[1] in BENIGN:
        return 1, 0
    fault = f"`id2label` does not say which label is malicious ({words[0][:30]!r}, {words[1][:30]!r})"
    raise ModelError.at(place, fault, "name the labels benign and malicious, in the order in which it was trained")


def head_rows(folder: Path, config: Mapping[str, Any]) -> Tensor:
    """`score.weight` of a whole sequence classifier, benign first, (2, hidden), fp32.

    Raises:
        ModelError: No such tensor or several, one where loaders do not look, a bias beside it, values that are not finite.
    """
    order = row_order(folder / "config.json", config)
    holding = []
    for path in sorted(folder.glob("*.safetensors")):
        names = read_header(path)[1]
        if "score.bias" in names:
            raise ModelError.at(path, "has a `score.bias`, which is not applied here", "give a model without it")
        if "score.weight" in names:
            holding.append(path)
    if not holding:
        raise ModelError.at(folder, "is a sequence classifier without `score.weight`", "save the model again")
    # What other loaders would not open must not be examined in place of what they would.
    if [path.name for path in holding] != [_loaded_file(folder)]:
        fault = f"`score.weight` lies in {holding[0].name}, which is not where loaders look, or in several files"
        raise ModelError.at(folder, fault, "save the model again")
    return _ordered(holding[0], _tensor(holding[0], "score.weight"), order)


def _loaded_file(folder: Path) -> str:
    """Name of the file from which transformers takes `score.weight`."""
    if (folder / _ONE_FILE).exists() or not (folder / f"{_ONE_FILE}.index.json").exists():
        return _ONE_FILE
    where = read_json(folder / f"{_ONE_FILE}.index.json").get("weight_map")
    return str(where.get("score.weight")) if isinstance(where, dict) else ""


def split_adapter(
    folder: Path, config: Mapping[str, Any], model_config: Mapping[str, Any], bare: Path, hidden: int
) -> tuple[tuple[Tensor, str], str]:
    """Writes the factors of a PEFT sequence classifier as a plain adapter, to be read like any other.

    Args:
        folder: As PEFT saved it, with the classifier's `config.json` beside.
        config: Its `adapter_config.json`.
        model_config: Its `config.json`.
        bare: Empty folder that receives configuration and factors.
        hidden: Width of the base.

    Returns:
        The head's rows, benign first, with their digest; and the digest of the file that they came from.

    Raises:
        ModelError: Further modules, no head, another shape, or a file that cannot be read.
    """
    order = row_order(folder / "config.json", model_config)
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list) or not set(map(str, saved)) <= _SAVED_HEADS or "score" not in saved:
        fault = "`modules_to_save` is not the classifier's `score` alone"
        raise ModelError.at(folder / CONFIG_FILE, fault, "further trained modules are not applied here")
    path = folder / WEIGHTS_FILE
    fault, shapes = read_header(path) if path.exists() else ("is missing", {})
    if fault or path.stat().st_size > _LARGEST_WEIGHTS:
        raise ModelError.at(path, fault or "larger than 2 GiB", "fetch or train it again")
    heads = [name for name in shapes if _SCORE.fullmatch(name)]
    if len(heads) != 1 or shapes[heads[0]] != [2, hidden]:
        raise ModelError.at(path, f"holds no single `score.weight` of shape (2, {hidden})", "name the base it is for")
    rows = _ordered(path, _tensor(path, heads[0]), order)
    write_whole(bare / WEIGHTS_FILE, save({name: _tensor(path, name) for name in shapes if name != heads[0]}))
    plain = {key: value for key, value in config.items() if key != "modules_to_save"} | {"task_type": "CAUSAL_LM"}
    (bare / CONFIG_FILE).write_text(json.dumps(plain), encoding="utf-8")
    return (rows, hashlib.sha256(rows.numpy().tobytes()).hexdigest()), sha256_file(path)


def _tensor(path: Path, name: str) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name).float()  # type: ignore[no-any-return]  # half of the small types know no isfinite
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as fault:
        words = f"not a readable safetensors file ({type(fault).__name__})"
        raise ModelError.at(path, words, "fetch or train it again") from None


def _ordered(path: Path, rows: Tensor, order: tuple[int, int]) -> Tensor:
    if rows.dim() != 2 or rows.shape[0] != 2:
        raise ModelError.at(path, "the classifier does not have two rows", "only two-way classifiers can be vetted")
    if not torch.isfinite(rows).all():
        raise ModelError.at(path, "holds values that are not finite", "fetch or train it again")
    return rows[list(order)].contiguous()
