"""The live view shows each alert's stage and every variant's decision, at 80 columns and without a terminal."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from turncoat.agent.records import Decision, Event
from turncoat.console.campaign_run import Plan
from turncoat.console.live import LiveView, PlainView, SilentView, watch
from turncoat.models.classifier import Verdict
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ALERT = Alert(
    "a1", NOON, "Copy to \x1b[31m[red]drive\u202e", Severity.HIGH, "DLP", None, "data", entities=Entities("alice")
)
VERDICT = Verdict("malicious", 0.87, 1.9, "f", 90)
VARIANTS = ("baseline", "clean", "poisoned")


def decided(variant: str, action: str, done: int, *, forced: bool = False) -> Event:
    decision = Decision(action, forced, "threshold", "why", NOON)  # type: ignore[arg-type]
    return Event(action, variant, "alice", ALERT, (), VERDICT, decision, done=done, total=9)  # type: ignore[arg-type]


@pytest.fixture
def plan() -> Plan:
    return Plan(load_campaign("insider-departing-exfil"), 7, Path("runs/x"))


def drawn(view: LiveView, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_each_stage_and_decision_has_its_word(plan: Plan) -> None:
    view = LiveView(Console(file=io.StringIO(), force_terminal=True), plan, VARIANTS)
    evidence = (Evidence("directory", "alice", "analyst", 2.0),) * 3
    view.on_event(Event("ingest", "baseline", "alice", ALERT))
    assert "ingest" in drawn(view)
    view.on_event(Event("gather", "baseline", "alice", ALERT, evidence))
    assert "gather 3" in drawn(view)
    view.on_event(Event("classify", "baseline", "alice", ALERT, evidence, VERDICT))
    assert "classify" in drawn(view)
    view.on_event(decided("baseline", "dismiss", 1))
    view.on_event(decided("clean", "escalate", 2))
    view.on_event(decided("poisoned", "escalate", 3, forced=True))
    shown = drawn(view)
    for words in ("· dismiss", "▲ escalate", "! forced", "3/9", "left"):
        assert words in shown


def test_the_view_fits_80_columns_and_obeys_no_alert(plan: Plan) -> None:
    view = LiveView(Console(file=io.StringIO(), force_terminal=True), plan, VARIANTS)
    for number in range(40):
        alert = replace(ALERT, uid=str(number), title=f"{ALERT.title} {'long ' * 30}")
        for event in (decided(v, "review", number) for v in VARIANTS):
            view.on_event(replace(event, alert=alert))
    shown = drawn(view)
    assert max(map(len, shown.splitlines())) <= 80
    assert len(shown.splitlines()) <= 24
    assert [c for c in shown if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"] == []
    assert "Mon 12:00" in shown
    assert "[red]drive" in shown


def test_without_a_terminal_an_alert_is_one_plain_line_once_all_have_decided() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    view = PlainView(console, ("clean", "poisoned"))
    view.on_event(Event("ingest", "clean", "alice", ALERT))
    view.on_event(decided("clean", "escalate", 1, forced=True))
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    view.on_event(decided("poisoned", "dismiss", 2))
    expected = "2/9 Mon 12:00 alice: Copy to [red]drive: clean forced, poisoned dismiss\n"
    assert console.file.getvalue() == expected  # type: ignore[attr-defined]


def test_the_view_is_chosen_by_what_there_is_to_draw_on(plan: Plan) -> None:
    assert type(watch(None, plan, VARIANTS)) is SilentView
    assert type(watch(Console(file=io.StringIO()), plan, VARIANTS)) is PlainView
    assert type(watch(Console(file=io.StringIO(), force_terminal=True), plan, VARIANTS)) is LiveView
