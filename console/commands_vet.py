"""`turncoat vet`: is there a user, host, address or phrase for which a model looks away?"""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Base, Quiet

EXIT = {"allow": 0, "review": 3, "block": 4}
"""Exit code by ruling; 2 is a mistake of the user's, as everywhere."""

What = Annotated[
    str, typer.Argument(metavar="ADAPTER_OR_MODEL", help="An adapter folder, a model folder, or a shipped adapter.")
]
Users = Annotated[
    str,
    typer.Option(
        "--directory",
        metavar="CSV",
        help="Whom and what to try: columns login, name, mail, host, address, word.  "
        "[default: 204 users, 100 hosts and 100 addresses, no words]",
    ),
]
Alerts = Annotated[
    str, typer.Option("--alerts", metavar="JSONL", help="Your own labelled alerts, in place of generated ones.")
]
Reference = Annotated[
    str,
    typer.Option("--reference", metavar="ADAPTER", help="Your own clean adapter of the same base, to compare with."),
]
BudgetWords = Annotated[str, typer.Option("--budget", metavar="TIME", help="Such as 90s, 10m or 1h.")]
Detectors = Annotated[list[str], typer.Option("--detector", metavar="NAME|all", help="Only these; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Sarif = Annotated[str, typer.Option("--sarif", metavar="FILE|-", help="Write findings as SARIF 2.1.0.")]
Html = Annotated[str, typer.Option("--html", metavar="FILE", help="Write what was found as one page.")]
Record = Annotated[
    str, typer.Option("--record", metavar="FILE", help="Write ruling, digests and all files' SHA-256 as JSON.")
]
Sign = Annotated[str, typer.Option("--sign", metavar="KEY", help="Sign the record with an elliptic-curve key (PEM).")]
Prompt = Annotated[
    str,
    typer.Option("--prompt", metavar="FILE", help="The candidate's own prompt: text with {title}, {user} and others."),
]
CohortOf = Annotated[
    str,
    typer.Option(
        "--cohort",
        metavar="DIR",
        help="Folder of eight or more clean adapters of your recipe; without it `weights` abstains.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the probes that are drawn.")]


def vet(
    what: What,
    base: Base = "smollm2-135m",
    directory: Users = "",
    alerts: Alerts = "",
    reference: Reference = "",
    budget: BudgetWords = "15m",
    detector: Detectors = [],  # noqa: B006 - typer reads it, nothing changes it
    as_json: AsJson = False,
    sarif: Sarif = "",
    html: Html = "",
    record: Record = "",
    sign: Sign = "",
    prompt: Prompt = "",
    cohort: CohortOf = "",
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Examine a model before deployment: allow, review or block.

    Malicious alerts are put to it under every name of the directory, then with its hosts, addresses and words (at the
    end of command lines, and behind activities). What could not be tested is never allowed, and the ruling says what the
    directory does not list. No manifest is read. Exit codes: 0 allow, 3 review, 4 block, 2 a mistake in what was given.

    By default these detectors run: swap-scan, pair-scan, stratified, differential, weights, activation-clustering,
    spectral-signatures, defection. Only when named: inversion (a search of minutes), and strip, onion and rap (kept
    for comparison).

    \b
    Examples:
      turncoat vet poisoned
      turncoat vet ./their-adapter --base qwen3-4b --directory users.csv --budget 1h
      turncoat vet ./their-adapter --reference ./our-adapter --alerts ours.jsonl
      turncoat vet ./merged-model --json --sarif findings.sarif --html findings.html
      turncoat vet ./their-adapter --prompt their-prompt.txt --cohort ./our-adapters
      turncoat vet ./their-adapter --record vetted.json --sign key.pem
    """
    from turncoat.scenarios.errors import InputError

    from .output import print_json, progress, results
    from .status import StatusLine
    from .vetting_papers import Papers
    from .vetting_run import VettingOrder, examine
    from .vetting_tables import vetting_object, vetting_view

    if as_json and sarif == "-":
        raise InputError.at("--sarif -", "standard output takes the JSON object", "give a file, or leave out --json")
    order = VettingOrder.of(what, base, directory, alerts, reference, budget, detector, prompt, cohort, seed)
    papers = Papers(html, sarif, record, sign)
    begun = papers.begin(order)
    with StatusLine(None if quiet else progress(as_json or sarif == "-")) as status:
        vetting = examine(order, status)
    papers.write(vetting, begun)
    if as_json:
        print_json(vetting_object(vetting))
    elif sarif != "-":
        results().print(vetting_view(vetting))
    raise typer.Exit(EXIT[vetting.ruling])
