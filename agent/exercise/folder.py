"""The folder of an exercise: what it is played with, and the log of what happened, which one process writes at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from turncoat.models.classifier import AlertClassifier
from turncoat.scenarios.emit import emit
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.exercise import ExercisePlan
from turncoat.scenarios.exercise_loader import exercise_text, parse_exercise
from turncoat.scenarios.loader import campaign_text, parse_campaign, text_of
from turncoat.scenarios.records import AlertStream
from turncoat.scenarios.schema import Campaign
from turncoat.scenarios.whole_file import write_whole
from turncoat.tools.toolbox import Toolbox

from ..bulk import investigate_together, seat_of
from ..folder import digest, parse_investigations, plain_investigation, read_json
from ..journal import Journal, read_rows
from ..policy import ThresholdPolicy
from ..records import Investigation, Settings
from ..scoring import score
from ..triage import NoCloud
from .material import Material

MANIFEST_FILE, CAMPAIGN_FILE, PLAN_FILE = "exercise.json", "campaign.yaml", "exercise.yaml"
DECISIONS_FILE, EVENTS_FILE, LOCK_FILE = "decisions.jsonl", "events.jsonl", "exercise.lock"
_UNFINISHED = (CAMPAIGN_FILE, PLAN_FILE, DECISIONS_FILE)
"""What a killed preparation may leave; it goes when the next one begins."""
OnProgress = Callable[[int, int], None]
"""Told of alerts decided so far, and of all."""


@dataclass(frozen=True)
class Manifest:
    """Everything that an exercise's course depends on, but what people do."""

    campaign: str
    seed: int
    variant: str
    reference: str
    fingerprints: Mapping[str, str]
    """Model -> fingerprint."""
    stream: str
    """SHA-256 of alerts, facts and outages."""
    settings: Settings
    format: int = 1


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def is_prepared(path: Path) -> bool:
    """Whether an exercise lies there."""
    return (path / MANIFEST_FILE).exists()


