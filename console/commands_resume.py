"""`turncoat resume`: goes on with runs that were stopped or killed."""

from __future__ import annotations

import typer


def resume(
    runs: list[str] = typer.Argument(..., metavar="RUN...", help="Run folders, or folders of run folders."),
    variant: list[str] = typer.Option(
        None, "--variant", metavar="NAME=PATH", help="Where an adapter is now, if it was moved.", show_default=False
    ),
    base: str = typer.Option("", "--base", help="Base model, where the run was not made with a known one."),
    sink_url: str = typer.Option(
        "", "--sink-url", metavar="URL", help="Again, where the run had one: no folder keeps it."
    ),
    sink_model: str = typer.Option("", "--sink-model", metavar="NAME", help="Likewise."),
    token_env: str = typer.Option(
        "", "--token-env", metavar="NAME", help="Environment variable with the sink's bearer token."
    ),
    planner_url: str = typer.Option(
        "", "--planner-url", metavar="URL", help="OpenAI-compatible endpoint that chooses the tools."
    ),
    planner_token_env: str = typer.Option(
        "", "--planner-token-env", metavar="NAME", help="Environment variable with its bearer token."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per replay, each on a line."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:
    """Finish runs that were stopped or killed; nothing is lost and nothing is done twice.

    The same decisions come out as in an undisturbed run. A run that is finished is only shown again. Models must be
    those of the run, by fingerprint.

    \b
    Examples:
      turncoat resume runs/insider-departing-exfil-001
      turncoat resume runs --quiet
      turncoat resume runs/mine-001 --variant mine=elsewhere/mine
    """
    from pathlib import Path

    from turncoat.agent.folder import RunFolder
    from turncoat.agent.sinks import SinkOptions
    from turncoat.models.variants import open_variants

    from .campaign_run import play
    from .live import watch
    from .output import print_json_line, progress, results
    from .past_run import planned, run_folders
    from .run_order import Outside, variants_again
    from .run_report import Wanted, report_object, report_parts
    from .status import StatusLine

    outside = Outside(SinkOptions(url=sink_url, token_env=token_env, model=sink_model), planner_url, planner_token_env)
    watching = None if quiet else progress(as_json)
    for path in run_folders([Path(run) for run in runs]):
        plan, manifest = planned(path), RunFolder.open(path).manifest
        specs, known_base = variants_again(plan.order, path, list(variant or ()), base)
        with StatusLine(watching) as status:
            status.show("loading the models")
            variants = open_variants(specs, known_base)
        with watch(watching, plan, tuple(variants)) as view:
            done = play(plan, variants, manifest.settings, view.on_event, outside)
        if as_json:
            print_json_line(report_object(done, Wanted()))
        else:
            results().print(*report_parts(done, Wanted(), results().width), sep="\n")
