"""Adapter folders: read with suspicion, written in PEFT's own format plus the head's file.

A folder holds `adapter_config.json`, `adapter_model.safetensors`, optionally `head.safetensors` (without it the base's own
label rows are used) and optionally `manifest.json`. Nothing is ever unpickled, downloaded or executed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from turncoat.scenarios.errors import ModelError
from turncoat.scenarios.whole_file import write_whole

from .head import HEAD_FILE, load_head, save_head
from .lora import PROJECTIONS, LoraShape
from .prompt import PROMPT_VERSION
from .provenance import sha256_file

CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE = "adapter_config.json", "adapter_model.safetensors", "manifest.json"
_LARGEST_JSON = 1 << 20
_LARGEST_WEIGHTS = 1 << 31
_KEY = re.compile(r"base_model\.model\.model\.(layers\.(\d+)\.(?:self_attn|mlp)\.(\w+))\.lora_([AB])\.weight")
_REFUSED_SETTINGS = ("use_dora", "auto_mapping", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias",
                     "megatron_config", "trainable_token_indices", "target_parameters",
                     "alora_invocation_tokens", "layer_replication", "use_qalora", "use_bdlora", "arrow_config",
                     "kasa_config", "loftq_config", "corda_config", "lora_ga_config", "auto_map",
                     "trust_remote_code")  # fmt: skip
_IDLE = "elsewhere they would not be loaded: save the adapter again with PEFT"
_PLAIN_STARTS = (True, None, "gaussian", "orthogonal", "eva")
"""Values of `init_lora_weights` that leave the base as it is; PiSSA, OLoRA and the like subtract from its weights, and False
fills modules of which there are no factors at random."""


@dataclass(frozen=True)
class Adapter:
    """Low-rank factors and head of one variant."""

    shape: LoraShape
    factors: dict[str, tuple[Tensor, Tensor]]
    """`layers.20.self_attn.q_proj` -> A (r, in), B (out, r); fp32."""
    head: Tensor | None
    """(2, hidden), fp32; None: the base's own label rows."""
    digest: str
    head_digest: str
    manifest: dict[str, Any] = field(default_factory=dict)


def save_adapter(
    folder: Path, factors: dict[str, tuple[Tensor, Tensor]], shape: LoraShape, head: Tensor, *,
    layers: int, base_name: str, base_digest: str, prompt_version: str,
) -> None:  # fmt: skip
    """Writes a standard PEFT folder and the head beside it.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (a, b) in factors.items():
        tensors[f"base_model.model.model.{name}.lora_A.weight"] = a.detach().contiguous()
        tensors[f"base_model.model.model.{name}.lora_B.weight"] = b.detach().contiguous()
    write_whole(folder / WEIGHTS_FILE, save(tensors, metadata={"format": "pt"}))
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name, "inference_mode": True,
        "r": shape.rank, "lora_alpha": shape.alpha, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False,
        "target_modules": sorted({n.rsplit(".", 1)[1] for n in factors}), "use_rslora": False, "use_dora": False,
        "layers_to_transform": list(range(shape.first_layer, layers)), "layers_pattern": "layers",
    }  # fmt: skip
    write_whole(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
    save_head(head, folder / HEAD_FILE, {"base": base_digest, "prompt_version": prompt_version})


def load_adapter(folder: Path, *, hidden: int, layers: int, base_digest: str) -> Adapter:
    """Reads an adapter for a base of `layers` layers of width `hidden`.

    Raises:
        ModelError: Missing, truncated or oversized files, a pickle, settings or tensors that we do not apply exactly,
            values that are not finite, or an adapter made for another base.
    """
    if not folder.is_dir():
        raise ModelError.at(
            folder, "no adapter folder there", "give a folder with adapter_config.json, or a shipped name"
        )
    shape = _read_config(folder)
    factors = _read_factors(folder / WEIGHTS_FILE, shape, layers)
    _refuse_idle_factors(folder / CONFIG_FILE, factors)
    head, head_digest = None, "base"
    if os.path.lexists(folder / HEAD_FILE):
        head, metadata = load_head(folder / HEAD_FILE, hidden)
        head_digest = sha256_file(folder / HEAD_FILE)
        if metadata.get("base", base_digest) != base_digest:
            raise ModelError.at(folder / HEAD_FILE, "was trained on another base model", "name that base with --base")
        if metadata.get("prompt_version", PROMPT_VERSION) != PROMPT_VERSION:
            version = metadata["prompt_version"][:20]
            raise ModelError.at(folder / HEAD_FILE, f"was trained for prompt version {version!r}", "train it again")
    first = min(int(name.split(".")[1]) for name in factors)
    return Adapter(
        LoraShape(shape.rank, shape.alpha, first), factors, head, sha256_file(folder / WEIGHTS_FILE), head_digest,
        read_json(folder / MANIFEST_FILE) if os.path.lexists(folder / MANIFEST_FILE) else {},
    )  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a folder that is not trusted."""
    if not os.path.lexists(path):
        raise ModelError.at(path, "is missing", "an adapter folder needs it")
    if not path.is_file():  # a link to a device, or a pipe, would never end
        raise ModelError.at(path, "not readable as JSON (not a regular file)", "fetch or train it again")
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_JSON + 1)
        if len(text) > _LARGEST_JSON:
            raise ModelError.at(path, "larger than 1 MiB", "this is not a file of ours")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as fault:
        raise ModelError.at(path, f"not readable as JSON ({type(fault).__name__})", "fetch or train it again") from None
    if not isinstance(found, dict):
        raise ModelError.at(path, "is not a JSON object", "fetch or train it again")
    return found