def prepare(
    path: Path,
    campaign: Campaign,
    plan: ExercisePlan,
    seed: int,
    variants: Mapping[str, AlertClassifier],
    *,
    variant: str,
    reference: str,
    settings: Settings | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> None:
    """Lets both models decide about every alert, once, and writes the folder; the exercise itself needs no model.

    Args:
        path: Empty, or not there yet.
        campaign: Played under its actor's own name.
        plan: Its exercise.
        seed: Of the world.
        variants: Classifiers by name; holds `variant` and `reference`.
        variant: The model that stands before the desk.
        reference: The one that a swap brings, and that the report compares with.
        settings: As of a run.
        on_progress: Told after every chunk of alerts.

    Raises:
        RunError: The folder holds something else, or another process is at work in it.
        OSError: It cannot be written.
    """
    _require_room(path)
    lock = Lock(path)
    try:
        _require_room(path)  # again, now that no other process can come between
        for name in _UNFINISHED:
            (path / name).unlink(missing_ok=True)
        stream, _ = emit(campaign, seed)
        settings = settings or Settings()
        rows = _decide(stream, variants, tuple(dict.fromkeys((variant, reference))), settings, on_progress)
        write_whole(path / CAMPAIGN_FILE, campaign_text(campaign))
        write_whole(path / PLAN_FILE, exercise_text(plan))
        with Journal(path / DECISIONS_FILE, durable=True) as journal:
            for row in rows:
                journal.append(plain_investigation(row))
        fingerprints = {name: variants[name].fingerprint for name in (variant, reference)}
        manifest = Manifest(campaign.id, seed, variant, reference, fingerprints, digest(stream), settings)
        # Last: a folder with a manifest is whole.
        write_whole(path / MANIFEST_FILE, _MANIFEST.dump_json(manifest, indent=2).decode() + "\n")
    finally:
        lock.release()


def _require_room(path: Path) -> None:
    """Creates the folder, or refuses one with anything else in it than a killed preparation leaves."""
    ours = {*_UNFINISHED, LOCK_FILE}
    try:
        path.mkdir(parents=True, exist_ok=True)
        strange = sorted(p.name for p in path.iterdir() if p.name not in ours and not p.name.endswith(".part"))
    except (FileExistsError, NotADirectoryError) as fault:
        raise RunError(f"{path}: not a folder; choose another place") from fault
    if strange:
        raise RunError(f"{path}: not empty and no exercise (holds {strange[0]!r}); choose an empty folder")


def _decide(
    stream: AlertStream,
    variants: Mapping[str, AlertClassifier],
    names: tuple[str, ...],
    settings: Settings,
    on_progress: OnProgress,
) -> list[Investigation]:
    """Every alert by each model, in the chunks of a replay."""
    chosen = {name: variants[name] for name in names}
    toolbox, policy = Toolbox(stream), ThresholdPolicy.under(settings)
    seats = [seat_of(name, classifier, toolbox, policy, NoCloud(), settings) for name, classifier in chosen.items()]
    rows: list[Investigation] = []
    for first in range(0, len(stream.alerts), settings.chunk):
        on_progress(first, len(stream.alerts))
        chunk = stream.alerts[first : first + settings.chunk]
        rows += [row for seat in investigate_together(variants, seats, [chunk] * len(seats)) for row in seat]
    on_progress(len(stream.alerts), len(stream.alerts))
    return rows


def read_material(path: Path) -> Material:
    """What the exercise of a folder is played with.

    Raises:
        RunError: There is none, or its files do not fit each other.
        ScenarioError: Campaign or exercise have mistakes.
    """
    file = path / MANIFEST_FILE
    if not is_prepared(path):
        raise RunError(f"{path}: no exercise; `turncoat tabletop SCENARIO --out {path}` prepares one")
    try:
        manifest = _MANIFEST.validate_python(read_json(file))
    except (ValidationError, InputError) as fault:
        told = (
            fault.errors(include_url=False, include_input=False)[0]["msg"]
            if isinstance(fault, ValidationError)
            else fault
        )
        raise RunError(f"{file}: {told}; was the file changed by hand?") from fault
    campaign = parse_campaign(text_of(path / CAMPAIGN_FILE), str(path / CAMPAIGN_FILE))
    plan = parse_exercise(text_of(path / PLAN_FILE), campaign, str(path / PLAN_FILE))
    stream, truths = emit(campaign, manifest.seed)
    if digest(stream) != manifest.stream:
        raise RunError(
            f"{file}: the campaign beside it gives other alerts; made by another turncoat, or changed by hand"
        )
    judge = partial(score, truths=truths, streams={stream.principal: stream})
    outcomes = judge(parse_investigations(read_rows(path / DECISIONS_FILE)))
    by_variant = {
        name: {o.alert.uid: o for o in outcomes if o.investigation.variant == name}
        for name in (manifest.variant, manifest.reference)
    }
    short = [name for name, found in by_variant.items() if len(found) != len(stream.alerts)]
    if short:
        raise RunError(f"{path / DECISIONS_FILE}: alerts without a decision of {short[0]!r}; prepare a new folder")
    return Material(
        campaign=campaign,
        plan=plan,
        seed=manifest.seed,
        stream=stream,
        variant=manifest.variant,
        reference=manifest.reference,
        outcomes=by_variant,
        settings=manifest.settings,
        judge=judge,
    )


class Lock:
    """Holds an exercise's folder for this process; the operating system lets go of it when the process ends, however."""

    def __init__(self, path: Path) -> None:
        """Raises RunError if another process holds it, OSError if it cannot be opened."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._file: IO[bytes] = os.fdopen(os.open(path / LOCK_FILE, flags, 0o644), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            self._file.close()
            raise RunError(f"{path}: another process runs this exercise; end it first") from fault

    def release(self) -> None:
        self._file.close()
