"""Thousands of generated alerts: none ends in a traceback, is dismissed through a fault, or forges a line of a prompt."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from turncoat.agent.graph import graph_of
from turncoat.agent.nodes import Desk
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.queue_sink import escalation
from turncoat.agent.records import Decision, Investigation, Settings
from turncoat.agent.state import investigation_of, start
from turncoat.agent.triage import NoCloud, OutsideDesks, Triaged, decision_about
from turncoat.agent.triage_report import decision_line
from turncoat.console.outside_run import mistake_line
from turncoat.models.classifier import AlertClassifier, Case
from turncoat.models.prompt import CUE, INSTRUCTION, render
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.line_parsers import read_line
from turncoat.scenarios.formats.splitting import Line
from turncoat.scenarios.records import KINDS, Alert, AlertStream, Entities, Severity
from turncoat.tools.records import Context, Evidence
from turncoat.tools.toolbox import TOOLS, Toolbox

from . import strategies as hostile
from .generated import (
    ALERTS,
    ANSWERS,
    CALM,
    FINDING_LINES,
    OWN_LINES,
    SHOWN_NOWHERE,
    WORLD,
    Faulty,
    as_line,
    controls,
    every_property_tried,
    failing,
    generated,
    harmless,
    too_long,
)

DISMISSED = (Severity.INFORMATIONAL, Severity.LOW, Severity.MEDIUM)


def read(folder: Path, format: str, line: bytes) -> list[LabelledAlert | Mistake]:
    path = folder / ("rule.yml" if format == "panther" else "alerts.jsonl")
    path.write_bytes(line)
    return list(read_alerts(path, format))


def faults(item: LabelledAlert | Mistake) -> list[str]:
    """What is wrong with what was read: texts are bounded and whole, the time is in the calendar, a mistake prints."""
    if isinstance(item, Mistake):
        checks = {"says nothing": bool(item.fault), "controls a terminal": not controls(mistake_line(item))}
    else:
        alert = item.alert
        texts = [alert.uid, alert.title, alert.product, alert.activity, item.group, item.stratum]
        texts += [v for v in (getattr(alert.entities, name) for name in Entities.__dataclass_fields__) if v is not None]
        texts += [*alert.raw, *alert.raw.values()]
        checks = {
            "a text is too long": max(len(text.encode()) for text in texts) <= 4 * 4_040,
            "another kind": alert.kind == "external",
            "another zone": alert.time.utcoffset() == timedelta(0),
            "uid": 1 <= len(alert.uid) <= 200,
            "too many fields": len(alert.raw) <= 40,
        }
    return [fault for fault, absent in checks.items() if not absent]


def read_alike(item: LabelledAlert | Mistake, line: bytes, format: str) -> bool:
    """Whether who follows the file reads the same of the line as who reads the file once."""
    followed = read_line(Line(0, 0, line), "alerts.jsonl", format)
    if isinstance(item, Mistake):
        return isinstance(followed, Mistake) or "was used before" in item.fault
    return isinstance(followed, LabelledAlert) and replace(followed, place=item.place) == item


@generated(700, line=OWN_LINES)
def test_every_line_of_ours_is_an_alert_or_a_mistake(folder: Path, line: bytes) -> None:
    items, written = read(folder, "jsonl", line), lines_of(line)
    assert [faults(item) for item in items] == [[]] * len(written)
    assert all(read_alike(item, one, "jsonl") for item, one in zip(items, written, strict=True))


@generated(700, line=FINDING_LINES)
def test_every_finding_is_an_alert_or_a_mistake(folder: Path, line: bytes) -> None:
    items, written = read(folder, "ocsf", line), lines_of(line)
    assert [faults(item) for item in items] == [[]] * len(written)
    assert all(read_alike(item, one, "ocsf") for item, one in zip(items, written, strict=True))


def lines_of(content: bytes) -> list[bytes]:
    """Each must be an alert or a mistake."""
    return [line for line in content.split(b"\n") if line.strip()]


@generated(550, line=hostile.lines(hostile.rules()))
def test_every_rule_gives_alerts_or_mistakes(folder: Path, line: bytes) -> None:
    assert [fault for item in read(folder, "panther", line) for fault in faults(item)] == []


def recursing(cases: Sequence[Case]) -> Any:
    raise RecursionError("\x1b[2J")


FAULTS: dict[str, Callable[[Sequence[Case]], Any]] = {
    "fails and quotes the alert": failing,
    "recurses": recursing,
    "has no verdict": lambda cases: [None],
    "gives nothing": lambda cases: [],
    "gives one too many": lambda cases: [CALM] * (len(cases) + 1),
    "gives a NaN": lambda cases: [replace(CALM, p_malicious=math.nan)],
    "gives an infinite margin": lambda cases: [replace(CALM, margin=-math.inf)],
    "gives less than nothing": lambda cases: [replace(CALM, p_malicious=-0.01)],
    "gives text": lambda cases: [replace(CALM, p_malicious="0.01")],
    "gives another answer": lambda cases: [replace(CALM, answer=cases[0].alert.title or "calm")],
    "gives a word": lambda cases: ["benign"],
    "lost a field": lambda cases: [replace(CALM, lost_required=True, left_out=(cases[0].alert.title,))],
}


class Kept:
    """A sink that keeps the lines of what it is sent."""

    name = "kept"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def send(self, alert: Alert, investigation: Investigation) -> None:
        self.lines.append(as_line(escalation(alert, investigation)))

    def sync(self) -> None:
        """Keeps nothing on a disk."""

    def close(self) -> None:
        """Holds nothing open."""


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def desks(kept: Kept) -> OutsideDesks:
    faulty: dict[str, AlertClassifier] = {name: Faulty(answer) for name, answer in FAULTS.items()}
    return OutsideDesks({"sound": ScriptedClassifier("scripted-severity")} | faulty, Settings(), kept)


@generated(
    600,
    written=OWN_LINES.map(lambda x: ("jsonl", x))
    | FINDING_LINES.map(lambda x: ("ocsf", x))
    | hostile.rules().map(lambda x: ("panther", hostile.written(x))),
    fault=st.sampled_from(sorted(FAULTS)),
)
def test_whatever_had_a_fault_is_escalated_by_force(
    folder: Path, desks: OutsideDesks, kept: Kept, written: tuple[str, bytes], fault: str
) -> None:
    items = read(folder, *written)
    desks.lay_out([item.alert for item in items if isinstance(item, LabelledAlert)])
    for item in items[:3]:
        if isinstance(item, Mistake):
            assert as_decided(decision_about(item)) == ("escalate", True)
            as_line(decision_line(Triaged("sound", item, decision_about(item), None)))
            continue
        for variant in ("sound", fault):
            kept.lines.clear()
            done = desks.investigate(item.alert.uid, variant)
            assert as_decided(done.decision) == expected(item.alert, faulty=variant == fault)
            assert len(kept.lines) == (done.decision.action == "escalate")
            assert harmless(done.decision.reason)
            as_line(decision_line(Triaged(variant, item, done.decision, done.verdict)))


def as_decided(decision: Decision) -> tuple[str, bool]:
    return decision.action, decision.forced


def expected(alert: Alert, *, faulty: bool) -> tuple[str, bool]:
    if faulty or too_long(alert):
        return "escalate", True
    return ("dismiss" if alert.severity in DISMISSED else "escalate"), False


class Broken(Toolbox):
    """Tools that break their word, and raise."""

    def ask(self, tool: str, alert: Alert) -> Evidence:
        raise OSError(alert.title)


OUTAGES = dict.fromkeys(TOOLS, "timeout")


@generated(150, alert=ALERTS, kind=st.sampled_from([*KINDS, "data\n", ""]), broken=st.booleans())
def test_nothing_is_dismissed_where_a_tool_failed_or_no_playbook_is_known(
    alert: Alert, kind: str, broken: bool
) -> None:
    stream = AlertStream("x", 0, "", WORLD, (replace(alert, kind=kind),), facts={}, outages={alert.uid: OUTAGES})
    toolbox = (Broken if broken else Toolbox)(stream)
    scripted = ScriptedClassifier("scripted-severity")
    desk = Desk(toolbox, scripted, ThresholdPolicy(), NoCloud(), Settings())
    done = investigation_of(graph_of(desk).invoke(start(alert.uid, "sound")), principal="")  # type: ignore[arg-type]
    by_severity = expected(alert, faulty=kind not in KINDS)
    failed = any(evidence.failed for evidence in done.evidence)
    assert failed == bool(done.evidence) if broken else True
    calm = by_severity == ("dismiss", False) and failed
    assert as_decided(done.decision) == (("review", False) if calm else by_severity)
    for tool in TOOLS:
        assert Toolbox(replace(stream, outages={})).ask(tool, alert).tool == tool


@generated(1000, alert=ALERTS, answers=ANSWERS, budget=st.sampled_from((40, 90, 384, 4_000)))
def test_a_prompt_has_one_line_per_field_and_no_forged_one(
    alert: Alert, answers: tuple[Evidence, ...], budget: int
) -> None:
    prompt = render(Case(alert, Context(answers, 1)), lambda text: (len(text.encode()) + 2) // 3, budget=budget)
    lines = prompt.text.split("\n")
    assert [*lines[:-1], lines[-1] + "."] == (prompt.text + ".").splitlines()
    assert {c for line in lines for c in line if unicodedata.category(c) in SHOWN_NOWHERE} == set()
    who = alert.entities
    there = {
        "alert": alert.title or " ", "time": " ", "user": who.user, "host": who.host,
        "process": who.command_line or who.process, "address": who.address, "file": who.file, "activity": alert.activity,
    }  # fmt: skip
    required = [name for name, value in there.items() if value]
    claims = bool(alert.technique and (alert.raw or alert.kind == "external"))
    beside = len(alert.raw) + claims
    names = [line.partition(":")[0] for line in lines[1:]]
    missing = [name for name in prompt.left_out if not name.endswith(" (cut)")]
    if too_long(alert) or any(len(e.answer) > 320 for e in answers):
        assert prompt.lost_required
    if lines[-1] != CUE or lines[0] != INSTRUCTION:
        assert prompt.lost_required
        assert len(missing) == beside
        in_order = [*required, *(e.tool for e in answers), "verdict"]
        assert names[:-1] == in_order[: len(names) - 1] or len(lines) == 1
        return
    optional = names[len(required) : len(names) - len(answers) - 1]
    assert names == [*required, *optional, *(e.tool for e in answers), "verdict"]
    assert len(optional) == beside - len(missing)
    if claims and optional:
        assert optional.pop(0) == "technique"
    shown = list(alert.raw.values())[: len(optional)]
    assert len(prompt.left_out) - len(missing) == sum(len(value) > 320 for value in shown)
    assert [name for name in optional if name.strip().casefold() in hostile.OUR_FIELDS] == []
    harmless("".join(prompt.left_out))


def test_every_property_of_this_module_was_tried() -> None:
    """With those of test_generated_views, which another process may have run, over 5,000 alerts."""
    every_property_tried(__name__, at_least=3_650)
