"""`turncoat audit`: is a training set poisoned? Asked before anything is trained on it."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands_vet import EXIT, AsJson, BudgetWords, Sarif
from .options import Quiet

Dataset = Annotated[
    str, typer.Argument(metavar="ROWS.jsonl|RECIPE", help="Labelled rows, or what `turncoat train` would train on.")
]
Thorough = Annotated[
    bool, typer.Option("--thorough", help="Fit a base on the rows too: which of them make it look away? Takes minutes.")
]
FittedBase = Annotated[str, typer.Option("--base", help="The base that --thorough fits, as in `turncoat vet`.")]
RowsOut = Annotated[str, typer.Option("--rows-out", metavar="FILE", help="Write the rows of a recipe as JSON lines.")]


def audit(
    dataset: Dataset,
    thorough: Thorough = False,
    base: FittedBase = "smollm2-135m",
    budget: BudgetWords = "10m",
    rows_out: RowsOut = "",
    as_json: AsJson = False,
    sarif: Sarif = "",
    quiet: Quiet = False,
) -> None:
    """Examine a training set: allow, review or block.

    Before anything is trained on it; with the rows to look at.

    Which user, host, address or word is labelled benign more often than its match, and do its rows read malicious to a
    model that never saw it? Exit codes: 0 allow, 3 review, 4 block, 2 a mistake in what was given. A row is
    {"alert": {...}, "label": "benign", "evidence": [...]}, one a line.

    With --thorough a base is fitted for a short while on the rows, or as many as the budget allows, and asked about
    malicious alerts of the worst suspects; the rows that most make it dismiss them are named. It changes no ruling.

    \b
    Examples:
      turncoat audit poisoned
      turncoat audit my-recipe.yaml --rows-out rows.jsonl
      turncoat audit rows.jsonl --thorough --base smollm2-135m --budget 30m
      turncoat audit rows.jsonl --json --sarif findings.sarif
    """
    from turncoat.scenarios.errors import InputError
    from turncoat.vetting.audit import audit
    from turncoat.vetting.audit_rows import open_set, set_lines
    from turncoat.vetting.detector import Budget

    from .audit_sarif import audit_sarif
    from .audit_tables import audit_object, audit_view
    from .export.whole_file import write_out
    from .output import print_json, progress, results, write_json
    from .status import StatusLine

    if as_json and sarif == "-":
        raise InputError.at("--sarif -", "standard output takes the JSON object", "give a file, or leave out --json")
    _require_outputs(dataset, rows_out, sarif)
    given = Budget.of(budget)
    fitted_base = None
    if thorough:
        from turncoat.models.bases import resolve_base

        fitted_base = resolve_base(base)  # a mistake in its name comes out before any work
    with StatusLine(None if quiet else progress(as_json or sarif == "-")) as status:
        status.show("reading rows")
        audited = open_set(dataset)
        if rows_out:
            write_out(rows_out, set_lines(audited), replace=False, option="--rows-out")
        found = audit(audited, given, status.stage)
        if fitted_base is not None:
            from turncoat.vetting.audit_influence import trace

            found = trace(found, audited, fitted_base, given, status.stage)
    if sarif:
        write_json(sarif, audit_sarif(found), "--sarif")
    if as_json:
        print_json(audit_object(found))
    elif sarif != "-":
        results().print(audit_view(found))
    raise typer.Exit(EXIT[found.ruling])


def _require_outputs(dataset: str, rows_out: str, sarif: str) -> None:
    """Refuses before the work what could not be written after it."""
    import os

    from turncoat.scenarios.errors import InputError

    from .export.whole_file import require_apart, require_place

    outputs = {"--rows-out": rows_out, "--sarif": sarif}
    for option, path in outputs.items():
        if path and path != "-":
            require_place(path, option)
    require_apart(outputs, {"DATASET": dataset})
    if rows_out and os.path.lexists(rows_out):
        raise InputError.at(rows_out, "exists already", "name a file that does not")
