"""`turncoat run`: campaigns against model variants, and what each lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from turncoat.scenarios.schema import Campaign

FLAGSHIP = "insider-departing-exfil"


def run(
    campaigns: list[str] = typer.Argument(
        None, metavar="[FILE|ID]...", help=f"Default: {FLAGSHIP}.", show_default=False
    ),
    everything: bool = typer.Option(False, "--all", help="Every campaign that comes with turncoat."),
    variant: list[str] = typer.Option(
        ["baseline", "clean", "poisoned"], "--variant", metavar="NAME[=PATH]", help="May be given several times."
    ),
    base: str = typer.Option(
        "smollm2-135m", "--base", help="Base model: a known name, a folder, a GGUF file, a hub id."
    ),
    out: str = typer.Option(
        "", "--out", metavar="DIR", help="Run folder. [default: the next free runs/<campaign>-001]"
    ),
    seed: int = typer.Option(None, "--seed", min=0, help="Seed of the world.  [default: the campaign's own]"),
    seeds: int = typer.Option(1, "--seeds", min=1, metavar="N", help="Replay with N seeds in a row."),
    price: float = typer.Option(
        0.0, "--price", min=0, max=1e12, metavar="X", help="Cost of one escalation, in any currency."
    ),
    aliases: bool = typer.Option(
        True, "--aliases/--no-aliases", help="Also under the campaign's aliases of the actor."
    ),
    ablate: bool = typer.Option(
        False, "--ablate", help="Also without evidence: does it move the verdict, or the name?"
    ),
    cloud_budget: int = typer.Option(
        0, "--cloud-budget", min=0, metavar="N", help="Show the cloud's load when it takes N escalations a day."
    ),
    overflow_price: float = typer.Option(
        None,
        "--overflow-price",
        min=0,
        max=1e12,
        metavar="X",
        show_default=False,
        help="Cost of one beyond that budget, which waits a day.  [default: as --price]",
    ),
    memory: str = typer.Option(
        "",
        "--memory",
        metavar="LIKENESS",
        help="Show what remembering dismissals changes, such as user-rule-entity.",
    ),
    sink: str = typer.Option("queue", "--sink", help="Where escalations go: queue, webhook, second-opinion."),
    sink_url: str = typer.Option("", "--sink-url", metavar="URL", help="Of the sink; https, or http on loopback."),
    sink_model: str = typer.Option("", "--sink-model", metavar="NAME", help="Model that gives the second opinion."),
    token_env: str = typer.Option(
        "", "--token-env", metavar="NAME", help="Environment variable with the sink's bearer token."
    ),
    planner: str = typer.Option("playbook", "--planner", help="Who chooses the tools: playbook, or llm."),
    planner_model: str = typer.Option("", "--planner-model", metavar="NAME", help="Model of the llm planner."),
    planner_url: str = typer.Option(
        "", "--planner-url", metavar="URL", help="OpenAI-compatible endpoint that chooses the tools."
    ),
    planner_token_env: str = typer.Option(
        "", "--planner-token-env", metavar="NAME", help="Environment variable with its bearer token."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per replay, each on a line."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
    check: bool = typer.Option(False, "--check", help="Exit with 1 unless every expected escalation was made."),
) -> None:
    """Replay campaigns as their actor and as the twins, against model variants, and compare.

    Every variant sees the same alerts under one threshold. The run folder takes a manifest, each row as it comes, and
    the comparison; a run that was stopped goes on when it is started again with the same --out.

    \b
    Examples:
      turncoat run
      turncoat run --seeds 20 --quiet
      turncoat run insider-departing-exfil --variant clean --variant mine=adapters/mine
      turncoat run my-campaign.yaml --variant clean --check --json
      turncoat run --all --ablate --out runs/everything
      turncoat run --memory user-rule-entity --cloud-budget 10 --price 4
    """
    chosen = _chosen(list(campaigns or ()), everything)

    from turncoat.agent.cascade import CloudTerms
    from turncoat.agent.memory import likeness
    from turncoat.agent.records import Settings
    from turncoat.agent.sinks import SinkOptions
    from turncoat.models.variants import open_variants

    from .campaign_run import Replayed, plan_runs, play
    from .live import watch
    from .output import print_json_line, progress, results
    from .run_order import Outside, RunOrder
    from .run_report import Wanted, many_parts, report_object, report_parts
    from .status import StatusLine

    if memory:
        likeness(memory)
    terms = CloudTerms(daily_budget=cloud_budget, price=price, overflow_price=overflow_price) if cloud_budget else None
    wanted = Wanted(terms, memory)
    outside = Outside(SinkOptions(url=sink_url, token_env=token_env, model=sink_model), planner_url, planner_token_env)
    order = RunOrder(
        variants=tuple(variant), base=base, price=price, aliases=aliases, ablate=ablate, sink=sink,
        planner=planner, planner_model=planner_model,
    )  # fmt: skip
    plans = plan_runs(chosen, seeds, seed, out, order)
    watching = None if quiet else progress(as_json)
    with StatusLine(watching) as status:
        status.show("loading the models")
        variants = open_variants(variant, base)
    done: list[Replayed] = []
    for plan in plans:
        with watch(watching, plan, tuple(variants)) as view:
            done.append(play(plan, variants, Settings(), view.on_event, outside))
        if as_json:
            print_json_line(report_object(done[-1], wanted))
        else:
            results().print(*report_parts(done[-1], wanted, results().width), sep="\n")
    if len(done) > 1 and not as_json:
        results().print(*many_parts(done, results().width), sep="\n")
    failed = sum(len(one.failed) for one in done)
    if check and failed:
        typer.echo(f"turncoat: {failed} expected escalations were not made", err=True)
        raise typer.Exit(1)


def _chosen(campaigns: list[str], everything: bool) -> list[Campaign]:
    """The campaigns that were asked for. Mistakes of several files are told together."""
    from turncoat.scenarios.errors import InputError, Mistake
    from turncoat.scenarios.loader import list_campaigns, load_campaign

    if everything and campaigns:
        raise InputError.at("--all", "stands for every campaign", "leave out the names, or leave out --all")
    loaded, mistakes = [], list[Mistake]()
    for name in list_campaigns() if everything else campaigns or [FLAGSHIP]:
        try:
            loaded.append(load_campaign(name))
        except InputError as error:
            mistakes += error.mistakes
    if mistakes:
        raise InputError(*mistakes)
    return loaded
