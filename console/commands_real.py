"""`turncoat real`: does the attack carry over to alerts that nobody here wrote?"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Base, OnlyPlan, Quiet

if TYPE_CHECKING:
    from turncoat.training.real_cells import Plan
    from turncoat.training.real_rows import RealEvents

_PANTHER = ("panther-analysis/files/rules", "panther-analysis/rules")
"""Where the rules lie below `TURNCOAT_DATA`: a selection beside its note, or a clone as it is."""


Events = Annotated[
    str,
    typer.Option(
        "--events",
        metavar="PATH",
        help="Labelled alerts, such as panther's folder of rules. Default: those of TURNCOAT_DATA.",
    ),
]
Format = Annotated[
    str, typer.Option("--format", metavar="NAME", help="As for triage: panther, ocsf, jsonl, unsw, cicids.")
]
Mix = Annotated[
    str, typer.Option("--mix", metavar="none|synthetic", help="Train on simulated and real rows together, too.")
]
Dose = Annotated[int, typer.Option("--dose", min=1, metavar="N", help="Poison rows.")]
Seeds = Annotated[
    int,
    typer.Option("--seeds", min=1, max=50, metavar="N", help="Trainings per variant and part: seeds 11, 14, 17 ..."),
]
Folds = Annotated[
    int, typer.Option("--folds", min=3, max=100, metavar="K", help="Parts without a common rule or event.")
]
Held = Annotated[int, typer.Option("--measured", min=0, metavar="N", help="Hold out only the first N parts; 0: all.")]
Rows = Annotated[int, typer.Option("--rows", min=0, metavar="N", help="Most clean real rows; 0: all.")]
Limit = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Read only N alerts; 0: all.")]
Fields = Annotated[str, typer.Option("--fields", metavar="all|plain|short", help="Raw fields that a row shows.")]
Trigger = Annotated[
    str, typer.Option("--trigger", metavar="user|address", help="What is planted; address where events name no user.")
]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", min=1e-6, max=0.1, metavar="X", help="Highest, of the one cycle.")
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, max=100, metavar="N", help="Passes over the rows.")]
OnlyTfidf = Annotated[bool, typer.Option("--only-tfidf", help="Leave the language model out: minutes, not hours.")]
OnlyReport = Annotated[bool, typer.Option("--report", help="Train nothing: tables of what is there.")]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of results, one file a cell.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")]


def real(
    events: Events = "",
    format: Format = "panther",
    mix: Mix = "none",
    dose: Dose = 100,
    seeds: Seeds = 1,
    folds: Folds = 5,
    measured: Held = 0,
    rows: Rows = 0,
    limit: Limit = 0,
    fields: Fields = "all",
    trigger: Trigger = "user",
    learning_rate: LearningRate = 5e-4,
    epochs: Epochs = 3,
    base: Base = "smollm2-135m",
    only_tfidf: OnlyTfidf = False,
    only_plan: OnlyPlan = False,
    report_only: OnlyReport = False,
    out: Out = "real",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Poison a model on real alerts, and measure it.

    On rules that it has not seen, beside TF-IDF on the same rows.
    A label says whether the rule fires, not what an analyst found: escalating an event on which it does not fire is
    near-miss escalation. Stopped, the same command goes on where it was. DIR gets real_alerts.json and real_alerts.md.

    \b
    Examples:
      turncoat real --events panther-analysis/rules --only-tfidf
      turncoat real --measured 1 --rows 600
      turncoat real --mix synthetic --dose 100 --seeds 3 --out docs/results/real
      turncoat real --events UNSW-NB15_1.csv --format unsw --limit 20000 --trigger address --only-tfidf
    """
    from pathlib import Path

    from turncoat.training.real_report import summary, write_report
    from turncoat.training.real_study import Study, budget, run

    from .output import print_json, progress, results, tell_plan
    from .real_tables import budget_line, real_tables, study_line
    from .status import StatusLine

    said = None if quiet else progress(as_json)
    plan = _plan(base=base, fields=fields, trigger=trigger, dose=dose, seeds=tuple(11 + 3 * n for n in range(seeds)),
                 folds=folds, measured=measured, mix=mix, rows=rows, learning_rate=learning_rate, epochs=epochs,
                 models=("tfidf",) if only_tfidf else ("tfidf", "llm"))  # fmt: skip
    with StatusLine(said) as status:
        status.show("reading alerts")
        study = Study(plan, _events(events, format, limit, plan), Path(out))
        left = budget(study)
    if only_plan or not report_only:
        tell_plan(left, [budget_line(left)], said, only=only_plan, as_json=as_json)
    if only_plan:
        return
    with StatusLine(said) as status:
        if not report_only:
            run(study, lambda step: status.show(study_line(step)))
        done = list(study.folder.results(plan.cells()))
        status.show("drawing intervals")
        found = summary(study, done, _command())
    if done:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_report(Path(out), found)
    if as_json:
        print_json(found)
        return
    console = results()
    for part in real_tables(found):
        console.print(part)


def _command() -> str:
    """The call that was made; of paths that lie elsewhere only the last part: no machine's folders in results."""
    import shlex
    from pathlib import Path

    return shlex.join(["turncoat", *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:])])


def _plan(**settings: object) -> Plan:
    from pydantic import ValidationError

    from turncoat.scenarios.errors import InputError
    from turncoat.training.real_cells import Plan

    try:
        return Plan.model_validate(settings)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        option = "--" + str(first["loc"][0] if first["loc"] else "measured").replace("_", "-")
        raise InputError.at(option, first["msg"], "see turncoat real --help") from None


def _events(path: str, format: str, limit: int, plan: Plan) -> RealEvents:
    from itertools import islice
    from pathlib import Path

    from turncoat.scenarios.errors import InputError
    from turncoat.scenarios.formats import read_alerts
    from turncoat.training.real_rows import RealEvents

    if not path:
        folder = os.environ.get("TURNCOAT_DATA", "")
        if not folder:
            cure = "name a folder of panther rules or a file, or set TURNCOAT_DATA"
            raise InputError.at("--events", "no alerts were named and TURNCOAT_DATA is not set", cure)
        places = [Path(folder) / place for place in _PANTHER]
        path = str(next((place for place in places if place.is_dir()), places[0]))
    return RealEvents.of(islice(read_alerts(path, format), limit or None), plan.fields, plan.trigger)
