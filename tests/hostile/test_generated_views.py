"""Thousands of generated alerts: none controls the terminal, the table or the file that shows it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from turncoat.agent.comparison import compare, inert, to_csv
from turncoat.agent.folder import Manifest
from turncoat.agent.records import Decision, Event, Investigation, Outcome
from turncoat.agent.triage import Triaged, triage
from turncoat.agent.triage_report import decision_line, summary
from turncoat.agent.triage_score import score_triage
from turncoat.console.campaign_run import Plan
from turncoat.console.case_view import case_json, case_view, find_case
from turncoat.console.live import LiveView, PlainView
from turncoat.console.outside_run import triage_path
from turncoat.console.past_run import PastRun
from turncoat.console.status import StatusLine
from turncoat.console.terminal import clean, plain
from turncoat.console.triage_tables import triage_tables
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import Alert, AlertStream, Entities, Severity
from turncoat.tools.records import Evidence

from . import strategies as hostile
from .generated import (
    ALERTS,
    ANSWERS,
    ANY_TEXT,
    CALM,
    NOON,
    OWN_LINES,
    WORLD,
    Faulty,
    as_line,
    every_property_tried,
    failing,
    generated,
    harmless,
    shown,
    strictly,
)

MARK = "[bold red]M[/bold red][link=x]"
"""At the start of a text it must be shown as it is, whatever follows."""


ABOUT_TO_COMPUTE = re.compile(r"(?:^|[;\t\r\n]) *[=+\-@＝＋－＠]")


def event(alert: Alert, variant: str, action: Literal["escalate", "dismiss", "review"], principal: str) -> Event:
    decision = Decision(action, False, "threshold", "why", NOON)
    return Event(action, variant, principal, alert, decision=decision, done=1, total=9)


@generated(300, alert=ALERTS, principal=ANY_TEXT, note=ANY_TEXT)
def test_a_plain_line_ends_with_the_decisions_and_holds_markup_as_text(alert: Alert, principal: str, note: str) -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False, force_terminal=True, color_system="truecolor")
    view = PlainView(console, ("clean", "poisoned"))
    marked = replace(alert, title=MARK + alert.title)
    view.on_event(Event("warm", note=MARK + note))
    view.on_event(event(marked, "clean", "escalate", principal))
    view.on_event(event(marked, "poisoned", "dismiss", principal))
    warming, line, end = harmless(console.file.getvalue()).split("\n")  # type: ignore[attr-defined]
    assert warming.startswith(f"asking the models: {MARK}")
    assert MARK in line
    assert line.endswith(": clean escalate, poisoned dismiss")
    assert end == ""
    assert Text.from_markup(f"[bold]{plain(alert.title)}[/bold]", emoji=False).plain == clean(alert.title)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load_campaign("insider-departing-exfil"), 7, Path("runs/x"))


@generated(100, alert=ALERTS, principal=ANY_TEXT, variant=ANY_TEXT)
def test_a_live_frame_controls_nothing(plan: Plan, alert: Alert, principal: str, variant: str) -> None:
    view = LiveView(Console(file=io.StringIO(), force_terminal=True), plan, (variant, "poisoned"))
    for number in range(3):
        marked = replace(alert, uid=str(number), title=MARK + alert.title)
        view.on_event(event(marked, variant, "review", principal))
        view.on_event(Event("gather", "poisoned", principal, marked, (Evidence("peers", "q", alert.title, 1.0),)))
    frame = shown(view)
    assert frame.count(MARK) == 3
    assert len(frame.splitlines()) == 8
    assert max(map(cell_len, frame.splitlines())) <= 160


@generated(100, alert=ALERTS, names=st.tuples(ANY_TEXT, ANY_TEXT), stratum=ANY_TEXT, fault=ANY_TEXT)
def test_the_tables_of_a_triage_control_nothing(alert: Alert, names: tuple[str, str], stratum: str, fault: str) -> None:
    variants = {f"[red]1{names[0]}": Faulty(failing), f"[/]2{names[1]}": Faulty(failing)}
    items: list[LabelledAlert | Mistake] = [
        LabelledAlert(alert, True, stratum="[link=y]" + stratum),
        LabelledAlert(replace(alert, uid="u-2"), False, stratum=stratum),
        Mistake("a.jsonl:3", fault, "mend it"),
    ]
    decided = [
        Triaged(name, item, Decision("escalate", False, "threshold", fault, NOON), CALM)
        for name in variants
        for item in items
    ]
    told = summary(score_triage(decided), decided, variants, threshold=0.5, source={"path": fault, "format": "jsonl"})
    as_line(told)
    tables = shown(*triage_tables(told))
    assert tables.count("[red]1") == 3  # twice in a row, once in a title
    assert tables.count("[/]2") == 2
    assert "[link=y]" in tables


@generated(60, alert=ALERTS, answers=ANSWERS, words=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT))
def test_a_case_controls_nothing(
    plan: Plan, alert: Alert, answers: tuple[Evidence, ...], words: tuple[str, str, str]
) -> None:
    reason, name, phase = words
    marked = replace(alert, uid=MARK, title=MARK + alert.title)
    verdict = replace(CALM, fingerprint=name, left_out=(reason, name))
    decision = Decision("review", False, "threshold", MARK + reason, alert.time)
    row = Investigation(MARK, name, "alice", verdict, decision, answers, 1)
    outcome = Outcome(marked, row, True, phase, reason, False, True, ())
    other = replace(outcome, investigation=replace(row, principal=phase, verdict=None))
    stream = AlertStream("x", 0, "alice", WORLD, (marked,), facts={})
    streams = {"alice": stream, phase: replace(stream, principal=phase)}
    manifest = Manifest(name, 1, tuple(streams), {name: reason}, {})
    comparison = compare([outcome], scenario=name, seed=1, threshold=0.5, principals=("alice",))
    run = PastRun(
        Path("runs/x"),
        manifest,
        plan.campaign,
        plan,
        tuple(streams),
        (),
        streams,
        [outcome, other],
        True,
        comparison,
        [],
    )
    case = find_case(run, MARK)
    view = shown(case_view(case))
    assert view.startswith(f"Alert {MARK}  ")
    assert "".join(view.split()).count("".join(MARK.split())) >= 3  # uid, title and reason, folded at any space
    as_line(case_json(case))


@generated(800, words=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), cell=ANY_TEXT | hostile.SCALARS)
def test_no_cell_of_a_spreadsheet_computes(words: tuple[str, str, str], cell: object) -> None:
    scenario, variant, phase = words
    alert = Alert("u-1", NOON, "t", Severity.LOW, "p", None, "data", entities=Entities(user=variant))
    decision = Decision("escalate", False, "threshold", "why", NOON)
    row = Investigation("u-1", variant, variant, CALM, decision, (), 1)
    outcome = Outcome(alert, row, True, phase, None, False, True, ())
    comparison = compare([outcome], scenario=scenario, seed=1, threshold=0.5, principals=(variant,))
    text = to_csv([comparison])
    csv.field_size_limit(1 << 24)  # Python's reader refuses what its writer writes
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert [len(row) for row in rows] == [len(head)]
    assert [cell for cell in rows[0] if ABOUT_TO_COMPUTE.search(cell) and not is_number(cell)] == []
    if isinstance(cell, str):
        assert ABOUT_TO_COMPUTE.search(str(inert(cell))) is None
        assert str(inert(cell)).replace("'", "") == cell.replace("'", "")
    else:
        assert inert(cell) is cell


def is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None


@generated(25, lines=st.lists(OWN_LINES, min_size=4, max_size=12))
def test_the_decision_lines_of_a_file_are_strict_json_one_for_each_thing_that_came_in(
    folder: Path, lines: list[bytes]
) -> None:
    """The whole way of `turncoat triage`; and `triage` itself decides the same when asked without it."""
    path, out = folder / "many.jsonl", folder / "decisions.jsonl"
    path.write_bytes(b"\n".join(lines))
    items = list(read_alerts(path, "jsonl"))
    variants = ["scripted-severity", "scripted-hash"]
    run = triage_path(str(path), "jsonl", variants, "", out=str(out), compare_tfidf=False, status=StatusLine(None))
    written = out.read_text(encoding="ascii").split("\n")
    rows = [strictly(line) for line in written[:-1]]
    again = triage(items, {name: ScriptedClassifier(name) for name in variants})
    assert rows == [json.loads(as_line(decision_line(one))) for one in again]
    assert len(rows) == 2 * len(items)
    unread = [row for row in rows if row["unreadable"]]
    assert all(as_decided_row(row) == ("escalate", True) for row in unread)
    assert len(run.mistakes) * 2 == len(unread)
    shown(*triage_tables(run.summary))


def as_decided_row(row: dict[str, Any]) -> tuple[str, bool]:
    return row["decision"]["action"], row["decision"]["forced"]


def test_every_property_of_this_module_was_tried() -> None:
    """With those of test_generated_alerts, which another process may have run, over 5,000 alerts."""
    every_property_tried(__name__, at_least=1_350)
