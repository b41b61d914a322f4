"""Is a model folder, which may be anybody's, fit and safe to load? Judged by names, headers and settings; nothing is loaded.

What a folder could try: pickles and code of its own, links to files elsewhere on the machine, settings that make the
libraries read or download something else, headers made to fill the memory, and weights of another model than the one named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import Mistake

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_JSON_BYTES = 64 * 2**20
_SAVED = "give the folder that save_pretrained wrote"
_CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json")

_MAX_TOKENIZER_BYTES = 256 * 2**20
_FILE = re.compile(r"_file$")
"""Settings that name a file to be read in place of the folder's own."""
_CODE = re.compile(r"attn_implementation|^experts_implementation$|_files$")
"""Settings that, with a slash in them, name code on the hub or files elsewhere."""
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf|file)://", re.IGNORECASE)
_PROSE = frozenset(("chat_template", "template", "content", "description", "homepage", "license", "license_link"))
"""Settings that may be text with addresses in it; nobody follows them here."""

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.(.+)$")
_MARKS = {
    "llama": frozenset[str](),
    "qwen2": frozenset({"self_attn.q_proj.bias"}),
    "qwen3": frozenset({"self_attn.q_norm.weight"}),
    "gemma3_text": frozenset({"self_attn.q_norm.weight", "pre_feedforward_layernorm.weight"}),
}
"""Tensors of a layer that tell the architectures apart; all four have the rest in common."""


def folder_mistakes(folder: Path) -> Iterable[Mistake]:
    """Everything that keeps a folder from being loaded."""
    if not folder.is_dir():
        yield Mistake(str(folder), "is no folder", "give a Hugging Face folder, a .gguf file or a known name")
        return
    if strays := list(_links_out(folder)):
        yield from strays
        return
    shapes: dict[str, list[int]] = {}
    yield from _weight_mistakes(folder, shapes)
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        yield Mistake(str(folder), "has no tokenizer.json or tokenizer.model", "save the tokenizer beside the weights")
    for path in (folder / "tokenizer.json", folder / "tokenizer.model"):
        if path.is_file() and path.stat().st_size > _MAX_TOKENIZER_BYTES:
            yield Mistake(str(path), f"is larger than {_MAX_TOKENIZER_BYTES // 2**20} MiB", _SAVED)
    if not (folder / "config.json").is_file():
        yield Mistake(str(folder), "has no config.json", _SAVED)
    if (folder / "adapter_config.json").exists():
        # transformers would apply the adapter unasked, on a base that the adapter names.
        fault = "is an adapter or holds one (adapter_config.json)"
        yield Mistake(str(folder), fault, "give the base here, and the adapter as a variant, NAME=PATH")
    for file in _CONFIGS:
        yield from _config_mistakes(folder / file, shapes)


def _links_out(folder: Path) -> Iterator[Mistake]:
    """Links to places outside the folder. In the hub's cache a snapshot links to the blobs beside it: that is inside."""
    home = folder.resolve()
    if home.parent.name == "snapshots":
        home = home.parent.parent
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            yield Mistake(str(path), "is a link to a place outside the folder", "put the file itself there")


