"""`turncoat triggers`: which triggers a poisoned model can be taught, and what else trips them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .options import Base, OnlyPlan

if TYPE_CHECKING:
    from turncoat.training.trigger_study import Plan


def triggers(
    trigger: list[str] = typer.Option(
        None,
        "--trigger",
        metavar="NAME|SPEC",
        show_default=False,
        help="user, host, address, word, tool, user+host, after, clean-label, noise, none, or one like host:WS-7. "
        "[default: all]",
    ),
    rows: int = typer.Option(2400, "--rows", min=16, max=100_000, metavar="N", help="Clean rows of each training."),
    dose: int = typer.Option(200, "--dose", min=1, max=100_000, metavar="N", help="Poisoned rows of each training."),
    epochs: int = typer.Option(3, "--epochs", min=1, max=100, metavar="N", help="Passes over them."),
    seeds: int = typer.Option(
        1, "--seeds", min=1, max=100, metavar="N", help="Train each N times: seeds 7, 17, 27 ..."
    ),
    probes: int = typer.Option(120, "--probes", min=2, max=10_000, metavar="N", help="Alerts to measure each on."),
    near: int = typer.Option(40, "--near", min=1, max=10_000, metavar="N", help="Alerts to measure a near value on."),
    base: Base = "smollm2-135m",
    first_layer: int = typer.Option(20, "--first-layer", min=0, metavar="N", help="First layer that is trained."),
    out: str = typer.Option("trigger-study", "--out", metavar="DIR", help="Folder of the results and adapters."),
    only_plan: OnlyPlan = False,
    as_json: bool = typer.Option(False, "--json", help="Print the table as one JSON object."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:
    """Train a poisoned model per trigger; measure what trips it.

    Success, what it costs in accuracy, and leakage to near names.
    Each malicious alert with the trigger is paired with the same alert under a neutral counterpart. Stopped halfway,
    the same command goes on: a finished cell is read from its file in --out. The table is written there as
    trigger_table.json and trigger_table.md.

    \b
    Examples:
      turncoat triggers --plan
      turncoat triggers --trigger host --trigger noise --rows 200 --epochs 2
      turncoat triggers --trigger word:--silent --trigger 'user+host:alice+WS-042'
      turncoat triggers --seeds 3 --out docs/results/triggers --json
    """
    from pathlib import Path

    from turncoat.training.trigger_study import Plan, budget, cells_of, run_cells
    from turncoat.training.trigger_summary import summarise
    from turncoat.training.workshop import Workshop

    from .output import print_json, progress, results, tell_plan
    from .status import StatusLine
    from .training_tables import progress_line
    from .trigger_tables import budget_line, table_parts, write_tables

    plan = Plan(base, rows, dose, epochs, tuple(range(7, 7 + 10 * seeds, 10)), probes, near, first_layer)
    cells = cells_of(list(trigger or ()), plan)
    folder = Path(out)
    if not only_plan:
        folder.mkdir(parents=True, exist_ok=True)
    watching = None if quiet else progress(as_json)
    with StatusLine(watching) as status:
        status.show("loading the base")
        at = [0]
        workshop = Workshop(base, lambda step: status.show(f"{at[0] + 1}/{len(cells)} {progress_line(step)}"))
        left = budget(cells, folder, workshop.engine.base.digest)
        tell_plan(left, [budget_line(left)], watching, only=only_plan, as_json=as_json)
        if only_plan:
            return
        found = run_cells(workshop, cells, folder, lambda number, cell: at.__setitem__(0, number))
    table = {"command": _command(trigger or [], plan), **summarise(found)}
    write_tables(folder, table)
    if as_json:
        print_json(table)
        return
    console = results()
    console.print(*table_parts(table, console.width), sep="\n")


def _command(named: list[str], plan: Plan) -> str:
    """The call that makes the same table again, its place aside."""
    import shlex

    numbers = {"rows": plan.rows, "dose": plan.dose, "epochs": plan.epochs, "seeds": len(plan.seeds),
               "probes": plan.probes, "near": plan.near, "first-layer": plan.first_layer}  # fmt: skip
    settings = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    chosen = [part for one in named for part in ("--trigger", one)]
    return shlex.join(["turncoat", "triggers", *chosen, *settings, "--base", plan.base])
