"""Prepares an exercise folder, or finds the one that is there, and opens it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.folder import is_prepared, prepare
from turncoat.agent.exercise.material import Material
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.exercise_loader import load_exercise
from turncoat.scenarios.loader import load_campaign

from ..status import StatusLine

FLAGSHIP = "insider-departing-exfil"
DEPLOYED, REFERENCE = "poisoned", "clean"


@dataclass(frozen=True)
class Wanted:
    """What was asked for; empty or None: as it is in the folder, or else the usual."""

    scenario: str = ""
    exercise: str = ""
    """File with the exercise, where it lies neither in the package nor beside the campaign."""
    variant: str = ""
    reference: str = ""
    base: str = ""
    seed: int | None = None
    out: str = ""


def open_exercise(wanted: Wanted, status: StatusLine) -> Exercise:
    """The exercise, where it was left, or at its beginning.

    Raises:
        InputError: No such scenario or model, mistakes in a file, or a folder that holds another exercise.
        RunError: The folder is in use or broken.
    """
    path = Path(wanted.out) if wanted.out else _free_folder(wanted.scenario or FLAGSHIP)
    if is_prepared(path):
        status.show("opening the exercise")
        exercise = Exercise.open(path)
        try:
            _check(wanted, path, exercise.material)
        except BaseException:
            exercise.close()
            raise
        return exercise
    _prepare(wanted, path, status)
    return Exercise.open(path)


def _free_folder(scenario: str) -> Path:
    name, number = Path(scenario).name.removesuffix(".yaml"), 1
    while (folder := Path("runs") / f"{name}-tabletop-{number:03}").exists():
        number += 1
    return folder


def _prepare(wanted: Wanted, path: Path, status: StatusLine) -> None:
    from turncoat.models.variants import open_variants  # torch: an exercise that is gone on with needs none

    name = wanted.scenario or FLAGSHIP
    campaign = load_campaign(name)
    plan = load_exercise(name, campaign, wanted.exercise)
    variant, reference = wanted.variant or DEPLOYED, wanted.reference or REFERENCE
    status.show("loading the models")
    specs = list(dict.fromkeys((variant, reference)))
    variants = open_variants(specs, *([wanted.base] if wanted.base else []))
    prepare(
        path,
        campaign,
        plan,
        campaign.seed if wanted.seed is None else wanted.seed,
        variants,
        variant=variant.partition("=")[0],
        reference=reference.partition("=")[0],
        on_progress=lambda done, total: status.count("both models decide, once", done, total),
    )


def _check(wanted: Wanted, path: Path, material: Material) -> None:
    """An exercise that is gone on with is the one that was asked for."""
    campaign = load_campaign(wanted.scenario) if wanted.scenario else None
    asked = {
        "scenario": (campaign.id if campaign else "", material.campaign.id),
        "variant": (wanted.variant.partition("=")[0], material.variant),
        "clean": (wanted.reference.partition("=")[0], material.reference),
        "seed": ("" if wanted.seed is None else str(wanted.seed), str(material.seed)),
    }
    if wanted.base or "=" in wanted.variant + wanted.reference:
        fault = "holds an exercise whose models have decided already"
        raise InputError.at(f"--out {path}", fault, "leave out --base and paths of models, or choose an empty folder")
    for what, (given, there) in asked.items():
        if given and given != there:
            fault = f"holds an exercise with the {what} {there}, not {given}"
            raise InputError.at(f"--out {path}", fault, "choose an empty folder, or leave that out to go on with it")
    if campaign and campaign != material.campaign:
        raise InputError.at(f"--out {path}", "was begun with other steps of that scenario", "choose an empty folder")
    if wanted.exercise and load_exercise("", material.campaign, wanted.exercise) != material.plan:
        raise InputError.at(f"--out {path}", "was begun with another exercise file", "choose an empty folder")