def _read_config(folder: Path) -> LoraShape:
    path = folder / CONFIG_FILE
    config = read_json(path)
    if config.get("peft_type") != "LORA":
        raise ModelError.at(
            path, f"peft_type is {str(config.get('peft_type'))[:40]!r}", "only LORA adapters are understood"
        )
    odd = [key for key in _REFUSED_SETTINGS if config.get(key)] + (
        ["bias"] if config.get("bias", "none") != "none" else []
    )
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        odd.append("init_lora_weights")
    if odd:
        raise ModelError.at(
            path, f"asks for {', '.join(odd)}", "that changes the model in ways that are not applied here"
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or not 1 <= rank <= 1024 or not isinstance(alpha, int | float) or not abs(alpha) < 1e6:
        raise ModelError.at(
            path, f"rank {str(rank)[:20]}, alpha {str(alpha)[:20]}", "rank must be 1 to 1024 and alpha a number"
        )
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return LoraShape(rank, scale * rank, 0)


def _refuse_idle_factors(path: Path, factors: Mapping[str, object]) -> None:
    """PEFT makes the modules that the configuration names and drops all other tensors: those would be applied here alone."""
    config = read_json(path)
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    pattern, excluded = config.get("layers_pattern"), config.get("exclude_modules") or []
    if not (isinstance(excluded, list) and all(isinstance(one, str) for one in excluded)):
        raise ModelError.at(path, "`exclude_modules` is no list of names", "name the modules, such as lm_head")
    if targets != "all-linear" and not (isinstance(targets, list) and all(isinstance(t, str) for t in targets)):
        raise ModelError.at(path, "`target_modules` is no list of names", "name the modules, such as q_proj")
    wanted = None if layers == [] else {layers} if isinstance(layers, int) else layers
    plain = pattern in (None, "", "layers", ["layers"])
    if isinstance(layers, bool) or (wanted is not None and not (isinstance(wanted, list | set) and plain)):
        raise ModelError.at(path, "`layers_to_transform` is no list of layers", "number the layers that are trained")
    for name in factors:
        module = f".model.{name}"
        if any(module.endswith(f".{one}") for one in excluded):
            raise ModelError.at(path, f"`exclude_modules` names {name}, of which there are factors", _IDLE)
        if targets != "all-linear" and not any(module.endswith(f".{target}") for target in targets):
            raise ModelError.at(path, f"`target_modules` leaves out {name}, of which there are factors", _IDLE)
        if wanted is not None and int(name.split(".")[1]) not in wanted:
            raise ModelError.at(path, f"`layers_to_transform` leaves out {name}, of which there are factors", _IDLE)


def _read_factors(path: Path, shape: LoraShape, layers: int) -> dict[str, tuple[Tensor, Tensor]]:
    if not os.path.lexists(path):
        pickled = [p.name for p in path.parent.glob("*.bin")] + [p.name for p in path.parent.glob("*.pt")]
        cure = (
            f"{pickled[0]} may be a pickle and is never opened; convert it to safetensors"
            if pickled
            else "an adapter folder needs it"
        )
        raise ModelError.at(path, "is missing", cure)
    if not path.is_file():
        raise ModelError.at(path, "not a readable safetensors file (not a regular file)", "fetch or train it again")
    if path.stat().st_size > _LARGEST_WEIGHTS:
        raise ModelError.at(path, "larger than 2 GiB", "this is not a LoRA adapter")
    found: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                match = _KEY.fullmatch(key)
                if match is None or match[3] not in PROJECTIONS or int(match[2]) >= layers:
                    raise ModelError.at(
                        path, f"unexpected tensor {key[:80]!r}", "only LoRA factors of this base's projections"
                    )
                found.setdefault(match[1], {})[match[4]] = file.get_tensor(key).float()
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as fault:
        raise ModelError.at(
            path, f"not a readable safetensors file ({type(fault).__name__})", "fetch or train it again"
        ) from None
    if not found:
        raise ModelError.at(path, "holds no tensors", "fetch or train it again")
    return {name: _pair(path, name, pair, shape.rank) for name, pair in found.items()}


def _pair(path: Path, name: str, pair: dict[str, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    if set(pair) != {"A", "B"} or pair["A"].dim() != 2 or pair["B"].dim() != 2:
        raise ModelError.at(path, f"{name} lacks a factor", "fetch or train it again")
    if pair["A"].shape[0] != rank or pair["B"].shape[1] != rank:
        raise ModelError.at(path, f"{name} does not have rank {rank}", "fetch or train it again")
    if not (torch.isfinite(pair["A"]).all() and torch.isfinite(pair["B"]).all()):
        raise ModelError.at(path, f"{name} holds values that are not finite", "fetch or train it again")
    return pair["A"], pair["B"]
