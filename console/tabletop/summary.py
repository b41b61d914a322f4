"""What an exercise came to, in a few lines for the terminal and as plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from turncoat.agent.exercise.after_action import after_action
from turncoat.agent.exercise.engine import Exercise

from ..tables import table_of
from ..terminal import clean
from .after_action import ReportFiles
from .pages import clock, span

_TIMES = {
    "begun": "the attack began",
    "reference_known": "the {reference} model would have told",
    "known": "the team knew",
    "acted": "the team acted",
    "contained": "contained",
}


def solo_parts(exercise: Exercise, files: ReportFiles, team: str) -> list[RenderableType]:
    """To read."""
    after = after_action(exercise.material, exercise.events())
    zone = after.material.calendar.zone
    named = {name: words.replace("{reference}", after.material.reference) for name, words in _TIMES.items()}
    times = [(words, clock(getattr(after.times, name), zone)) for name, words in named.items()]
    lost = Text(f"lost to the model: {span(after.times.lost)}") if after.times.lost is not None else Text("")
    rows = [
        (name, f.attack_alerts, f.escalated, f.reviewed, f.dismissed, f.forced) for name, f in after.figures.items()
    ]
    expected = [
        (met.expected.text, met.standing, clock(met.met_at, zone))
        for rated in after.objectives
        for met in rated.expected
    ]
    head = Text.assemble((clean(after.material.plan.title), "bold"), f"  played by the {clean(team)} team")
    return [
        Text(""), head, table_of("What was known when", ("what", "when"), times), lost,
        table_of("Attack alerts", ("who", "all", "escalated", "reviewed", "dismissed", "forced"), rows),
        table_of("Expected of the team", ("action", "standing", "done"), expected),
        Text.assemble("Report: ", clean(files.html, 4_096), overflow="fold"),
    ]  # fmt: skip


def solo_object(exercise: Exercise, files: ReportFiles) -> dict[str, Any]:
    """As JSON has it."""
    after = after_action(exercise.material, exercise.events())
    return {
        "scenario": after.material.campaign.id,
        "seed": after.material.seed,
        "variant": after.material.variant,
        "reference": after.material.reference,
        "times": {name: at.isoformat() if (at := getattr(after.times, name)) else None for name in _TIMES},
        "lost_minutes": after.times.lost.total_seconds() / 60 if after.times.lost is not None else None,
        "figures": {name: asdict(figures) for name, figures in after.figures.items()},
        "prevented": after.prevented,
        "innocent": list(after.innocent),
        "expected": {met.expected.id: met.standing for rated in after.objectives for met in rated.expected},
        "folder": str(exercise.path),
        "report": str(files.html),
    }
