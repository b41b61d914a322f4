"""The run folder: a manifest that says what was run, and the rows as they come."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from turncoat.models.classifier import AlertClassifier, Calculating
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.records import AlertStream
from turncoat.scenarios.vocabulary import quoted
from turncoat.scenarios.whole_file import write_whole

from .guards import flaw, unusable
from .journal import parse_object, read_rows
from .records import Investigation, Settings

MAX_JSON_BYTES = 1 << 26
_YEARS = (1969, 2101)
"""Of campaigns and of outside alerts, with what time zones and long campaigns add."""
_PACKAGES = ("turncoat", "torch", "transformers", "langgraph", "faker")
_INVESTIGATION: TypeAdapter[Investigation] = TypeAdapter(Investigation)


@dataclass(frozen=True)
class Manifest:
    """Everything that a run's rows depend on, and nothing else: no clock, no path. Equal manifests, equal rows."""

    scenario: str
    seed: int
    principals: tuple[str, ...]
    """The first is the actor of the campaign, the others are twins."""
    variants: Mapping[str, str]
    """Name -> fingerprint."""
    streams: Mapping[str, str]
    """Principal -> SHA-256 of the alerts, facts and outages."""
    settings: Settings = field(default_factory=Settings)
    planner: str = "playbook"
    """`Planner.identity`: who chose the tools."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of what rows depend on: Python, libraries and, where a model judges, `arithmetic`, its device and precisions."""
    format: int = 1

    @classmethod
    def of(
        cls,
        streams: Mapping[str, AlertStream],
        variants: Mapping[str, AlertClassifier],
        settings: Settings,
        planner: str = "playbook",
    ) -> Manifest:
        """The manifest of a replay of these streams.

        Raises:
            RunError: There is nothing to replay.
        """
        if not streams or not variants:
            raise RunError("nothing to replay: at least one principal and one variant are needed")
        first = next(iter(streams.values()))
        return cls(
            scenario=first.campaign,
            seed=first.seed,
            principals=tuple(streams),
            variants={name: classifier.fingerprint for name, classifier in variants.items()},
            streams={principal: digest(stream) for principal, stream in streams.items()},
            settings=settings,
            planner=planner,
            versions=_versions(variants.arithmetic if isinstance(variants, Calculating) else ""),
        )


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def digest(stream: AlertStream) -> str:
    """SHA-256 over what an investigation of this stream can depend on, the world that the tools read included."""
    facts = sorted((uid, repr(known)) for uid, known in stream.facts.items())
    outages = sorted((uid, sorted(tools.items())) for uid, tools in stream.outages.items())
    parts = (stream.campaign, stream.seed, stream.principal, stream.alerts, facts, outages, stream.world.digest())
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _versions(arithmetic: str) -> dict[str, str]:
    found = {"python": platform.python_version()} | ({"arithmetic": arithmetic} if arithmetic else {})
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            told = f"{_plainly(name)} {_plainly(before[name])}" if name in before else f"no word of {name}"
            yield f"{told} (here {now.get(name, 'none')})"


