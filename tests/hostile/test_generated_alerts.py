"""Thousands of generated alerts: none ends in a traceback, is dismissed through a fault, or controls whatever shows it."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from turncoat.agent.comparison import compare, inert, to_csv
from turncoat.agent.folder import Manifest
from turncoat.agent.graph import graph_of
from turncoat.agent.nodes import Desk
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.queue_sink import escalation
from turncoat.agent.records import Decision, Event, Investigation, Outcome, Settings
from turncoat.agent.state import investigation_of, start
from turncoat.agent.triage import NoCloud, OutsideDesks, Triaged, decision_about, triage
from turncoat.agent.triage_report import decision_line, summary
from turncoat.agent.triage_score import score_triage
from turncoat.console.campaign_run import Plan
from turncoat.console.case_view import case_json, case_view, find_case
from turncoat.console.live import LiveView, PlainView
from turncoat.console.outside_run import mistake_line, triage_path
from turncoat.console.past_run import PastRun
from turncoat.console.status import StatusLine
from turncoat.console.terminal import clean, plain
from turncoat.console.triage_tables import triage_tables
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.prompt import CUE, INSTRUCTION, render
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.enterprise import World
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.line_parsers import read_line
from turncoat.scenarios.formats.splitting import Line
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import KINDS, Alert, AlertStream, Entities, Severity
from turncoat.tools.records import Context, Evidence
from turncoat.tools.toolbox import TOOLS, Toolbox

from . import strategies as hostile

EXAMPLES = 5_000
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MARK = "[bold red]M[/bold red][link=x]"
"""At the start of a text it must be shown as it is, whatever follows."""
SHOWN_NOWHERE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ABOUT_TO_COMPUTE = re.compile(r"(?:^|[;\t\r\n]) *[=+\-@＝＋－＠]")
DISMISSED = (Severity.INFORMATIONAL, Severity.LOW, Severity.MEDIUM)

tried: Counter[str] = Counter()
properties: list[str] = []


def generated(
    examples: int, **given_as: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property over so many examples, the same on every machine, which are counted."""

    def property_of(test: Callable[..., None]) -> Callable[..., None]:
        properties.append(test.__name__)

        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            tried[test.__name__] += 1
            test(*args, **kwargs)

        slow = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
        repeatable = settings(
            max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=slow
        )
        return repeatable(given(**given_as)(counted))

    return property_of


def strictly(text: str) -> Any:
    """JSON as other programs read it: no NaN, no key twice."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def as_line(thing: Any) -> str:
    """As `--out` and the queue write it; it must come back as it was."""
    text = json.dumps(thing, ensure_ascii=True, allow_nan=False)
    assert text.isascii()
    assert text.isprintable()
    assert strictly(text) == json.loads(json.dumps(thing))
    return text


def shown(*parts: RenderableType, width: int = 160) -> str:
    """As a terminal would get it, colours aside, which are ours; no character in it may control the terminal."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False, emoji=False
    )
    for part in parts:
        console.print(part)
    return harmless(console.file.getvalue())  # type: ignore[attr-defined]


def harmless(text: str) -> str:
    assert {c for c in text if unicodedata.category(c) in SHOWN_NOWHERE} <= {"\n"}
    return text


def too_long(alert: Alert) -> bool:
    """Whether a required field is longer than the 320 characters that a prompt shows."""
    who = alert.entities
    title = f"{alert.title} ({alert.product}, {alert.severity.value})"
    required = (title, who.user, who.host, who.command_line or who.process, who.address, who.file, alert.activity)
    return any(len(field or "") > 320 for field in required)


