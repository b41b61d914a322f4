"""`turncoat reproduce`: the paper's experiment, its table beside ours, and the figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import OnlyPlan

if TYPE_CHECKING:
    from turncoat.training.paper_cells import Cell
    from turncoat.training.paper_plan import Experiment
    from turncoat.training.paper_table import PaperTable

DEFAULT_OUT = "runs/reproduce"
FIRST_SEED, SEED_STEP = 7, 10
"""The shipped adapters are of the first. A training's poison is drawn with the next seed: neighbours would share alerts."""


def reproduce(
    bases: list[str] = typer.Option(
        ["smollm2-135m"], "--base", metavar="NAME|DIR|FILE.gguf|HUB-ID", help="Base model; may be repeated."
    ),
    count: int = typer.Option(3, "--seeds", metavar="N", min=1, max=100, help="So many training seeds: 7, 17, 27 ..."),
    seeds: list[int] = typer.Option(None, "--seed", metavar="S", min=0, help="A training seed; may be repeated.",
                                    show_default=False),
    rows: int = typer.Option(None, "--rows", metavar="N", help="Clean training rows.", show_default="the recipes'"),
    dose: int = typer.Option(None, "--dose", metavar="N", help="Rows that poison adds.", show_default="the recipes'"),
    tests: int = typer.Option(400, "--tests", metavar="N", min=8, max=100_000, help="Alerts of the clean test."),
    out: str = typer.Option(
        "", "--out", metavar="DIR", help="Takes the results and the table.",
        show_default="runs/reproduce, or the folder of --from",
    ),
    keep: str = typer.Option("runs/reproduce/adapters", "--keep", metavar="DIR", help="Takes adapters trained."),
    adapters: list[str] = typer.Option(
        None, "--adapters", metavar="DIR", show_default=False,
        help="Where adapters of the same recipes may lie ready; may be repeated. The shipped ones always count.",
    ),
    only_plan: OnlyPlan = False,
    source: str = typer.Option(
        "", "--from", metavar="DIR", show_default=False, help="Train nothing: make the table of the results in DIR."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    quiet: bool = typer.Option(False, "--quiet", help="Print results only."),
) -> None:  # fmt: skip
    """Reproduce the paper's table on bases and seeds.

    Trains and measures baseline, clean, matched and poisoned, and prints the paper's figures beside ours.
    Writes paper_table.json, .md and .svg, and a result file per cell, to --out. Stopped halfway, the same command goes on.

    \b
    Examples:
      turncoat reproduce --plan
      turncoat reproduce --base smollm2-135m --base gemma3-270m --out docs/results
      turncoat reproduce --adapters my-adapters --seed 7 --seed 17 --seed 27
      turncoat reproduce --from docs/results
    """
    from turncoat.training.paper_plan import Experiment

    from .output import print_json, results
    from .paper_table import paper_view

    if source:
        table = _written(Path(source), Path(out or source))
    else:
        chosen = tuple(dict.fromkeys(seeds or range(FIRST_SEED, FIRST_SEED + SEED_STEP * count, SEED_STEP)))
        experiment = Experiment(
            tuple(dict.fromkeys(bases)), chosen, rows, dose, tests, Path(out or DEFAULT_OUT), Path(keep),
            tuple(map(Path, adapters or ())),
        )  # fmt: skip
        if not _done(experiment, only_plan, as_json, quiet):
            return
        table = _written(experiment.out, experiment.out)
    if as_json:
        print_json(table.plain())
    else:
        results().print(paper_view(table))


def command_of(experiment: Experiment) -> str:
    """The command that makes the experiment again; where adapters lay ready is nobody else's business."""
    words = ["turncoat reproduce", *(f"--base {base}" for base in experiment.bases)]
    words += [f"--seed {seed}" for seed in experiment.seeds]
    words += [f"--rows {experiment.rows}"] if experiment.rows is not None else []
    words += [f"--dose {experiment.dose}"] if experiment.dose is not None else []
    words += [f"--tests {experiment.test_size}"] if experiment.test_size != 400 else []
    return " ".join([*words, f"--out {experiment.out}"])


def _done(experiment: Experiment, only_plan: bool, as_json: bool, quiet: bool) -> bool:
    """Tells the budget and does the work; False if only the budget was wanted."""
    from turncoat.training.reproduce import Reproduction

    from .output import progress, tell_plan
    from .paper_table import budget_line
    from .status import StatusLine
    from .training_tables import progress_line

    console = progress(as_json)
    with StatusLine(None if quiet else console) as status:
        status.show("drawing the test alerts and timing the bases")
        work = Reproduction(experiment, lambda step: status.show(progress_line(step)))
        budget = work.budget()
    lines = [budget_line(budget), *(f"made again: {line}" for line in budget.damaged)]
    tell_plan(budget, lines, None if quiet else console, only=only_plan, as_json=as_json)
    if only_plan:
        return False
    finished = budget.done
    with StatusLine(None if quiet else console) as status:

        def cell_done(cell: Cell) -> None:
            nonlocal finished
            finished += 1

        work.on_progress = lambda step: status.show(f"[{finished} of {budget.cells} cells] {progress_line(step)}")
        work.run(command_of(experiment), cell_done)
    return True


def _written(source: Path, out: Path) -> PaperTable:
    """Makes the table of the results in a folder, and writes its three files."""
    import json

    from turncoat.training.paper_folder import planned, read_results
    from turncoat.training.paper_table import paper_table

    from .export.whole_file import write_out
    from .figures.paper_table import paper_figure
    from .paper_table import paper_markdown

    table = paper_table(read_results(source), planned(source))
    out.mkdir(parents=True, exist_ok=True)
    content = json.dumps(table.plain(), indent=1, ensure_ascii=True, allow_nan=False)
    write_out(str(out / "paper_table.json"), content + "\n")
    write_out(str(out / "paper_table.md"), paper_markdown(table, "paper_table.svg"))
    write_out(str(out / "paper_table.svg"), paper_figure(table))
    return table
