"""`turncoat resume`: goes on with runs that were stopped or killed."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonLines, PlannerTokenEnv, PlannerUrl, Quiet, SinkModelAgain, SinkUrlAgain, TokenEnv


def resume(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")],
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", metavar="NAME=PATH", help="Where an adapter is now, if it was moved."),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="Base model, where the run was not made with a known one.")] = "",
    sink_url: SinkUrlAgain = "",
    sink_model: SinkModelAgain = "",
    token_env: TokenEnv = "",
    planner_url: PlannerUrl = "",
    planner_token_env: PlannerTokenEnv = "",
    as_json: JsonLines = False,
    quiet: Quiet = False,
) -> None:
    """Finish runs that were stopped or killed.

    Nothing is lost and nothing is done twice.

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
    from .run_order import Outside, check_outside, check_used_by_any, variants_again
    from .run_report import Wanted, report_object, report_parts, write_page
    from .status import StatusLine

    outside = Outside(SinkOptions(url=sink_url, token_env=token_env, model=sink_model), planner_url, planner_token_env)
    watching = None if quiet else progress(as_json)
    plans = {path: planned(path) for path in run_folders([Path(run) for run in runs])}
    check_used_by_any([plan.order for plan in plans.values()], outside)
    for path, plan in plans.items():
        manifest = RunFolder.open(path).manifest
        check_outside(plan.order, outside)
        specs, known_base = variants_again(plan.order, path, list(variant or ()), base)
        with StatusLine(watching) as status:
            status.show("loading the models")
            variants = open_variants(specs, known_base)
        with watch(watching, plan, tuple(variants)) as view:
            done = play(plan, variants, manifest.settings, view.on_event, outside)
        page = write_page(done)
        if as_json:
            print_json_line(report_object(done, Wanted(), page))
        else:
            results().print(*report_parts(done, Wanted(), results().width, page), sep="\n")
