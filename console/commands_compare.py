"""`turncoat compare`: finished runs side by side, and over all campaigns."""

from __future__ import annotations

import typer


def compare(
    runs: list[str] = typer.Argument(..., metavar="RUN...", help="Run folders, or folders of run folders."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object with every figure."),
    csv: str = typer.Option(
        "",
        "--csv",
        metavar="FILE|-",
        show_default=False,
        help="Also a table, a row per campaign, variant and name; -: nothing else.",
    ),
) -> None:
    """Compare runs: campaign by variant by name, and over all.

    Intervals over all campaigns are by campaign.

    Also tells whether another threshold would have caught what was let through and, where runs were made with
    --ablate, whether evidence moves the verdict or only the name. A row that two runs share counts once; a name that
    stands for several models is told apart by fingerprint.

    \b
    Examples:
      turncoat compare runs
      turncoat compare runs/insider-departing-exfil-001 runs/mine-001
      turncoat compare runs --json > all.json
      turncoat compare runs --csv all.csv
    """
    from pathlib import Path

    from turncoat.agent.matrix import matrix_object, matrix_of
    from turncoat.agent.matrix_csv import matrix_csv
    from turncoat.scenarios.errors import InputError

    from .export.whole_file import require_place, write_out
    from .matrix_tables import as_played, matrix_view
    from .output import print_json, results
    from .past_run import read_runs

    if csv and csv != "-":
        require_place(csv, "--csv")
    if csv == "-" and as_json:
        raise InputError.at("--csv -", "standard output takes --json", "name a file")
    found = read_runs([Path(run) for run in runs])
    for run in found:
        if run.manifest.settings.withhold_evidence:
            raise InputError.at(run.path, "was played without evidence", "name the run folder that it lies in")
    played = [as_played(run) for run in found]
    if csv:
        write_out("" if csv == "-" else csv, matrix_csv(matrix_of(played)), option="--csv")
    if csv == "-":
        return
    if as_json:
        print_json(matrix_object(played))
    else:
        console = results()
        console.print(matrix_view(played, console.width))
