from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.records import Investigation, Settings
from turncoat.agent.replay import replay
from turncoat.agent.scoring import score
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream, GroundTruth

Truths = tuple[GroundTruth, ...]


@pytest.fixture(scope="module")
def streams(stream_of: Callable[[str], AlertStream]) -> dict[str, AlertStream]:
    return {name: stream_of(name) for name in ("alice", "bob")}


@pytest.fixture(scope="module")
def rows(streams: dict[str, AlertStream], tmp_path_factory: pytest.TempPathFactory) -> list[Investigation]:
    variants = {"severity": ScriptedClassifier("scripted-severity")}
    folder = RunFolder.start(tmp_path_factory.mktemp("run"), Manifest.of(streams, variants, Settings()))
    return list(replay(streams, variants, Settings(), folder))


def test_each_row_is_joined_with_its_alert_and_its_truth(
    rows: list[Investigation], truths: Truths, streams: dict[str, AlertStream]
) -> None:
    outcomes = score(rows, truths, streams)
    assert [o.investigation for o in outcomes] == rows
    copy = next(o for o in outcomes if o.investigation.key == ("03bb", "severity", "bob"))
    assert copy.alert.entities.user == "bob"
    assert (copy.malicious, copy.phase, copy.step, copy.lookalike) == (True, "collection", "step-03bb", False)


def test_evidence_that_must_be_cited_and_was_not_asked_is_named(
    rows: list[Investigation], truths: Truths, streams: dict[str, AlertStream]
) -> None:
    wanting = [replace(t, must_cite=("baseline", "cloud_audit")) for t in truths if t.uid == "03bb"]
    (outcome, _) = score([r for r in rows if r.uid == "03bb"], wanting, streams)
    assert outcome.uncited == ("cloud_audit",)


def test_a_failed_tool_cites_nothing(
    rows: list[Investigation], truths: Truths, streams: dict[str, AlertStream]
) -> None:
    broken = [replace(t, must_cite=("process_tree",)) for t in truths if t.uid == "4f5c"]
    (outcome, _) = score([r for r in rows if r.uid == "4f5c"], broken, streams)
    assert outcome.uncited == ("process_tree",)


def test_the_opposite_truths_change_no_verdict_and_no_decision(
    rows: list[Investigation], truths: Truths, streams: dict[str, AlertStream], tmp_path: Path
) -> None:
    opposite = [replace(t, malicious=not t.malicious, expect_escalation=not t.expect_escalation) for t in truths]
    variants = {"severity": ScriptedClassifier("scripted-severity")}
    folder = RunFolder.start(tmp_path, Manifest.of(streams, variants, Settings()))
    again = list(replay(streams, variants, Settings(), folder))
    outcomes = score(again, opposite, streams)
    assert [o.investigation for o in outcomes] == rows
    assert [o.malicious for o in outcomes] == [not o.malicious for o in score(rows, truths, streams)]


def test_a_row_of_another_scenario_is_refused(
    rows: list[Investigation], truths: Truths, streams: dict[str, AlertStream]
) -> None:
    for strange in (replace(rows[0], uid="ffff"), replace(rows[0], principal="carol")):
        with pytest.raises(RunError, match="belongs to another scenario or seed"):
            score([strange], truths, streams)


def test_two_truths_about_one_alert_are_refused(truths: Truths, streams: dict[str, AlertStream]) -> None:
    with pytest.raises(RunError, match="two truths share a uid"):
        score([], (*truths, truths[0]), streams)
