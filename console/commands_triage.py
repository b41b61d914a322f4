"""`turncoat triage`: alerts that nobody here wrote, through the same loop."""

from __future__ import annotations

import typer


def triage(
    path: str = typer.Argument(..., metavar="PATH", help="A file, - for standard input, or for panther a folder."),
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
    follow: bool = typer.Option(
        False, "--follow", help="Go on with what is appended to PATH, until Ctrl-C or SIGTERM."
    ),
    state: str = typer.Option("", "--state", metavar="DIR", help="Keeps decisions and position; goes on from there."),
    sink: str = typer.Option("", "--sink", metavar="NAME", help="queue, webhook or second-opinion; needs --state."),
    sink_url: str = typer.Option("", "--sink-url", metavar="URL", help="https, or http on loopback."),
    sink_model: str = typer.Option("", "--sink-model", metavar="NAME", help="Model of a second opinion."),
    token_env: str = typer.Option("", "--token-env", metavar="NAME", help="Variable that holds the bearer token."),
    batch: int = typer.Option(32, "--batch", min=1, max=4096, metavar="N", help="Most lines decided together."),
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
      turncoat triage alerts.jsonl --format jsonl --follow --state triage-state
      turncoat triage alerts.jsonl --format ocsf --follow --state s --sink webhook --sink-url https://soc.example/in
      producer | turncoat triage - --format jsonl
    """
    from .model_listing import refuse_demonstrations

    refuse_demonstrations(variant, allow_demonstration)

    from turncoat.scenarios.errors import InputError

    if follow or path == "-":
        if out or json_to:
            cure = "decisions are lines of DIR/decisions.jsonl, or of standard output without --state"
            raise InputError.at("--out, --json", "not for a triage that goes on", cure)
        _follow(path, format, variant, base, state, sink, (sink_url, token_env, sink_model), batch, limit, quiet)
        return
    if state or sink or sink_url or token_env or sink_model:
        raise InputError.at("--state, --sink", "belong to a triage that goes on", "add --follow, or give - as PATH")

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


def _follow(
    path: str,
    format: str,
    variant: list[str],
    base: str,
    state: str,
    sink: str,
    reach: tuple[str, str, str],
    batch: int,
    limit: int,
    quiet: bool,
) -> None:
    from turncoat.agent.sinks import SinkOptions

    from .follow_run import FollowOrder, follow, summary_lines
    from .output import progress
    from .status import StatusLine
    from .terminal import plain

    url, token_env, model = reach
    options = SinkOptions(url=url, token_env=token_env, model=model)
    order = FollowOrder(path, format, variant, base, state, sink, options, batch, limit=limit)
    console = progress(as_json=not state)
    with StatusLine(None if quiet else console) as status:
        followed = follow(order, status)
    for line in summary_lines(followed):
        console.print(plain(line), soft_wrap=True)
