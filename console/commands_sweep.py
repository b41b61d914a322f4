"""`turncoat sweep`: the dose curve: how many poison rows suffice."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import typer

from .options import OnlyPlan

if TYPE_CHECKING:
    from pathlib import Path

    from turncoat.training.grid import Grid


def sweep(
    what: str = typer.Argument(..., metavar="GRID|GRID.yaml|RECIPE", help="core, rank, corrective, second-base, or a file."),
    out: str = typer.Option("", "--out", metavar="DIR", help="Folder of the result files. Default: sweeps/<grid>."),
    grid: str = typer.Option("core", "--grid", metavar="NAME", help="With a recipe: the grid that it goes through."),
    only_plan: OnlyPlan = False,
    budget: str = typer.Option("", "--budget", metavar="TIME", help="Stop before a cell that would end later: 60m, 2h."),
    report_only: bool = typer.Option(False, "--report", help="Train nothing: tables and figure of what is there."),
    keep: bool = typer.Option(False, "--keep", help="Keep the adapters, in DIR/work."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:  # fmt: skip
    """Draw dose curves: train and measure a grid of cells.

    Doses x clean rows x seeds, one result file each.
    Stopped, the same command goes on where it was; two processes may share a folder. At the end, and with --report at
    any time, DIR holds dose_curve.json, dose_curve.md and dose_curve.svg.

    \b
    Examples:
      turncoat sweep core --plan
      turncoat sweep core --out docs/results/dose --budget 60m
      turncoat sweep my-recipe.yaml --grid rank
      turncoat sweep core --out docs/results/dose --report
    """
    from pathlib import Path

    from turncoat.training.cell_results import SweepFolder
    from turncoat.training.dose_report import dose_report
    from turncoat.training.sweep import plan
    from turncoat.training.sweep import sweep as run_sweep
    from turncoat.vetting.detector import Budget

    from .output import print_json, progress, results, tell_plan
    from .status import StatusLine
    from .sweep_tables import names_line, plan_line, sweep_line, sweep_view
    from .terminal import plain

    limit = Budget.of(budget).seconds if budget else None
    chosen = _grid(what, grid)
    folder = SweepFolder(Path(out or f"sweeps/{chosen.name}"), chosen)
    said = None if quiet else progress(as_json)
    if only_plan or not report_only:
        left = plan(folder)
        tell_plan(left, [plan_line(left)], said, only=only_plan, as_json=as_json)
    if only_plan:
        return
    if not report_only:
        with StatusLine(said) as status:
            done = run_sweep(folder, lambda at: status.show(sweep_line(at)), budget_s=limit, keep=keep)
        if said is not None and done.elsewhere:
            said.print(plain(names_line(done.elsewhere)), soft_wrap=True)
        if said is not None and done.out_of_budget:
            said.print(plain("The next cell does not fit into the budget; the same command goes on."), soft_wrap=True)
    options = f" --grid {shlex.quote(grid)}" if grid != "core" else ""
    report = dose_report(folder, f"turncoat sweep {shlex.quote(what)}{options} --out {_shown(folder.path)} --report")
    _write(folder.path, report)
    if as_json:
        print_json(report)
        return
    console = results()
    for part in sweep_view(report):
        console.print(part)


def _write(folder: Path, report: dict[str, Any]) -> None:
    """The three files of a report."""
    import json

    from .export.whole_file import write_out
    from .figures.dose_curve import dose_figure
    from .sweep_tables import markdown

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    write_out(str(folder / "dose_curve.json"), text)
    write_out(str(folder / "dose_curve.md"), markdown(report))
    write_out(str(folder / "dose_curve.svg"), dose_figure(report))


def _grid(what: str, name: str) -> Grid:
    """A shipped grid or a file of one; or a recipe, put in the place of the grid's own."""
    from turncoat.training.config import load_recipe, shipped_recipes
    from turncoat.training.grid import load_grid, looks_like_grid, shipped_grids

    if what in shipped_grids() or (what not in shipped_recipes() and looks_like_grid(what)):
        return load_grid(what)
    grid = load_grid(name)
    return grid.model_validate(grid.model_dump() | {"recipe": load_recipe(what).model_dump()})


def _shown(folder: Path) -> str:
    """A folder as a command names it, and only its last part where it lies elsewhere: no machine's paths in results."""
    return shlex.quote(folder.name if folder.is_absolute() else str(folder))