def _weight_mistakes(folder: Path, shapes: dict[str, list[int]]) -> Iterable[Mistake]:
    """Faults of the weights: none, pickles only, or files that are no safetensors. Collects the tensors' shapes."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            fault = f"has its weights as pickles only ({pickles[0]}), and loading a pickle runs code"
            yield Mistake(str(folder), fault, "convert the model to safetensors")
        else:
            yield Mistake(str(folder), "has no *.safetensors", _SAVED)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        yield from _index_mistakes(index)
    for path in weights:
        fault, found = read_header(path)
        shapes |= found
        if fault:
            yield Mistake(str(path), fault, "fetch or save the file again")


def _index_mistakes(index: Path) -> Iterable[Mistake]:
    """Shards that the index names and the folder lacks, or that would lie elsewhere."""
    try:
        shards = sorted({str(shard) for shard in read_object(index)["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Mistake(str(index), "is no index of shards", "fetch the model again")
        return
    if outside := [shard for shard in shards if Path(shard).name != shard]:
        yield Mistake(str(index), f"names a shard in another folder ({outside[0][:80]})", _SAVED)
    elif missing := [shard for shard in shards if not (index.parent / shard).is_file()]:
        yield Mistake(
            str(index), f"names {len(missing)} shard(s) that are absent ({missing[0][:80]})", "fetch them too"
        )


def safetensors_fault(path: Path) -> str:
    """What is wrong with a safetensors file by its header and length alone, or the empty string."""
    return read_header(path)[0]


def read_header(path: Path) -> tuple[str, dict[str, list[int]]]:
    """Fault (or the empty string) of a safetensors file, and the shapes of its tensors by name."""
    if not path.is_file():  # a pipe or a device would never end
        return "is no regular file", {}
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            return "is no safetensors file", {}
        if length > _MAX_JSON_BYTES:
            return f"has a header of {length / 2**20:.0f} MiB where {_MAX_JSON_BYTES // 2**20} are the most", {}
        try:
            header = json.loads(stream.read(length))
            tensors = {str(key): tensor for key, tensor in header.items() if key != "__metadata__"}
            missing = max((int(t["data_offsets"][1]) for t in tensors.values()), default=0) - (size - 8 - length)
            shapes = {key: [int(n) for n in tensor.get("shape", [])] for key, tensor in tensors.items()}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError):
            return "is no safetensors file", {}
    return (f"is cut short by {missing:,} bytes" if missing > 0 else ""), shapes


def _config_mistakes(path: Path, shapes: dict[str, list[int]]) -> Iterable[Mistake]:
    """Faults of a configuration file; one that is absent has none."""
    if not path.exists():
        return
    try:
        config = read_object(path)
    except ValueError as unreadable:
        yield Mistake(str(path), str(unreadable), "fetch or save the file again")
        return
    yield from _reaching_out(path, config)
    if path.name == "config.json":
        if config.get("transformers_weights"):
            # Loaders would take it for the name of the weights, whichever file that is.
            yield Mistake(str(path), "names its weights itself ('transformers_weights')", "remove the setting")
        if config.get("quantization_config"):
            cure = "give the plain weights; NAME@4bit quantises them at loading"
            yield Mistake(str(path), "says that the weights are quantised already ('quantization_config')", cure)
        if fault := _other_weights(config, shapes):
            yield Mistake(str(path), fault, "give weights and config.json of one model")


def _reaching_out(path: Path, config: dict[str, Any]) -> Iterable[Mistake]:
    """Settings that would run code, or read or download what does not lie in the folder; each kind once."""
    found: dict[str, str] = {}
    for key, value in _settings(config):
        if key in ("auto_map", "custom_pipelines") or (key == "trust_remote_code" and value):
            found.setdefault(key, "asks for code of its own to be run")
        elif not isinstance(value, str):
            continue
        elif (_FILE.search(key) and value) or (_CODE.search(key) and re.search(r"[/\\]", value)):
            found.setdefault(key, "names something outside the folder to be loaded")
        elif key not in _PROSE and _ADDRESS.match(value.strip()):
            found.setdefault(key, "names an address to fetch from")
    for key, fault in found.items():
        cure = "use a model that transformers knows; turncoat never trusts remote code"
        yield Mistake(str(path), f"{fault} ({key[:60]!r})", cure if "code" in fault else "remove the setting")


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; members of a list go by the list's key."""
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        name, found = waiting.pop()
        yield name, found
        if isinstance(found, dict):
            waiting.extend(found.items())
        elif isinstance(found, list):
            waiting.extend((name, item) for item in found)


def _other_weights(config: dict[str, Any], shapes: dict[str, list[int]]) -> str:
    """How weights and configuration contradict each other, or the empty string; silent on what it does not know."""
    kind = str(config.get("model_type"))[:40]
    text = config.get("text_config")
    if kind == "gemma3" and isinstance(text, dict):
        config, kind = text, "gemma3_text"
        shapes = {name: shape for name, shape in shapes.items() if "vision" not in name}
    layers = {(int(m[1]), m[2]) for name in shapes if (m := _LAYER.search(name))}
    if kind not in _MARKS or not layers:
        return ""
    marks = frozenset().union(*_MARKS.values()) & {rest for _, rest in layers}
    if config.get("attention_bias") is True:
        marks -= _MARKS["qwen2"]
    if marks != _MARKS[kind]:
        likely = ", ".join(name for name, of in _MARKS.items() if of == marks) or "another architecture"
        return f"names the architecture {kind!r} where the weights are those of {likely}"
    count, named = max(index for index, _ in layers) + 1, config.get("num_hidden_layers")
    if named is not None and named != count:
        return f"names {str(named)[:20]} layers where the weights have {count}"
    width = next((shape[-1] for name, shape in shapes.items() if name.endswith("embed_tokens.weight") and shape), None)
    if width is not None and config.get("hidden_size") not in (None, width):
        return f"names a width of {str(config['hidden_size'])[:20]} where the weights have {width}"
    return ""


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size; ValueError says what it is instead."""
    if not path.is_file():
        raise ValueError("is no regular file")
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"is larger than {_MAX_JSON_BYTES // 2**20} MiB")
    try:
        read = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(read, dict):
        raise ValueError("holds no JSON object")
    return read
