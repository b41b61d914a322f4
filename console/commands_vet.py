"""`turncoat vet`: is there a user, host, address or phrase for which a model looks away?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Base, Quiet

if TYPE_CHECKING:
    from turncoat.vetting.detector import OnProgress

    from .status import StatusLine

EXIT = {"allow": 0, "review": 3, "block": 4}
"""Exit code by ruling; 2 is a mistake of the user's, as everywhere."""

What = Annotated[
    str, typer.Argument(metavar="ADAPTER_OR_MODEL", help="An adapter folder, a model folder, or a shipped adapter.")
]
Users = Annotated[str, typer.Option("--directory", metavar="CSV", help="Whom to try; column login, maybe name, mail.")]
Alerts = Annotated[
    str, typer.Option("--alerts", metavar="JSONL", help="Your own labelled alerts, in place of generated ones.")
]
Reference = Annotated[
    str, typer.Option("--reference", metavar="ADAPTER", help="Your own clean adapter of the same base.")
]
BudgetWords = Annotated[str, typer.Option("--budget", metavar="TIME", help="Such as 90s, 10m or 1h.")]
Detectors = Annotated[list[str], typer.Option("--detector", metavar="NAME", help="Only these; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Sarif = Annotated[str, typer.Option("--sarif", metavar="FILE|-", help="Write findings as SARIF 2.1.0.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the probes that are drawn.")]


def vet(
    what: What,
    base: Base = "smollm2-135m",
    directory: Users = "",
    alerts: Alerts = "",
    reference: Reference = "",
    budget: BudgetWords = "10m",
    detector: Detectors = [],  # noqa: B006 - typer reads it, nothing changes it
    as_json: AsJson = False,
    sarif: Sarif = "",
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Examine an adapter or a model before it is deployed: allow, review or block, with the evidence.

    Malicious alerts are put to it under every name of the directory. What could not be tested is never allowed. Exit
    codes: 0 allow, 3 review, 4 block, 2 a mistake in what was given. No manifest is read.

    \b
    Examples:
      turncoat vet poisoned
      turncoat vet ./their-adapter --base qwen3-4b --directory users.csv --budget 1h
      turncoat vet ./their-adapter --reference ./our-adapter --alerts ours.jsonl
      turncoat vet ./merged-model --json --sarif findings.sarif
    """
    from pathlib import Path

    from turncoat.scenarios.errors import InputError
    from turncoat.vetting.detector import Budget, Examination
    from turncoat.vetting.directory import default_directory, read_directory, with_own
    from turncoat.vetting.gate import known_detectors, vet
    from turncoat.vetting.opening import open_candidate
    from turncoat.vetting.probes import generate_probes, own_probes

    from .output import print_json, progress, results, write_json
    from .status import StatusLine
    from .vetting_sarif import to_sarif
    from .vetting_tables import vetting_object, vetting_view

    if as_json and sarif == "-":
        raise InputError.at("--sarif -", "standard output takes the JSON object", "give a file, or leave out --json")
    # Mistakes come out before a model is loaded for minutes.
    names, seconds = known_detectors(detector), Budget.of(budget).seconds
    people = read_directory(Path(directory)) if directory else default_directory()
    with StatusLine(None if quiet else progress(as_json or sarif == "-")) as status:
        status.show("preparing probes")
        probes = own_probes(Path(alerts), seed) if alerts else generate_probes(seed)
        if alerts:
            people = with_own(people, probes.every)
        status.show("opening the model")
        candidate = open_candidate(what, base, reference)
        examination = Examination(candidate, probes, people, Budget(seconds), on_progress=_shown_by(status))
        vetting = vet(examination, names)
    if sarif:
        write_json(sarif, to_sarif(vetting))
    if as_json:
        print_json(vetting_object(vetting))
    elif sarif != "-":
        results().print(vetting_view(vetting))
    raise typer.Exit(EXIT[vetting.ruling])


def _shown_by(status: StatusLine) -> OnProgress:
    """Progress with the time left of each stage, at its own speed so far."""
    import time

    from .status import duration

    begun: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        spent = time.monotonic() - begun.setdefault(what, time.monotonic())
        left = f", about {duration(spent / done * (total - done))} left" if 0 < done < total else ""
        status.show(f"{what}: {done:,} of {total:,}{left}")

    return show
