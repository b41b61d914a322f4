"""Reads run folders back: campaign, streams, rows and comparison, each checked against the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turncoat.agent.comparison import Comparison
from turncoat.agent.folder import Manifest, RunFolder, digest
from turncoat.agent.records import Outcome
from turncoat.agent.scoring import score
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import AlertStream
from turncoat.scenarios.schema import Campaign
from turncoat.scenarios.vocabulary import quoted

from .campaign_run import ABLATION_FOLDER, CAMPAIGN_FILE, Plan, comparison_of
from .run_order import read_order


@dataclass(frozen=True)
class PastRun:
    """A run as its folder tells it."""

    path: Path
    manifest: Manifest
    campaign: Campaign
    plan: Plan
    principals: tuple[str, ...]
    """The actor first, then the twins."""
    aliases: tuple[str, ...]
    streams: Mapping[str, AlertStream]
    outcomes: list[Outcome]
    """All rows so far, scored."""
    complete: bool
    """Whether every alert has its row under every variant and principal."""
    comparison: Comparison
    without_evidence: list[Outcome]
    """Rows of the context ablation; empty where there is none."""


def read_run(path: Path) -> PastRun:
    """One run folder, finished or not.

    Raises:
        RunError: No run, a broken file, or rows of other alerts than the manifest's.
        ScenarioError: The copy of the campaign has mistakes.
    """
    manifest = RunFolder.open(path).manifest
    plan = planned(path)
    streams, truths = plan.streams()
    streams = {name: stream for name, stream in streams.items() if name in manifest.streams}
    _check(path, manifest, plan, streams)
    rows = RunFolder(path, manifest).investigations()
    if strange := next((row.variant for row in rows if row.variant not in manifest.variants), ""):
        fault = f"holds rows of {quoted(strange)}, which the manifest does not name"
        raise RunError(f"{path / 'outcomes.jsonl'}: {fault}; was the file changed by hand?")
    outcomes = score(rows, truths, streams)
    below, bare = path / ABLATION_FOLDER, list[Outcome]()
    if (below / "manifest.json").exists():
        bare = score(_without_evidence(below, manifest).investigations(), truths, streams)
    return PastRun(
        path=path,
        manifest=manifest,
        campaign=plan.campaign,
        plan=plan,
        principals=plan.names,
        aliases=plan.aliases,
        streams=streams,
        outcomes=outcomes,
        complete=len(outcomes) == len(truths) * len(streams) * len(manifest.variants),
        comparison=comparison_of(plan, outcomes, manifest.settings),
        without_evidence=bare,
    )


def _without_evidence(path: Path, manifest: Manifest) -> RunFolder:
    """The ablation of a run, if it is one: the same alerts and models, and no tool asked."""
    folder = RunFolder.open(path)
    bare = folder.manifest
    same = bare.variants == manifest.variants and bare.streams.items() <= manifest.streams.items()
    if not (same and bare.settings == replace(manifest.settings, withhold_evidence=True)):
        fault = "not the run above it with its evidence withheld"
        raise RunError(f"{path}: {fault}; was it put there by hand? remove it, or run with --ablate again")
    return folder


def planned(path: Path) -> Plan:
    """The plan of a run folder. Raises RunError or ScenarioError where its files are missing or broken."""
    folder = RunFolder.open(path)
    file = path / CAMPAIGN_FILE
    if file.is_symlink() or not file.is_file():
        raise RunError(f"{file}: missing or no regular file; made by an older turncoat, so run the campaign again")
    return Plan(load_campaign(file), folder.manifest.seed, path, read_order(path))


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """The run folders that are meant: a folder that is none stands for those in it.

    Raises:
        RunError: A path is neither a run folder nor a folder with some.
    """
    found: list[Path] = []
    for path in paths:
        if (path / "manifest.json").exists():
            found.append(path)
            continue
        below = sorted(p.parent for p in path.glob("*/manifest.json")) if path.is_dir() else []
        if not below:
            raise RunError(f"{path}: no run folder; name one that `turncoat run` has made, or a folder of such")
        found += below
    return list(dict.fromkeys(found))


def read_runs(paths: Sequence[Path]) -> list[PastRun]:
    """Several run folders; a folder that holds run folders stands for all of them.

    Raises:
        RunError: As `read_run` and `run_folders`.
    """
    return [read_run(path) for path in run_folders(paths)]


def _check(path: Path, manifest: Manifest, plan: Plan, streams: Mapping[str, AlertStream]) -> None:
    """The rows of a folder mean nothing unless its alerts can be made again, byte for byte."""
    if manifest.principals != tuple(manifest.streams) or plan.names[0] not in streams:
        raise RunError(f"{path / 'manifest.json'}: names principals without streams; was the file changed by hand?")
    if set(manifest.streams) != set(streams) or any(digest(s) != manifest.streams[n] for n, s in streams.items()):
        fault = "the campaign beside it gives other alerts"
        raise RunError(f"{path / 'manifest.json'}: {fault}; made by another turncoat, or changed by hand")
