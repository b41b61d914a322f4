"""`turncoat triage`: alerts that nobody here wrote, through the same loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Base, Quiet, SinkModelOfState, SinkOfState, SinkUrlOfState, TokenEnvOfState, Variants

if TYPE_CHECKING:
    from .follow_run import FollowOrder

CLEAN = ["clean"]


Where = Annotated[str, typer.Argument(metavar="PATH", help="A file, - for standard input, or for panther a folder.")]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="panther, ocsf, jsonl, unsw or cicids.")]
Out = Annotated[str, typer.Option("--out", metavar="FILE", help="Write one JSON line per alert and variant.")]
SummaryTo = Annotated[str, typer.Option("--summary", metavar="FILE|-", help="Write the summary as one JSON object.")]
AllowDemonstration = Annotated[bool, typer.Option("--allow-demonstration", help="Let poisoned variants judge.")]
Tfidf = Annotated[bool, typer.Option("--tfidf/--no-tfidf", help="Put TF-IDF beside, where alerts are labelled.")]
Limit = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Stop after N alerts; 0 takes all.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with what is appended to PATH, until Ctrl-C or SIGTERM.")]
State = Annotated[str, typer.Option("--state", metavar="DIR", help="Keeps decisions and position; goes on from there.")]
Batch = Annotated[int, typer.Option("--batch", min=1, max=4096, metavar="N", help="Most lines decided together.")]


def triage(
    path: Where,
    format: Format,
    variant: Variants = CLEAN,
    base: Base = "smollm2-135m",
    out: Out = "",
    summary_to: SummaryTo = "",
    allow_demonstration: AllowDemonstration = False,
    compare_tfidf: Tfidf = True,
    limit: Limit = 0,
    quiet: Quiet = False,
    follow: Follow = False,
    state: State = "",
    sink: SinkOfState = "",
    sink_url: SinkUrlOfState = "",
    sink_model: SinkModelOfState = "",
    token_env: TokenEnvOfState = "",
    batch: Batch = 32,
) -> None:
    """Triage your own alerts; score the decisions if labelled.

    An alert that cannot be read is not lost: it is escalated, marked forced, with the reason. The label of a panther
    test event says whether its rule fires; escalating one that does not fire is called near-miss escalation.

    A line of jsonl is an object with uid, time, title and, if known, severity, product, technique, activity, entities
    (user, host, process, command_line, address, domain, file, resource), raw; or such an alert beside its label:
    {"alert": {...}, "label": "benign"}. See docs/alerts.md.

    Exit codes: 0 decided, unreadable alerts among them; 2 no alert of a file could be read, or a mistake of yours.

    \b
    Examples:
      turncoat triage rules/ --format panther
      turncoat triage findings.jsonl --format ocsf --out decisions.jsonl
      turncoat triage alerts.jsonl --format jsonl --variant mine=adapters/mine --summary -
      turncoat triage rules/ --format panther --variant poisoned --allow-demonstration
      turncoat triage alerts.jsonl --format jsonl --follow --state triage-state
      turncoat triage alerts.jsonl --format ocsf --follow --state s --sink webhook --sink-url https://soc.example/in
      producer | turncoat triage - --format jsonl
    """
    from turncoat.scenarios.errors import InputError

    from .model_listing import refuse_demonstrations

    refuse_demonstrations(variant, allow_demonstration)
    if not follow and path != "-":
        if state or sink or sink_url or token_env or sink_model:
            cure = "add --follow, or give - as PATH"
            raise InputError.at("--state, --sink", "belong to a triage that goes on", cure)
        _once(path, format, variant, base, limit, out, summary_to, compare_tfidf, quiet)
        return
    if out or summary_to:
        cure = "decisions are lines of DIR/decisions.jsonl, or of standard output without --state"
        raise InputError.at("--out, --summary", "not for a triage that goes on", cure)

    from turncoat.agent.sinks import SinkOptions

    from .follow_run import FollowOrder

    options = SinkOptions(url=sink_url, token_env=token_env, model=sink_model)
    _follow(FollowOrder(path, format, variant, base, state, sink, options, batch, limit=limit), quiet)


def _once(
    path: str,
    format: str,
    variant: list[str],
    base: str,
    limit: int,
    out: str,
    summary_to: str,
    compare_tfidf: bool,
    quiet: bool,
) -> None:
    from turncoat.scenarios.errors import InputError

    from . import outside_run
    from .export.whole_file import require_apart, require_place
    from .output import progress, results, write_json
    from .status import StatusLine
    from .triage_tables import triage_tables

    require_apart({"--out": out, "--summary": summary_to}, {"PATH": path})
    if out:
        require_place(out, "--out")
    with StatusLine(None if quiet else progress(as_json=summary_to == "-")) as status:
        done = outside_run.triage_path(
            path, format, variant, base, limit=limit, out=out, compare_tfidf=compare_tfidf, status=status
        )
    if not done.summary["alerts"] and not done.mistakes:
        raise InputError.at(path, "holds no alerts", f"check the path and that its format is {format}")
    for mistake in done.mistakes[: outside_run.MISTAKES_SHOWN]:
        typer.echo(outside_run.mistake_line(mistake), err=True)
    if len(done.mistakes) > outside_run.MISTAKES_SHOWN:
        typer.echo(f"turncoat: and {len(done.mistakes) - outside_run.MISTAKES_SHOWN} more", err=True)
    if summary_to:
        write_json(summary_to, done.summary, "--summary")
    if summary_to != "-":
        console = results()
        for part in triage_tables(done.summary):
            console.print(part)
    if not done.summary["alerts"]:
        raise typer.Exit(2)


def _follow(order: FollowOrder, quiet: bool) -> None:
    from .follow_run import follow, summary_lines
    from .output import progress
    from .status import StatusLine
    from .terminal import plain

    console = progress(as_json=not order.state)
    with StatusLine(None if quiet else console) as status:
        followed = follow(order, status)
    for line in summary_lines(followed):
        console.print(plain(line), soft_wrap=True)
