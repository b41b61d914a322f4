"""`turncoat report`: runs as one HTML page to look at and to hand on, or as Markdown for a ticket."""

from __future__ import annotations

from typing import Annotated

import typer

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")]
Out = Annotated[str, typer.Option("--out", metavar="FILE|-", help="Ends in .html or .md.  [default: RUN/report.html]")]
Format = Annotated[str, typer.Option("--format", metavar="html|md", help="Where the file's ending does not say.")]
Sweep = Annotated[str, typer.Option("--sweep", metavar="DIR", help="Also the dose curves of `turncoat sweep`.")]
VettingFile = Annotated[
    str, typer.Option("--vetting", metavar="FILE", help="Also the verdict of `turncoat vet --json`.")
]
CloudBudget = Annotated[
    int,
    typer.Option(
        "--cloud-budget",
        min=0,
        max=1_000_000,
        metavar="N",
        show_default=False,
        help="The cloud takes N escalations a day; 0: as the run was made.",
    ),
]
Price = Annotated[
    float,
    typer.Option(
        "--price",
        min=0,
        max=1e12,
        metavar="X",
        show_default=False,
        help="Cost of one escalation; 0: as the run was made.",
    ),
]


def report(
    runs: Runs,
    out: Out = "",
    format: Format = "",
    sweep: Sweep = "",
    vetting: VettingFile = "",
    cloud_budget: CloudBudget = 0,
    price: Price = 0.0,
) -> None:
    """Write one HTML page about runs, or Markdown for a ticket.

    Timeline, lift, entities, queue, matrix, and every alert's case file.

    The page is a single file without network or script, below 3 MB: it opens from disk, prints, and can be mailed. As
    Markdown, a summary for a ticket goes to standard output, or to a file that ends in .md.

    \b
    Examples:
      turncoat report runs/insider-departing-exfil-001
      turncoat report runs --out all.html
      turncoat report runs/mine-001 --format md
      turncoat report runs/mine-001 --sweep sweeps/core --vetting vetting.json
    """
    from pathlib import Path

    from turncoat.agent.cascade import CloudTerms

    from .export.whole_file import write_out
    from .output import progress, results
    from .past_run import read_run, run_folders
    from .report.files import FORMATS, chosen_format, place_of
    from .report.outside import read_sweep, read_vetting
    from .report.sections import ReportParts
    from .status import StatusLine
    from .terminal import plain

    kind = chosen_format(format, out)
    curve = read_sweep(Path(sweep)) if sweep else None
    verdict = read_vetting(Path(vetting)) if vetting else None
    terms = CloudTerms(daily_budget=cloud_budget or None, price=price) if cloud_budget or price else None
    to_stdout = out == "-" or (kind == "md" and not out)
    with StatusLine(progress(as_json=True)) as status:
        found, folders = [], run_folders([Path(run) for run in runs])
        for number, folder in enumerate(folders):
            status.count(f"reading {folder.name}", number, len(folders))
            found.append(read_run(folder))
        status.show("writing the report")
        text = FORMATS[kind](ReportParts(found, terms, curve, verdict))
    place = "" if to_stdout else place_of(found, out)
    write_out(place, text)
    if place:
        results().print(f"Report: {plain(place, 4_096)}", soft_wrap=True)
