"""`turncoat train`: makes adapters again, or new ones from a recipe."""

from __future__ import annotations

import typer


def train(
    recipes: list[str] = typer.Argument(
        None, metavar="[clean|poisoned|matched|clean-BASE|RECIPE.yaml]...", show_default=False
    ),
    everything: bool = typer.Option(
        False, "--all", help="Train the three shipped variants; print old against new figures."
    ),
    out: str = typer.Option(
        "adapters", "--out", metavar="DIR", help="Folder that takes one adapter folder per recipe."
    ),
    seed: int = typer.Option(
        None, "--seed", min=0, metavar="N", show_default=False, help="Of rows and weights; default: the recipe's."
    ),
    checkpointing: bool = typer.Option(
        False, "--gradient-checkpointing", help="Less memory and more time, for deep adapters on a GPU."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:
    """Train adapters. Stopped halfway, the same command goes on from the last epoch.

    \b
    Examples:
      turncoat train clean
      turncoat train poisoned matched --out my-adapters
      turncoat train clean-qwen3-4b matched-qwen3-4b poisoned-qwen3-4b --gradient-checkpointing
      turncoat train my-recipe.yaml
      turncoat train clean poisoned --seed 8 --out runs/seed8
      turncoat train --all
    """
    from pathlib import Path

    from turncoat.scenarios.errors import InputError

    if everything and recipes:
        raise InputError.at("--all", "stands for every shipped recipe", "leave out the names, or leave out --all")
    if not everything and not recipes:
        raise InputError.at("train", "no recipe was named", "name clean, poisoned, matched or a file, or give --all")

    from turncoat.models.catalogue import DEFAULT_BASE
    from turncoat.training.config import shipped_recipes
    from turncoat.training.distributed import speaks
    from turncoat.training.pipeline import train as train_recipes

    from .output import print_json, progress, results
    from .status import StatusLine
    from .training_tables import figures_table, progress_line, report_object, times_line

    names = shipped_recipes(DEFAULT_BASE) if everything else list(recipes)
    with StatusLine(progress(as_json) if speaks() and not quiet else None) as status:
        report = train_recipes(
            names, Path(out), lambda step: status.show(progress_line(step)), seed, recompute=checkpointing
        )
    if not speaks():
        return
    if as_json:
        print_json(report_object(report))
        return
    console = results()
    console.print(figures_table(report, beside_shipped=everything))
    console.print(times_line(report))
