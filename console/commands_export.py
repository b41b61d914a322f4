"""`turncoat export`: a run as ATT&CK Navigator layer, ATTiRe log, JUnit report or OCSF findings."""

from __future__ import annotations

import typer


def export(
    run: str = typer.Argument(..., metavar="RUN", help="Folder of a run, finished or not."),
    format: str = typer.Option(..., "--format", metavar="FORMAT", help="navigator, attire, junit or ocsf."),
    variant: str = typer.Option("", "--variant", metavar="NAME", help="This variant only.  [default: all]"),
    principal: str = typer.Option("", "--principal", metavar="NAME", help="As whom.  [default: the campaign's actor]"),
    out: str = typer.Option(
        "", "--out", metavar="FILE", help="Write here instead of to standard output.", show_default=False
    ),
) -> None:
    """Write a run in a format of other tools.

    navigator: an ATT&CK Navigator layer (4.5) per variant, scored by the share of attack alerts escalated. attire: an
    ATTiRe 1.1 log of the campaign's steps and what became of them. junit: every expected escalation as a test. ocsf:
    every escalation as an OCSF Detection Finding, one JSON line each.

    \b
    Examples:
      turncoat export runs/insider-departing-exfil-001 --format navigator --variant poisoned --out layer.json
      turncoat export runs/insider-departing-exfil-001 --format junit --out junit.xml
    """
    from pathlib import Path

    from turncoat.scenarios.errors import InputError

    from .case_view import choose, names_of
    from .export.formats import FORMATS
    from .export.whole_file import write_out
    from .past_run import read_run

    if format not in FORMATS:
        raise InputError.at("--format", f"there is no format {format[:40]!r}", f"choose one of {', '.join(FORMATS)}")
    past = read_run(Path(run))
    known = tuple(past.manifest.variants)
    variants = (choose("--variant", variant, known),) if variant else known
    name = choose("--principal", principal, names_of(past)) if principal else past.principals[0]
    write_out(out, FORMATS[format](past, variants, name))
