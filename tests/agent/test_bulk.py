"""In bulk as through the graph: the same rows, alert by alert, whatever the alerts, tools, planner and classifier do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat.agent.bulk import Seat, investigate_together, seat_of
from turncoat.agent.graph import build_graph
from turncoat.agent.planner import PLAYBOOK, Plan, Planner, PlannerFault, Question
from turncoat.agent.policy import EscalationPolicy, ThresholdPolicy
from turncoat.agent.records import Investigation, Settings
from turncoat.agent.state import State, investigation_of, start
from turncoat.agent.triage import NoCloud, OutsideDesks
from turncoat.models.bases import BaseFolder
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.engine import Engine
from turncoat.models.finetuned import FineTunedClassifier
from turncoat.models.scripted import ScriptedClassifier
from turncoat.models.variants import VariantSet
from turncoat.scenarios.emit import emit
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import KINDS, Alert, AlertStream
from turncoat.tools.records import Context, Evidence
from turncoat.tools.toolbox import TOOLS, Toolbox

from ..hostile.generated import ALERTS, WORLD, Faulty, failing
from .replays import SETTINGS, Batching, StreamOf, run
from .test_graph import ListSink

SCRIPTED: Mapping[str, AlertClassifier] = {
    name: ScriptedClassifier(f"scripted-{name}") for name in ("severity", "blind", "hash")
}
POLICY = ThresholdPolicy()


class Broken(Toolbox):
    """Tools that break their word, and raise."""

    def ask(self, tool: str, alert: Alert) -> Evidence:
        raise OSError(alert.title)


def seats(toolbox: Toolbox, variants: Mapping[str, AlertClassifier], **parts: Any) -> list[Seat]:
    given = {"policy": POLICY, "sink": NoCloud(), "settings": Settings()} | parts
    return [seat_of(name, classifier, toolbox, **given) for name, classifier in variants.items()]


def in_bulk(toolbox: Toolbox, variants: Mapping[str, AlertClassifier], **parts: Any) -> list[Investigation]:
    at = seats(toolbox, variants, **parts)
    found = investigate_together(variants, at, [toolbox.stream.alerts] * len(at))
    return [row for at_seat in found for row in at_seat]


def by_graph(toolbox: Toolbox, variants: Mapping[str, AlertClassifier], **parts: Any) -> list[Investigation]:
    """Each alert alone, with nothing foreseen."""
    given = {"policy": POLICY, "sink": NoCloud()} | parts
    rows = []
    for name, classifier in variants.items():
        graph = build_graph(toolbox, classifier, **given)
        for alert in toolbox.stream.alerts:
            state = State(**graph.invoke(start(alert.uid, name)))
            rows.append(investigation_of(state, toolbox.stream.principal))
    return rows


@pytest.mark.parametrize("campaign", ["helpdesk-vishing-mfa", "lateral-living-off-the-land"])
def test_alerts_of_a_campaign_get_the_rows_of_the_graph(campaign: str) -> None:
    stream, _ = emit(load_campaign(campaign), 3)
    toolbox = Toolbox(replace(stream, alerts=stream.alerts[::3]))
    rows = in_bulk(toolbox, SCRIPTED)
    assert rows == by_graph(toolbox, SCRIPTED)
    assert {row.rounds for row in rows} == {1, 2}
    assert {row.decision.action for row in rows} >= {"escalate", "dismiss"}


def test_a_chunk_makes_the_batches_and_the_rows_of_a_replay(tmp_path: Path, stream_of: StreamOf) -> None:
    replayed, together = Batching(), Batching()
    streams = {name: stream_of(name) for name in ("alice", "bob")}
    rows = {row.key: row for row in run(tmp_path, streams, replayed)}
    desks = [
        seat_of(name, classifier, Toolbox(stream), POLICY, NoCloud(), SETTINGS)
        for name, classifier in together.items()
        for stream in streams.values()
    ]
    found: list[Investigation] = []
    for first in range(0, 12, SETTINGS.chunk):
        seen = [desk.toolbox.stream.alerts[first : first + SETTINGS.chunk] for desk, _ in desks]
        found += [row for at_seat in investigate_together(together, desks, seen) for row in at_seat]
    assert {row.key: row for row in found} == rows
    assert together.batches == replayed.batches


def test_a_model_gives_the_very_margins_that_it_gives_in_a_replay(
    tmp_path: Path, stream_of: StreamOf, tiny_base: BaseFolder
) -> None:
    def opened() -> VariantSet:
        engine, memo = Engine(tiny_base), {}  # type: ignore[var-annotated]
        engine.add("baseline", None)
        return VariantSet({"baseline": FineTunedClassifier(engine, "baseline", None, memo)}, memo)

    stream = stream_of("alice")
    replayed = run(tmp_path, {"alice": stream}, opened())
    variants, found = opened(), []
    for first in range(0, 12, SETTINGS.chunk):
        at = seats(Toolbox(stream), variants, settings=SETTINGS)
        found += investigate_together(variants, at, [stream.alerts[first : first + SETTINGS.chunk]])[0]
    assert found == replayed
    assert len({row.verdict.margin for row in found if row.verdict}) > 6
    assert {row.rounds for row in found} == {2}  # an untrained model is never sure


@settings(max_examples=30)
@given(drawn=ALERTS, kind=st.sampled_from([*KINDS, "external", "data\n", ""]), broken=st.booleans(), out=st.booleans())
def test_hostile_alerts_over_failing_tools_get_the_rows_of_the_graph(
    drawn: Alert, kind: str, broken: bool, out: bool
) -> None:
    outages = {drawn.uid: dict.fromkeys(TOOLS, "timeout")} if out else {}
    stream = AlertStream("x", 0, "", WORLD, (replace(drawn, kind=kind),), facts={}, outages=outages)
    toolbox = (Broken if broken else Toolbox)(stream)
    assert in_bulk(toolbox, SCRIPTED) == by_graph(toolbox, SCRIPTED)


def test_a_failed_tool_bars_dismissal_in_bulk_too(stream_of: StreamOf) -> None:
    toolbox = Toolbox(stream_of("alice"))  # the process tree of 4f5c times out
    rows = in_bulk(toolbox, SCRIPTED)
    assert rows == by_graph(toolbox, SCRIPTED)
    (row,) = [row for row in rows if row.key == ("4f5c", "severity", "alice")]
    assert (row.decision.action, row.decision.forced) == ("review", False)
    assert row.decision.reason.endswith("dismissal barred: process_tree failed")


def alone_only(cases: Sequence[Case]) -> Any:
    if len(cases) > 1:
        raise MemoryError("no room for so many")
    return SCRIPTED["severity"].classify(cases)


def sound_first(cases: Sequence[Case]) -> Any:
    """Fails in the second round, and for every case of a batch that has one such."""
    if any(case.context.round > 1 for case in cases):
        raise RuntimeError(cases[0].alert.title)
    return SCRIPTED["severity"].classify(cases)


FAULTS: dict[str, Callable[[Sequence[Case]], Any]] = {
    "raises": failing,
    "too many for it": alone_only,
    "fails later": sound_first,
    "no verdict": lambda cases: [None for _ in cases],
    "one too few": lambda cases: SCRIPTED["severity"].classify(cases[1:]),
    "one too many": lambda cases: [*SCRIPTED["severity"].classify(cases), None],
    "of another type": lambda cases: ["benign" for _ in cases],
    "not a number": lambda cases: [Verdict("benign", math.nan, 0.0, "x", 1) for _ in cases],
    "lost a field": lambda cases: [Verdict("benign", 0.4, -0.4, "x", 1, (), True) for _ in cases],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_classifier_gets_the_rows_of_the_graph(stream_of: StreamOf, fault: str) -> None:
    toolbox, variants = Toolbox(stream_of("alice")), {"faulty": Faulty(FAULTS[fault])}
    rows = in_bulk(toolbox, variants)
    assert rows == by_graph(toolbox, variants)
    # Two alerts of the day are medium, and so have a second round in which to fail.
    forced = {"too many for it": 0, "fails later": 2}.get(fault, 12)
    assert sum(row.decision.forced and row.decision.action == "escalate" for row in rows) == forced


class FailingPolicy(ThresholdPolicy):
    """Decides nothing, and does not know when it is uncertain."""

    def uncertain(self, verdict: Verdict) -> bool:
        raise ArithmeticError("?")

    def decide(self, case: Case, verdict: Verdict, at: Any) -> Any:
        raise ArithmeticError("?")


class ByUid:
    """A planner that cannot be told ahead: by the alert it asks one thing, nothing, raises, or ends after a round."""

    name = identity = "by-uid"
    foreseeable = False

    def plan(self, alert: Alert, context: Context) -> Plan:
        match int(alert.uid, 16) % 4:
            case 0:
                return Plan(ended=True)
            case 1:
                return Plan((Question("peers"),), ended=True, faults={"unknown tool": 1})
            case 2 if context.round:
                raise PlannerFault("down")
        return Plan((Question("sign_ins"),))

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("policy", "given", "planner"),
    [
        (POLICY, Settings(evidence_budget_s=10.0), PLAYBOOK),
        (POLICY, Settings(withhold_evidence=True), PLAYBOOK),
        (POLICY, Settings(), ByUid()),
        (POLICY, Settings(withhold_evidence=True), ByUid()),
        (FailingPolicy(), Settings(), PLAYBOOK),
    ],
    ids=["small budget", "evidence withheld", "another planner", "planner without evidence", "failing policy"],
)
def test_policy_planner_and_settings_work_as_in_the_graph(
    stream_of: StreamOf, policy: EscalationPolicy, given: Settings, planner: Planner
) -> None:
    toolbox, parts = Toolbox(stream_of("alice")), {"policy": policy, "settings": given, "planner": planner}
    uncertain = {**SCRIPTED, "uncertain": ScriptedClassifier(lambda case: 0.4)}
    assert in_bulk(toolbox, uncertain, **parts) == by_graph(toolbox, uncertain, **parts)


def test_no_sink_is_told_and_nothing_stays_in_memory(stream_of: StreamOf) -> None:
    sink, toolbox = ListSink(), Toolbox(stream_of("alice"))
    (seat,) = seats(toolbox, {"severity": SCRIPTED["severity"]}, sink=sink)
    ((first, *_),) = investigate_together({}, [seat], [toolbox.stream.alerts])
    assert sink.sent == []
    assert not seat[1].knows(Case(toolbox.stream.alerts[0], Context(first.evidence, first.rounds)))


def test_an_alert_of_another_stream_is_refused_as_by_the_graph(stream_of: StreamOf) -> None:
    toolbox = Toolbox(stream_of("alice"))
    stranger = replace(toolbox.stream.alerts[0], uid="ffff")
    with pytest.raises(RunError, match="no alert 'ffff' in this stream of 12 alerts"):
        investigate_together(SCRIPTED, seats(toolbox, SCRIPTED)[:1], [[stranger]])


def test_outside_alerts_are_sent_once_each_where_they_are_escalated(stream_of: StreamOf) -> None:
    outside = [replace(alert, kind="external") for alert in stream_of("alice").alerts]
    sink = ListSink()
    desks = OutsideDesks(SCRIPTED, Settings(), sink)
    desks.lay_out(outside)
    rows = [desks.investigate(alert.uid, "severity") for alert in outside]
    toolbox = Toolbox(AlertStream("outside", 0, "", WORLD, tuple(outside), facts={}))
    assert rows == by_graph(toolbox, {"severity": SCRIPTED["severity"]})
    # High and critical: 77c2, 5d10, 91ee, c4d9, b813 and d2b4.
    assert [alert.uid for alert, _ in sink.sent] == ["77c2", "5d10", "91ee", "c4d9", "b813", "d2b4"]
    assert [row for _, row in sink.sent] == [row for row in rows if row.decision.action == "escalate"]
    with pytest.raises(RunError, match="no alert 'ffff' among the 12"):
        desks.investigate("ffff", "severity")
