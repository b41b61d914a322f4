"""`turncoat triage`: alerts that nobody here wrote, through the same loop."""

from __future__ import annotations

import typer


def triage(
    path: str = typer.Argument(..., metavar="PATH", help="A file, or for panther a folder of rules."),
    format: str = typer.Option(..., "--format", help="panther, ocsf or jsonl."),
    variant: list[str] = typer.Option(
        ["clean"], "--variant", metavar="NAME[=PATH]", help="May be given several times."
    ),
    base: str = typer.Option(
        "smollm2-135m", "--base", help="Base model: a known name, a folder, a GGUF file, a hub id."
    ),
    out: str = typer.Option("", "--out", metavar="FILE", help="Write one JSON line per alert and variant."),
    json_to: str = typer.Option("", "--json", metavar="FILE|-", help="Write the summary as one JSON object."),
    allow_demonstration: bool = typer.Option(False, "--allow-demonstration", help="Let poisoned variants judge."),
    compare_tfidf: bool = typer.Option(
        True, "--tfidf/--no-tfidf", help="Put TF-IDF beside, where alerts are labelled."
    ),
    limit: int = typer.Option(0, "--limit", min=0, metavar="N", help="Stop after N alerts; 0 takes all."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:
    """Triage alerts from outside and, where they are labelled, score the decisions with intervals.

    An alert that cannot be read is not lost: it is escalated, marked forced, with the reason. The label of a panther
    test event says whether its rule fires; escalating one that does not fire is called near-miss escalation.

    \b
    Examples:
      turncoat triage rules/ --format panther
      turncoat triage findings.jsonl --format ocsf --out decisions.jsonl
      turncoat triage alerts.jsonl --format jsonl --variant mine=adapters/mine --json -
      turncoat triage rules/ --format panther --variant poisoned --allow-demonstration
    """
    from .model_listing import refuse_demonstrations

    refuse_demonstrations(variant, allow_demonstration)

    from turncoat.scenarios.errors import InputError

    from . import outside_run
    from .output import progress, results, write_json
    from .status import StatusLine
    from .triage_tables import triage_tables

    with StatusLine(None if quiet else progress(as_json=json_to == "-")) as status:
        done = outside_run.triage_path(
            path, format, variant, base, limit=limit, out=out, compare_tfidf=compare_tfidf, status=status
        )
    if not done.summary["alerts"] and not done.mistakes:
        raise InputError.at(path, "holds no alerts", f"check the path and that its format is {format}")
    for mistake in done.mistakes[: outside_run.MISTAKES_SHOWN]:
        typer.echo(outside_run.mistake_line(mistake), err=True)
    if len(done.mistakes) > outside_run.MISTAKES_SHOWN:
        typer.echo(f"turncoat: and {len(done.mistakes) - outside_run.MISTAKES_SHOWN} more", err=True)
    if json_to:
        write_json(json_to, done.summary)
    if json_to != "-":
        console = results()
        for part in triage_tables(done.summary):
            console.print(part)
    if not done.summary["alerts"]:
        raise typer.Exit(2)