ANY_TEXT = hostile.texts()


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Fields filled from a few texts: one number says which field has which, for a draw per field takes too long."""
    pool = ["", *draw(st.lists(ANY_TEXT, min_size=2, max_size=4))]
    which = draw(st.integers(0, len(pool) ** 9 - 1))
    words = [pool[which // len(pool) ** place % len(pool)] for place in range(9)]
    raw = dict(zip(draw(st.lists(hostile.KEYS, max_size=4)), words, strict=False))
    return Alert(
        uid="u-1",
        time=datetime(1970, 1, 2, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 1_138_000))),
        title=words[0],
        severity=draw(st.sampled_from(Severity)),
        product=words[1],
        technique="T1078" if which % 2 else None,
        kind="external",
        activity=words[2],
        entities=Entities(*(word or None for word in (*words[3:8], None, words[8]))),
        raw=raw,
    )


ALERTS = alerts()
EVIDENCE = st.builds(
    Evidence, st.sampled_from(sorted(TOOLS)), ANY_TEXT, ANY_TEXT, st.sampled_from((0.0, 2.5)), st.booleans()
)
ANSWERS = st.lists(EVIDENCE, max_size=3).map(tuple)
OWN_LINES, FINDING_LINES = hostile.lines(hostile.own_alerts()), hostile.lines(hostile.findings())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


def read(folder: Path, format: str, line: bytes) -> list[LabelledAlert | Mistake]:
    path = folder / ("rule.yml" if format == "panther" else "alerts.jsonl")
    path.write_bytes(line)
    return list(read_alerts(path, format))


def sound(item: LabelledAlert | Mistake) -> bool:
    """Checks what was read: every text bounded and of whole characters, the time in the calendar, a mistake printable."""
    if isinstance(item, Mistake):
        assert item.fault
        harmless(mistake_line(item))
        return False
    alert = item.alert
    texts = [v for v in (alert.title, alert.product, alert.activity, item.group, item.stratum) if v]
    texts += [v for v in (getattr(alert.entities, name) for name in Entities.__dataclass_fields__) if v is not None]
    texts += [*alert.raw, *alert.raw.values()]
    assert max(len(text.encode()) for text in (*texts, alert.uid)) <= 4 * 4_040
    assert (alert.kind, alert.time.utcoffset()) == ("external", timedelta(0))
    assert 1 <= len(alert.uid) <= 200
    assert len(alert.raw) <= 40
    return True


@generated(700, line=OWN_LINES)
def test_every_line_of_ours_is_an_alert_or_a_mistake(folder: Path, line: bytes) -> None:
    check_lines(folder, "jsonl", line)


@generated(700, line=FINDING_LINES)
def test_every_finding_is_an_alert_or_a_mistake(folder: Path, line: bytes) -> None:
    check_lines(folder, "ocsf", line)


def check_lines(folder: Path, format: str, content: bytes) -> None:
    """None vanishes, and who follows the file reads the same as who reads it once."""
    items = read(folder, format, content)
    written = [line for line in content.split(b"\n") if line.strip()]
    assert len(items) == len(written)
    for item, line in zip(items, written, strict=True):
        followed = read_line(Line(0, 0, line), "alerts.jsonl", format)
        if sound(item):
            assert isinstance(followed, LabelledAlert)
            assert replace(followed, place=item.place) == item
        elif isinstance(item, Mistake) and "was used before" not in item.fault:
            assert isinstance(followed, Mistake)


@generated(550, line=hostile.lines(hostile.rules()))
def test_every_rule_gives_alerts_or_mistakes(folder: Path, line: bytes) -> None:
    for item in read(folder, "panther", line):
        sound(item)


class Faulty:
    """A classifier that fails in one way or another."""

    fingerprint = "faulty"

    def __init__(self, answer: Callable[[Case], Any]) -> None:
        self._answer = answer

    def classify(self, cases: Sequence[Case]) -> Any:
        return self._answer(cases[0]) if cases else []


def failing(case: Case) -> Any:
    raise ValueError(f"{case.alert.title}\n{case.alert.raw}")


def recursing(case: Case) -> Any:
    raise RecursionError("\x1b[2J")


CALM = Verdict("benign", 0.01, -4.6, "faulty", 90)
FAULTS: dict[str, Callable[[Case], Any]] = {
    "fails and quotes the alert": failing,
    "recurses": recursing,
    "has no verdict": lambda case: [None],
    "gives nothing": lambda case: [],
    "gives one too many": lambda case: [CALM, CALM],
    "gives a NaN": lambda case: [replace(CALM, p_malicious=math.nan)],
    "gives an infinite margin": lambda case: [replace(CALM, margin=-math.inf)],
    "gives less than nothing": lambda case: [replace(CALM, p_malicious=-0.01)],
    "gives text": lambda case: [replace(CALM, p_malicious="0.01")],
    "gives another answer": lambda case: [replace(CALM, answer=case.alert.title or "calm")],
    "gives a word": lambda case: ["benign"],
    "lost a field": lambda case: [replace(CALM, lost_required=True, left_out=(case.alert.title,))],
}


class Kept:
    """A sink that keeps the lines of what it is sent."""

    name = "kept"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def send(self, alert: Alert, investigation: Investigation) -> None:
        self.lines.append(as_line(escalation(alert, investigation)))

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


WORLD = World(
    seed=0, pool="", domain="", people=(), hosts=(), service_accounts=(), networks=(), changes=(), partners={},
    indicators=(), baselines={},
)  # fmt: skip
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
    beside = len(alert.raw) + bool(alert.raw and alert.technique)
    names = [line.partition(":")[0] for line in lines[1:]]
    if too_long(alert) or any(len(e.answer) > 320 for e in answers):
        assert prompt.lost_required
    if lines[-1] != CUE or lines[0] != INSTRUCTION:
        assert prompt.lost_required
        assert len(prompt.left_out) == beside
        in_order = [*required, *(e.tool for e in answers), "verdict"]
        assert names[:-1] == in_order[: len(names) - 1] or len(lines) == 1
        return
    optional = names[len(required) : len(names) - len(answers) - 1]
    assert names == [*required, *optional, *(e.tool for e in answers), "verdict"]
    assert len(optional) == beside - len(prompt.left_out)
    if alert.raw and alert.technique and optional:
        assert optional.pop(0) == "technique"
    assert [name for name in optional if name.strip().casefold() in hostile.OUR_FIELDS] == []
    harmless("".join(prompt.left_out))


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


def test_at_least_5000_alerts_were_generated() -> None:
    """Stands last. Says nothing where somebody ran only some of the properties."""
    if any(not tried[name] for name in properties):
        pytest.skip("only part of this module was run")
    assert sum(tried.values()) >= EXAMPLES
