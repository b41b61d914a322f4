"""`turncoat show`: a finished run, or one alert of it with all that was asked, answered and decided."""

from __future__ import annotations

import typer


def show(
    run: str = typer.Argument(..., metavar="RUN", help="Folder of a run, finished or not."),
    alert: str = typer.Option("", "--alert", metavar="UID", help="One alert's whole case; the first digits will do."),
    principal: str = typer.Option("", "--principal", metavar="NAME", help="As whom.  [default: the campaign's actor]"),
    variant: str = typer.Option("", "--variant", metavar="NAME", help="This variant only.  [default: all]"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show a run, or one alert of it in full.

    What was played, how the variants compare, and what each decided about every attack alert.

    With --alert, one alert's whole case: its fields, each tool's question and answer, and every variant's verdict and
    decision. What was really so stands at the very end.

    \b
    Examples:
      turncoat show runs/insider-departing-exfil-001
      turncoat show runs/insider-departing-exfil-001 --alert 8078
      turncoat show runs/insider-departing-exfil-001 --alert 8078 --principal nora --json
    """
    from pathlib import Path

    from .case_view import case_json, case_view, find_case
    from .output import print_json, results
    from .past_run import read_run
    from .run_view import run_json, run_view

    past = read_run(Path(run))
    if alert:
        case = find_case(past, alert, principal, variant)
        if as_json:
            print_json(case_json(case))
        else:
            console = results()
            console.print(case_view(case))
        return
    if as_json:
        print_json(run_json(past, principal, variant))
    else:
        console = results()
        console.print(run_view(past, principal, variant, console.width))
