"""A replay: what it asks the models, writes down, tells while it goes, and refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.graph import build_graph
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Event
from turncoat.agent.replay import replay
from turncoat.agent.sinks import QueueSink
from turncoat.agent.state import State, investigation_of, start
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream
from turncoat.tools.toolbox import Toolbox

from .replays import SETTINGS, Batching, contents, run


def test_every_alert_is_investigated_once_per_variant_and_principal(
    tmp_path: Path, streams: dict[str, AlertStream]
) -> None:
    rows = run(tmp_path, streams, Batching())
    keys = [row.key for row in rows]
    assert len(keys) == len(set(keys)) == 12 * 3 * 3
    assert keys[:4] == [("a1f0", "severity", "alice"), ("a1f0", "severity", "bob"), ("a1f0", "severity", "carol"),
                        ("a1f0", "blind", "alice")]  # fmt: skip
    assert RunFolder.open(tmp_path).investigations() == rows


def test_a_row_holds_verdict_and_decision_as_objects_and_no_clock(
    tmp_path: Path, streams: dict[str, AlertStream]
) -> None:
    run(tmp_path, streams, Batching())
    first = json.loads((tmp_path / "outcomes.jsonl").read_text().splitlines()[0])
    assert set(first) == {"uid", "variant", "principal", "verdict", "decision", "evidence", "rounds"}
    assert (first["verdict"]["answer"], first["verdict"]["p_malicious"]) == ("benign", 0.08)
    assert (first["decision"]["action"], first["decision"]["forced"]) == ("dismiss", False)
    assert first["decision"]["simulated_time"] == "2026-03-02T09:00:09Z"
    assert "wall_ms" in (tmp_path / "timings.jsonl").read_text()


def test_two_runs_write_the_same_bytes(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    run(tmp_path / "a", streams, Batching())
    run(tmp_path / "b", streams, Batching())
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_warmed_replay_decides_as_the_graph_alone_does(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    variants = Batching()
    rows = {row.key: row for row in run(tmp_path / "run", streams, variants)}
    sink = QueueSink(tmp_path / "queue.jsonl")
    for name, classifier in variants.items():
        for principal, stream in streams.items():
            graph = build_graph(Toolbox(stream), classifier, ThresholdPolicy(), sink, settings=SETTINGS)
            for alert in stream.alerts:
                alone = investigation_of(State(**graph.invoke(start(alert.uid, name))), principal)
                assert rows[alert.uid, name, principal] == alone
    sink.close()


def test_all_variants_and_principals_of_a_chunk_are_warmed_together_and_then_the_uncertain(
    tmp_path: Path, streams: dict[str, AlertStream]
) -> None:
    variants = Batching()
    run(tmp_path, streams, variants)
    first, second, *_ = variants.batches
    assert len(first) == 5 * 3 * 3
    assert [(v, user, n) for v, _, user, n in first if v == "severity"][::5] == [
        ("severity", "alice", 1), ("severity", "bob", 1), ("severity", "carol", 1),
    ]  # fmt: skip
    # Of the first five alerts 03bb alone is medium; `blind` is sure about it where Alice is concerned.
    assert [request for request in second if request[0] != "hash"] == [
        ("severity", "03bb", "alice", 2), ("severity", "03bb", "bob", 2), ("severity", "03bb", "carol", 2),
        ("blind", "03bb", "bob", 2), ("blind", "03bb", "carol", 2),
    ]  # fmt: skip


def test_the_graph_asks_the_classifier_nothing_that_was_warmed(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    asked: list[int] = []

    class Counting(ScriptedClassifier):
        def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
            asked.append(len(cases))
            return super().classify(cases)

    run(tmp_path, streams, {"severity": Counting("scripted-severity")})
    # Three principals in chunks of 5, 5 and 2; the medium alerts 03bb and 2e6a of the first two chunks come again,
    # one by one per principal, whose three seats are three classifiers.
    assert sorted(asked, reverse=True) == [5, 5, 5, 5, 5, 5, 2, 2, 2, 1, 1, 1, 1, 1, 1]


def test_the_events_tell_each_investigation_step_by_step(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    events: list[Event] = []
    run(tmp_path, {"alice": streams["alice"]}, {"severity": ScriptedClassifier("scripted-severity")}, events.append)
    medium = [e for e in events if e.alert is not None and e.alert.uid == "03bb"]
    assert [e.stage for e in medium] == ["ingest", "gather", "classify", "gather", "classify", "decide", "dismiss"]
    assert [len(e.evidence) for e in medium] == [0, 3, 3, 5, 5, 5, 5]
    assert medium[2].verdict is not None
    assert (medium[-1].done, medium[-1].total) == (2, 12)


@pytest.mark.parametrize("fails", ["warm", "classify"])
def test_a_failing_model_escalates_everything_forced_and_ends(
    tmp_path: Path, streams: dict[str, AlertStream], fails: str
) -> None:
    class Failing(Batching):
        def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
            raise MemoryError("no room")

    class Broken:
        fingerprint = "broken"

        def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
            raise MemoryError("no room")

    variants: Mapping[str, AlertClassifier] = Failing() if fails == "warm" else {"broken": Broken()}
    events: list[Event] = []
    rows = run(tmp_path, streams, variants, events.append)
    assert any("no room" in e.note for e in events if e.stage == "warm")
    if fails == "warm":  # the scripted variants answer all the same, only later
        assert not any(row.decision.forced for row in rows)
    else:
        assert all(row.decision.forced and row.decision.action == "escalate" for row in rows)
        assert len((tmp_path / "queue.jsonl").read_text().splitlines()) == len(rows)


def test_nothing_that_only_the_truth_knows_is_in_the_folder(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    run(tmp_path, streams, Batching())
    written = b"".join(p.read_bytes() for p in tmp_path.iterdir()).lower()
    for word in (b"exfiltration", b"collection", b"lookalike", b"step-", b"truth", b"expect"):
        assert word not in written


def test_streams_that_differ_in_more_than_the_name_are_refused(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    shorter = replace(streams["bob"], alerts=streams["bob"].alerts[1:])
    with pytest.raises(RunError, match="the streams of alice and bob differ in more than the name"):
        run(tmp_path, {"alice": streams["alice"], "bob": shorter}, Batching())


def test_a_stream_under_another_name_than_its_own_is_refused(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    with pytest.raises(RunError, match="the stream given for bob was emitted for alice"):
        run(tmp_path, {"bob": streams["alice"]}, Batching())


def test_two_alerts_of_one_uid_are_refused(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    double = replace(streams["alice"], alerts=streams["alice"].alerts[:1] * 2)
    with pytest.raises(RunError, match="share a uid"):
        run(tmp_path, {"alice": double}, Batching())


def test_nothing_to_replay_is_refused(streams: dict[str, AlertStream]) -> None:
    with pytest.raises(RunError, match="nothing to replay"):
        Manifest.of(streams, {}, SETTINGS)
    with pytest.raises(RunError, match="nothing to replay"):
        Manifest.of({}, Batching(), SETTINGS)


def test_a_folder_in_use_is_refused(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    folder = RunFolder.start(tmp_path, Manifest.of(streams, Batching(), SETTINGS))
    first = replay(streams, Batching(), SETTINGS, folder)
    next(first)
    with pytest.raises(RunError, match="another run uses the folder"):
        next(replay(streams, Batching(), SETTINGS, folder))
    assert len(list(first)) == 107
