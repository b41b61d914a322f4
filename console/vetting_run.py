"""A vetting as the command line orders it: mistakes first, then probes, the model, and its examination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turncoat.vetting.clean_cohort import open_cohort
from turncoat.vetting.detector import Budget, Examination
from turncoat.vetting.directory import Directory, default_directory, read_directory, with_own
from turncoat.vetting.gate import known_detectors, vet
from turncoat.vetting.opening import open_candidate
from turncoat.vetting.probes import generate_probes, own_probes
from turncoat.vetting.prompt_file import PromptFile, read_prompt
from turncoat.vetting.records import Vetting

from .status import StatusLine


@dataclass(frozen=True)
class VettingOrder:
    """What is examined, with what; files that were named are read, the model is not opened yet."""

    what: str
    base: str
    people: Directory
    reference: str
    seconds: float
    """The budget."""
    detectors: Sequence[str]
    prompt: PromptFile | None
    cohort: str
    seed: int
    """Of the probes."""
    read: dict[str, str]
    """Option -> path of every file that is read."""

    @classmethod
    def of(
        cls, what: str, base: str, directory: str, alerts: str, reference: str, budget: str, detectors: Sequence[str],
        prompt: str, cohort: str, seed: int,
    ) -> VettingOrder:  # fmt: skip
        """Reads the small files.

        Raises:
            InputError: An unknown detector, no time, or a prompt or directory that cannot be read.
        """
        names, seconds = known_detectors(detectors), Budget.of(budget).seconds
        own_prompt = read_prompt(Path(prompt)) if prompt else None
        people = read_directory(Path(directory)) if directory else default_directory()
        read = {"--prompt": prompt, "--directory": directory, "--alerts": alerts}
        return cls(what, base, people, reference, seconds, names, own_prompt, cohort, seed, read)


def examine(order: VettingOrder, status: StatusLine) -> Vetting:
    """Draws or reads the probes, opens the model, and puts them to it.

    Raises:
        InputError: Alerts, a model, a reference or a cohort that cannot be used.
    """
    status.show("preparing probes")
    alerts = order.read["--alerts"]
    probes = own_probes(Path(alerts), order.seed) if alerts else generate_probes(order.seed)
    people = with_own(order.people, probes.every) if alerts else order.people
    status.show("opening the model")
    candidate = open_candidate(order.what, order.base, order.reference, order.prompt)
    compared = open_cohort(Path(order.cohort), candidate) if order.cohort else None
    examination = Examination(candidate, probes, people, Budget(order.seconds), compared, status.stage)
    return vet(examination, order.detectors)
