"""A base model on disk: a folder that was checked, and its digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from turncoat.scenarios.errors import ModelError

from .folder_checks import folder_mistakes, read_object
from .provenance import sha256_file

_VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "special_tokens_map.json",
                     "added_tokens.json")  # fmt: skip
_INDEX_FILE = "model.safetensors.index.json"
"""Says which of several files a tensor is read from."""
# How and by which release of transformers a model was saved changes these, and no verdict.
_PASSING_KEYS = frozenset(
    ("transformers_version", "_name_or_path", "name_or_path", "torch_dtype", "dtype", "is_local", "local_files_only")
)


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
    quantise: str = "none"
    """How the weights are packed when they are loaded: `none` or `4bit`."""

    def quantised(self, how: str) -> BaseFolder:
        """The same folder, to be packed at loading: another model, hence of another digest and fingerprint."""
        if how == "none":
            return self
        digest = _sha256_lines(self.digest, f"quantise {how}")
        return replace(self, name=f"{self.name}@{how}", digest=digest, quantise=how)


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
        if mistakes := list(folder_mistakes(folder)):
            raise ModelError(*mistakes)
        return _digested(name, folder, digests)
    except OSError as fault:
        raise ModelError.at(folder, f"cannot be read ({fault.strerror})", "check the files' permissions") from fault
    except (RuntimeError, UnicodeError) as fault:  # links in a circle, names that are no text
        raise ModelError.at(
            folder, f"cannot be read ({type(fault).__name__})", "check the files' names and links"
        ) from fault


def _digested(name: str, folder: Path, digests: Path) -> BaseFolder:
    """The record of a folder that was checked."""
    weights = sorted(folder.glob("*.safetensors"))
    vocabulary = [folder / file for file in _VOCABULARY_FILES if (folder / file).is_file()]
    tokenizer_digest = _sha256_lines(_combined(vocabulary, digests), _config_digest(folder / "tokenizer_config.json"))
    config_digest = _config_digest(folder / "config.json")
    index = [_config_digest(folder / _INDEX_FILE)] if (folder / _INDEX_FILE).exists() else []
    digest = _sha256_lines(_combined(weights, digests), config_digest, tokenizer_digest, *index)
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


def _config_digest(path: Path) -> str:
    """Digest of a configuration file by what it means; of an absent one, that of an empty object."""
    read = read_object(path) if path.is_file() else {}
    config = {key: value for key, value in read.items() if key not in _PASSING_KEYS}
    return _sha256_lines(json.dumps(config, sort_keys=True))


def _combined(files: Iterable[Path], digests: Path) -> str:
    """One digest over named files."""
    return _sha256_lines(*(f"{path.name} {remembered_sha256(path, digests)}" for path in files))


def _sha256_lines(*lines: str) -> str:
    """SHA-256 of lines joined by line feeds."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