def _plainly(said: str) -> str:
    """A name or version as a manifest that anybody may have changed says it; quoted where it is none of ours."""
    return said if re.fullmatch(r"[\w.+, -]{1,60}", said, re.ASCII) else quoted(said)


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to one run. Its files may have been changed by anybody since they were written."""

    path: Path
    manifest: Manifest

    @classmethod
    def start(
        cls, path: Path, manifest: Manifest, beside: Mapping[str, str] = MappingProxyType({}), rows: int = 0
    ) -> RunFolder:
        """Creates the folder, or goes on with the same run in it.

        Args:
            path: The folder.
            manifest: Of the run.
            beside: Name -> text of files that a run begins with; they are there before the manifest is.
            rows: Of the run when it is finished: nothing is computed any more then, and other versions may show it.

        Raises:
            RunError: The folder holds something else, or a run with another manifest.
        """
        if not (path / "manifest.json").exists():
            return cls.create(path, manifest, beside)
        there = cls.open(path)
        differs = [name for name in asdict(manifest) if _plain(there.manifest)[name] != _plain(manifest)[name]]
        if differs == ["versions"]:
            if rows and len(there.investigations()) == rows:
                return there
            made = ", ".join(islice(_changed(there.manifest.versions, manifest.versions), 4))
            raise RunError(
                f"{path}: holds half a run made with {made}; finish it as it began, or choose an empty folder"
            )
        if differs:
            raise RunError(f"{path}: holds a run with other {', '.join(differs)}; choose an empty folder")
        return there

    @classmethod
    def create(cls, path: Path, manifest: Manifest, beside: Mapping[str, str] = MappingProxyType({})) -> RunFolder:
        """Raises RunError if the folder exists and is not empty."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            strange = sorted(p.name for p in path.iterdir() if not p.name.endswith(".part") and p.name not in beside)
        except (FileExistsError, NotADirectoryError) as fault:
            raise RunError(f"{path}: not a folder; choose another place") from fault
        if strange:
            raise RunError(f"{path}: not empty and not a run (holds {strange[0]!r}); choose an empty folder")
        folder = cls(path, manifest)
        for name, text in beside.items():
            folder.write_text(name, text)
        folder.write_json("manifest.json", _plain(manifest))
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Raises RunError if there is no run, or its manifest is broken."""
        file = path / "manifest.json"
        plain = read_json(file)
        try:
            return cls(path, _MANIFEST.validate_python(plain))
        except ValidationError as fault:
            raise RunError(f"{file}: {_first(fault)}; was the file changed by hand?") from fault
        except InputError as fault:
            raise RunError(f"{file}: settings: {fault}") from fault

    @property
    def outcomes(self) -> Path:
        return self.path / "outcomes.jsonl"

    @property
    def timings(self) -> Path:
        return self.path / "timings.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints.sqlite"

    def investigations(self) -> list[Investigation]:
        """The finished rows so far, in order."""
        return parse_investigations(read_rows(self.outcomes))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file whole or not at all."""
        self.write_text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a file whole or not at all: a reader sees the old content or the new, never half of it."""
        write_whole(self.path / name, text)


def read_json(file: Path) -> dict[str, Any]:
    """One JSON object of a run folder. Raises RunError if it is missing, too large or broken."""
    if file.exists() and not file.is_file():
        raise RunError(f"{file}: no regular file; not written by turncoat, so choose another folder")
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_JSON_BYTES + 1)
        if len(text) > MAX_JSON_BYTES:
            raise RunError(f"{file}: larger than {MAX_JSON_BYTES >> 20} MiB; not written by turncoat")
        return parse_object(text, file)
    except OSError as fault:
        raise RunError(f"{file}: cannot be read ({fault.strerror}); is this a run folder?") from fault


def plain_investigation(investigation: Investigation) -> dict[str, Any]:
    """The row of `outcomes.jsonl`."""
    plain: dict[str, Any] = _INVESTIGATION.dump_python(investigation, mode="json")
    return plain


def parse_investigation(row: Mapping[str, Any]) -> Investigation:
    """A row as a record.

    Raises:
        ValueError: It is not of the form, or says what none of ours says; the message names the fault.
    """
    try:
        found = _INVESTIGATION.validate_python(row)
    except ValidationError as fault:
        raise ValueError(_first(fault)) from fault
    if oddity := _oddity(found):
        raise ValueError(oddity)
    return found


def parse_investigations(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Investigation]:
    """Rows of `outcomes.jsonl` with their places, as records.

    Raises:
        RunError: A row is not an investigation, or one is there twice; names the line.
    """
    found: dict[tuple[str, str, str], Investigation] = {}
    for place, row in rows:
        try:
            investigation = parse_investigation(row)
        except ValueError as fault:
            raise RunError(f"{place}: {fault}; was the file changed by hand?") from fault
        if investigation.key in found:
            raise RunError(f"{place}: {' '.join(investigation.key)} is there twice; was the file changed by hand?")
        found[investigation.key] = investigation
    return list(found.values())


def _oddity(row: Investigation) -> str:
    """What no row of ours holds, though its form is right; empty if there is nothing."""
    decision = row.decision
    if row.verdict is not None and (fault := unusable(row.verdict)):
        return fault
    if decision.forced and decision.action != "escalate":
        return f"forced to {decision.action}, which nothing forces"
    if not decision.forced and (fault := flaw(row.verdict)):
        return f"{fault}, yet the decision is not forced"
    if decision.action == "dismiss" and any(e.failed for e in row.evidence):
        return "dismissed although a tool failed"
    if decision.simulated_time.tzinfo is None:
        return "decision.simulated_time has no time zone"
    if not _YEARS[0] <= decision.simulated_time.year <= _YEARS[1]:
        return f"decision.simulated_time is not from {_YEARS[0]} to {_YEARS[1]}"
    if not all(math.isfinite(e.cost_s) for e in row.evidence):
        return "the cost of evidence is not a number"
    return ""


def _plain(manifest: Manifest) -> dict[str, Any]:
    plain: dict[str, Any] = _MANIFEST.dump_python(manifest, mode="json")
    return plain


def _first(fault: ValidationError) -> str:
    error = fault.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(x) for x in error['loc'])}: {error['msg']}"
