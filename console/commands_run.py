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
    """
    chosen = _chosen(list(campaigns or ()), everything)

    from turncoat.agent.records import Settings
    from turncoat.models.variants import open_variants

    from .campaign_run import Replayed, plan_runs, play
    from .live import watch
    from .output import print_json_line, progress, results
    from .run_order import RunOrder
    from .status import StatusLine
    from .tables import comparison_view, seeds_view
    from .terminal import plain

    watching = None if quiet else progress(as_json)
    order = RunOrder(variants=tuple(variant), base=base, price=price, aliases=aliases, ablate=ablate)
    plans = plan_runs(chosen, seeds, seed, out, order)
    with StatusLine(watching) as status:
        status.show("loading the models")
        variants = open_variants(variant, base)
    done: list[Replayed] = []
    for plan in plans:
        with watch(watching, plan, tuple(variants)) as view:
            done.append(play(plan, variants, Settings(), view.on_event))
        if as_json:
            print_json_line(done[-1].as_json())
        else:
            console = results()
            console.print(comparison_view(done[-1].comparison, done[-1].sentence, console.width))
            console.print(f"Run folder: {plain(plan.folder)}", soft_wrap=True)
    if len(done) > 1 and not as_json:
        results().print(seeds_view([one.comparison for one in done]))
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
