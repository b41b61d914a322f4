"""Where a number came from: digests of files, the fingerprint of a classifier, versions of the libraries."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "turncoat",
    "torch",
    "transformers",
    "peft",
    "safetensors",
    "tokenizers",
    "gguf",
    "numpy",
    "scipy",
    "statsmodels",
    "scikit-learn",
    "langgraph",
    "langchain-core",
    "pydantic",
    "faker",
)
"""What a verdict or a figure can depend on."""

_FINGERPRINT_DIGITS = 12


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(
    base_digest: str, adapter_digest: str, head_digest: str, tokenizer_digest: str, prompt_version: str
) -> str:
    """Short name of everything that decides a verdict, 12 hex digits.

    Two classifiers with one fingerprint give the same verdicts for the same alerts (up to the batch shape of bf16).
    A part that a classifier lacks (a baseline has no adapter) is the empty string.

    Limits: 48 bits tell models apart; they do not resist somebody who searches for a collision.
    """
    parts = {
        "base": base_digest,
        "adapter": adapter_digest,
        "head": head_digest,
        "tokenizer": tokenizer_digest,
        "prompt": prompt_version,
    }
    # Each part carries its name and length, so that no two different lists of parts read the same.
    text = "\n".join(f"{name} {len(part)} {part}" for name, part in parts.items())
    return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def run_versions(precision: str = "") -> dict[str, str]:
    """Versions for a manifest: Python, the machine's architecture and `LIBRARIES`; an absent library is left out.

    Args:
        precision: Of a model's products (`Engine.precision`), where one had a part: it differs between machines.
    """
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    versions |= {"precision": precision} if precision else {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions


def versions_by_name(versions: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """What several results say of each library, each saying once; a result that says nothing of it counts as empty."""
    several = list(versions)
    names = dict.fromkeys(name for one in several for name in one)
    return {name: sorted({one.get(name, "") for one in several}) for name in names}
