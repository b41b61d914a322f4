"""The report as one HTML file: no network, no script, no link to anything outside; escaped by default."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib import resources
from itertools import groupby
from typing import Any, TypeVar

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from turncoat.agent.matrix import Cell, Role
from turncoat.agent.storyline import Fate, fate_of
from turncoat.models.metrics import Rate
from turncoat.scenarios.errors import InputError

from ..cascade_tables import brief, terms_in_words
from ..case_view import alert_fields, evidence_groups, time_after
from ..matrix_cells import percent, signed
from ..past_run import PastRun
from ..tables import minutes
from . import words
from .cases import CaseFile, Shelf, case_files, other_names, shelves
from .dose_figure import AXES, answers, dose_figure
from .drawing import gauge, sign
from .forest_figure import MOST_ROWS, forest_figure
from .outside import Found
from .queue_figure import queue_figure
from .sections import MOST_ENTITIES, ReportParts, RunPart
from .shown import shown
from .timeline_figure import timeline_figure

MAX_BYTES = 2_900_000
"""Of the whole page; mail gateways and ticket systems take three million."""
MOST_STEPS, MOST_FIELDS, MOST_EVIDENCE, MOST_FINDINGS = 400, 60, 60, 50
LEGEND: tuple[Fate, ...] = ("escalate", "dismiss", "review", "forced", "undetected")
ROLES: dict[Role, str] = {
    "actor": "as actor",
    "twin": "as twin",
    "others": "other twins",
    "alias": "alias",
    "nameless": "no name",
}
ENTITY_KINDS = {
    "name": "The same attack under each name",
    "user": "By account, in the actor’s replay",
    "host": "By host, in the actor’s replay",
}
RULINGS = {"allow": "✓ allow", "review": "? review", "block": "✗ block", "abstain": "– abstains"}

T = TypeVar("T")


def report_html(parts: ReportParts) -> str:
    """The page. Equal runs give equal bytes: it holds no clock and no path.

    Raises:
        InputError: Even without case files it would be larger than `MAX_BYTES`.
    """
    env = _environment()
    page, case = env.get_template("page.html.j2"), env.get_template("case.html.j2")
    files = {part.anchor: case_files(part.run, part.anchor) for part in parts.runs}
    every = {anchor: {f.case.alert.uid for f in some} for anchor, some in files.items()}
    # Once with all links and no case file, to see how much room is left for those.
    frame = _bytes(page.render(_told(parts, {part.anchor: [] for part in parts.runs}, every)))
    if frame > MAX_BYTES:
        fault = f"the report would take {frame / 1e6:.1f} MB without any case file"
        raise InputError.at("report", fault, "name fewer runs at a time")
    room = MAX_BYTES - frame - 4_000 * len(parts.runs)
    filled: dict[str, list[Shelf]] = {}
    for number, part in enumerate(parts.runs):
        share = room // (len(parts.runs) - number)
        filled[part.anchor] = shelves(files[part.anchor], lambda file: Markup(case.render(file=file)), share)
        room -= sum(_bytes(html) for shelf in filled[part.anchor] for html in shelf.files)
    return page.render(_told(parts, filled, {anchor: _kept(files[anchor], some) for anchor, some in filled.items()}))


def _told(parts: ReportParts, filled: Mapping[str, list[Shelf]], on_page: Mapping[str, set[str]]) -> dict[str, Any]:
    style = resources.files(__package__).joinpath("templates/report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    campaigns = list(dict.fromkeys(part.run.campaign.id for part in parts.runs))
    first = parts.runs[0].run
    return {
        "parts": parts,
        "shelves": filled,
        "on_page": on_page,
        "style": Markup(style),
        "style_hash": f"sha256-{digest}",
        "title": first.campaign.title if len(parts.runs) == 1 else f"{len(parts.runs)} runs compared",
        "campaigns": len(campaigns),
        "contents": list(_contents(parts)),
        "folders": [part.run.path.resolve().name for part in parts.runs[:20]],
        "roles": [role for role in ROLES if any(c.role == role for f in parts.matrix.campaigns for c in f.cells)],
    }


def _kept(files: Iterable[CaseFile], some: Iterable[Shelf]) -> set[str]:
    """uids of the alerts whose case files are on the page: of each shelf, the first so many."""
    kinds = {shelf.title: len(shelf.files) for shelf in some}
    ordered: dict[str, list[str]] = {}
    for file in files:
        ordered.setdefault(file.shelf, []).append(file.case.alert.uid)
    return {uid for title, uids in ordered.items() for uid in uids[: kinds.get(title, 0)]}


def _contents(parts: ReportParts) -> Iterator[tuple[str, str]]:
    yield "conclusion", "Conclusion"
    alone = parts.runs[0] if len(parts.runs) == 1 else None
    if alone:
        yield f"{alone.anchor}-timeline", "Timeline"
    if parts.forest:
        yield "lift", "Lift"
    if alone and alone.entities:
        yield f"{alone.anchor}-entities", "Entities"
    if alone and alone.loads:
        yield f"{alone.anchor}-queue", "Queue"
    yield "matrix", "Matrix"
    if parts.sweep:
        yield "dose", "Dose curve"
    if parts.vetting:
        yield "vetting", "Vetting"
    for part in parts.runs:
        yield (f"{part.anchor}-cases", "Case files") if alone else (part.anchor, part.run.campaign.id)
    yield "method", "How to read this"


def _environment() -> Environment:
    env = Environment(
        loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    env.filters |= {"groupby_run": _runs_of, "merged": _merged}
    env.globals |= {
        name: getattr(words, name)
        for name in ("FATES", "MEANINGS", "ASIDES", "clock", "counted", "first_phase", "first_seen", "lift_words",
                     "p_words", "rate_words", "share", "signed")
    }  # fmt: skip
    env.globals |= {
        "actor_lift": _actor_lift, "alert_fields": alert_fields, "brief": brief,
        "dose_answers": answers, "dose_figure": dose_figure, "DOSE_AXES": AXES, "ENTITY_KINDS": ENTITY_KINDS,
        "escalated": _escalated, "estimate": lambda one: "–" if one is None else signed(one),
        "evidence_groups": evidence_groups, "fate": _fate, "fate_of": fate_of, "finding_lift": _finding_lift,
        "first_attack": _first_attack, "forest_figure": forest_figure, "gauge": gauge, "legend": LEGEND,
        "minutes": minutes, "most_entities": MOST_ENTITIES, "most_evidence": MOST_EVIDENCE,
        "most_fields": MOST_FIELDS, "most_findings": MOST_FINDINGS, "most_rows": MOST_ROWS, "most_steps": MOST_STEPS,
        "other_names": other_names, "percent": percent, "phases": _phases, "queue_figure": queue_figure,
        "ROLES": ROLES, "RULINGS": RULINGS, "sign": sign, "terms_in_words": terms_in_words, "time_after": time_after,
        "timeline_figure": timeline_figure, "zip": zip,
    }  # fmt: skip
    return env


def _template(name: str) -> str:
    return resources.files(__package__).joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _fate(kind: Fate) -> Markup:
    return Markup('<span class="nb">{}{}</span>').format(sign(kind), words.FATES[kind])


def _escalated(cells: Iterable[Cell], role: Role) -> Rate:
    tallies = [cell.attack for cell in cells if cell.role == role]
    return Rate(sum(t.escalated for t in tallies), sum(t.attack_alerts for t in tallies))


def _actor_lift(cells: Iterable[Cell]) -> float | None:
    return next((cell.lift for cell in cells if cell.role == "actor"), None)


def _finding_lift(one: Found) -> str:
    return "–" if one.lift is None else f"{one.lift:+.2f} [{one.low or 0.0:+.2f}, {one.high or 0.0:+.2f}]"


def _first_attack(part: RunPart) -> datetime | None:
    times = [scene.time for scene in part.story.scenes if scene.detected and not scene.aside]
    return min(times, default=None)


def _phases(run: PastRun) -> dict[str, str]:
    return {phase.id: phase.title for phase in run.campaign.phases}


def _runs_of(rows: Iterable[T], name: str) -> list[tuple[Any, list[T]]]:
    """Neighbours that agree in an attribute, in the order in which they stand."""
    return [(value, list(some)) for value, some in groupby(rows, key=lambda row: getattr(row, name))]


def _merged(first: Mapping[str, T], second: Mapping[str, T]) -> list[tuple[str, T]]:
    return [*first.items(), *second.items()]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
