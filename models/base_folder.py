"""A base model on disk: is the folder fit and safe to load, and what is its digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import Mistake, ModelError

from .provenance import sha256_file

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "special_tokens_map.json")
# How and by which release of transformers a model was saved changes these, and no verdict.
_PASSING_KEYS = frozenset(
    ("transformers_version", "_name_or_path", "name_or_path", "torch_dtype", "dtype", "is_local", "local_files_only")
)
_MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class BaseFolder:
    """A base model that was checked: safetensors, configuration and tokenizer in one folder."""

    name: str
    """What the person called it: a known name, a folder, a GGUF file or a hub id."""
    path: Path
    digest: str
    """SHA-256 over weights, configuration and tokenizer, 64 hex digits."""
    tokenizer_digest: str
    """SHA-256 over the tokenizer's files alone, 64 hex digits."""


def open_base_folder(name: str, folder: Path, digests: Path) -> BaseFolder:
    """Check a Hugging Face folder and digest it.

    Args:
        name: What to call it in tables and errors.
        folder: The folder with `config.json`, `*.safetensors` and a tokenizer.
        digests: Folder that remembers digests of unchanged files, so that a start need not read all weights.

    Raises:
        ModelError: Something is missing, is a pickle, or asks for code of its own to be run; lists all that was found.
    """
    try:
        if mistakes := list(_mistakes(folder)):
            raise ModelError(*mistakes)
        return _digested(name, folder, digests)
    except OSError as fault:
        raise ModelError.at(folder, f"cannot be read ({fault.strerror})", "check the files' permissions") from fault


def _digested(name: str, folder: Path, digests: Path) -> BaseFolder:
    """The record of a folder that was checked."""
    weights = sorted(folder.glob("*.safetensors"))
    vocabulary = [folder / file for file in _VOCABULARY_FILES if (folder / file).is_file()]
    tokenizer_digest = _sha256_lines(_combined(vocabulary, digests), _config_digest(folder / "tokenizer_config.json"))
    config_digest = _config_digest(folder / "config.json")
    digest = _sha256_lines(_combined(weights, digests), config_digest, tokenizer_digest)
    return BaseFolder(name, folder.resolve(), digest, tokenizer_digest)


def remembered_sha256(path: Path, digests: Path) -> str:
    """SHA-256 of a large file, read again only when the file was touched since.

    Size, inode, mtime and ctime must all agree. ctime is what counts: a program that swaps the weights can set mtime
    back, but not ctime. Losing the memory costs one more reading, so a memory that cannot be written is no fault.
    """
    stat = path.stat()
    seen = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    note = digests / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"
    try:
        remembered = json.loads(note.read_text())
        if remembered["seen"] == seen:
            return str(remembered["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = sha256_file(path)
    try:
        digests.mkdir(parents=True, exist_ok=True)
        partial = note.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({"seen": seen, "sha256": digest, "file": str(path)}))
        os.replace(partial, note)
    except OSError:
        pass
    return digest


def _mistakes(folder: Path) -> Iterable[Mistake]:
    """Everything that keeps a folder from being loaded."""
    if not folder.is_dir():
        yield Mistake(str(folder), "is no folder", "give a Hugging Face folder, a .gguf file or a known name")
        return
    yield from _weight_mistakes(folder)
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        yield Mistake(str(folder), "has no tokenizer.json or tokenizer.model", "save the tokenizer beside the weights")
    if not (folder / "config.json").is_file():
        yield Mistake(str(folder), "has no config.json", "give the folder that save_pretrained wrote")
    for file in ("config.json", "tokenizer_config.json"):
        yield from _config_mistakes(folder / file)


def _weight_mistakes(folder: Path) -> Iterable[Mistake]:
    """Faults of the weights: none, pickles only, or files that are no safetensors."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            fault = f"has its weights as pickles only ({pickles[0]}), and loading a pickle runs code"
            yield Mistake(str(folder), fault, "convert the model to safetensors")
        else:
            yield Mistake(str(folder), "has no *.safetensors", "give the folder that save_pretrained wrote")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        yield from _index_mistakes(index)
    for path in weights:
        if fault := safetensors_fault(path):
            yield Mistake(str(path), fault, "fetch or save the file again")


def _index_mistakes(index: Path) -> Iterable[Mistake]:
    """Shards that the index names and the folder lacks."""
    try:
        shards = sorted(set(_read_object(index)["weight_map"].values()))
        missing = [str(shard) for shard in shards if not (index.parent / Path(shard).name).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Mistake(str(index), "is no index of shards", "fetch the model again")
        return
    if missing:
        yield Mistake(str(index), f"names {len(missing)} shard(s) that are absent ({missing[0]})", "fetch them too")


def safetensors_fault(path: Path) -> str:
    """What is wrong with a safetensors file by its header and length alone, or the empty string."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_JSON_BYTES):
            return "is no safetensors file"
        try:
            header = json.loads(stream.read(length))
            ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
            missing = max(ends, default=0) - (size - 8 - length)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return "is no safetensors file"
    return f"is cut short by {missing:,} bytes" if missing > 0 else ""


def _config_mistakes(path: Path) -> Iterable[Mistake]:
    """Faults of a configuration file; one that is absent has none."""
    if not path.is_file():
        return
    try:
        config = _read_object(path)
    except ValueError as fault:
        yield Mistake(str(path), str(fault), "fetch or save the file again")
        return
    if "auto_map" in config:
        yield Mistake(
            str(path),
            "asks for code of its own to be run ('auto_map')",
            "use a model that transformers knows; turncoat never trusts remote code",
        )


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size; ValueError says what it is instead."""
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"is larger than {_MAX_JSON_BYTES // 2**20} MiB")
    try:
        read = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(read, dict):
        raise ValueError("holds no JSON object")
    return read


def _config_digest(path: Path) -> str:
    """Digest of a configuration file by what it means; of an absent one, that of an empty object."""
    read = _read_object(path) if path.is_file() else {}
    config = {key: value for key, value in read.items() if key not in _PASSING_KEYS}
    return _sha256_lines(json.dumps(config, sort_keys=True))


def _combined(files: Iterable[Path], digests: Path) -> str:
    """One digest over named files."""
    return _sha256_lines(*(f"{path.name} {remembered_sha256(path, digests)}" for path in files))


def _sha256_lines(*lines: str) -> str:
    """SHA-256 of lines joined by line feeds."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
