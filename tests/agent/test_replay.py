from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.graph import build_graph
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Event, Investigation, Settings
from turncoat.agent.replay import replay
from turncoat.agent.sinks import QueueSink
from turncoat.agent.state import State, investigation_of, start
from turncoat.agent.studio import demo_stream
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream
from turncoat.tools.toolbox import Toolbox

StreamOf = Callable[[str], AlertStream]
SETTINGS = Settings(chunk=5)
FILES = ("outcomes.jsonl", "queue.jsonl", "manifest.json")


class Batching(Mapping[str, AlertClassifier]):
    """Variants that are warmed together and write down each batch that they were asked for."""

    def __init__(self) -> None:
        self.variants = {name: ScriptedClassifier(f"scripted-{name}") for name in ("severity", "blind", "hash")}
        self.batches: list[list[tuple[str, str, str | None, int]]] = []

    def __getitem__(self, name: str) -> AlertClassifier:
        return self.variants[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variants)

    def __len__(self) -> int:
        return len(self.variants)

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        self.batches.append([(v, c.alert.uid, c.alert.entities.user, c.context.round) for v, c in requests])


@pytest.fixture
def streams(stream_of: StreamOf) -> dict[str, AlertStream]:
    return {name: stream_of(name) for name in ("alice", "bob", "carol")}


def run(
    folder: Path,
    streams: Mapping[str, AlertStream],
    variants: Mapping[str, AlertClassifier],
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Investigation]:
    opened = RunFolder.start(folder, Manifest.of(streams, variants, SETTINGS))
    return list(replay(streams, variants, SETTINGS, opened, on_event))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(stream_of: StreamOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a whole run of two principals leaves in its folder."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, {name: stream_of(name) for name in ("alice", "bob")}, Batching())
    return contents(folder)


class Killed(BaseException):
    """Not an Exception: nothing in between may swallow it."""


def kill_at(moment: int) -> Callable[[Event], None]:
    left = iter(range(moment))

    def on_event(event: Event) -> None:
        if next(left, None) is None:
            raise Killed

    return on_event


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


@pytest.fixture
def pair(streams: dict[str, AlertStream]) -> dict[str, AlertStream]:
    return {name: streams[name] for name in ("alice", "bob")}


@pytest.mark.parametrize("moment", [0, 1, 2, 4, 5, 6, 40, 151, 300])
def test_a_killed_run_goes_on_with_nothing_lost_and_nothing_twice(
    tmp_path: Path, pair: dict[str, AlertStream], undisturbed: dict[str, bytes], moment: int
) -> None:
    with pytest.raises(Killed):
        run(tmp_path, pair, Batching(), kill_at(moment))
    run(tmp_path, pair, Batching())
    assert contents(tmp_path) == undisturbed


def test_a_run_killed_again_and_again_ends_the_same(
    tmp_path: Path, pair: dict[str, AlertStream], undisturbed: dict[str, bytes]
) -> None:
    kills = 0
    while True:
        try:
            run(tmp_path, pair, Batching(), kill_at(90))
            break
        except Killed:
            kills += 1
    assert kills >= 5
    assert contents(tmp_path) == undisturbed


KILLED_PROCESS = """
import os, signal, sys
from pathlib import Path
from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.records import Settings
from turncoat.agent.replay import replay
from turncoat.agent.studio import demo_stream
from turncoat.models.scripted import ScriptedClassifier

def die(event):
    if event.done == 1 and event.stage == "classify":
        os.kill(os.getpid(), signal.SIGKILL)

streams, variants = {demo_stream().principal: demo_stream()}, {"severity": ScriptedClassifier("scripted-severity")}
settings = Settings(chunk=5)
folder = RunFolder.start(Path(sys.argv[1]), Manifest.of(streams, variants, settings))
list(replay(streams, variants, settings, folder, die))
"""


def test_a_run_whose_process_was_killed_goes_on(tmp_path: Path) -> None:
    streams = {demo_stream().principal: demo_stream()}
    variants = {"severity": ScriptedClassifier("scripted-severity")}
    run(tmp_path / "whole", streams, variants)
    # SIGKILL in the middle of the second row: no clean-up of any kind runs.
    killed = subprocess.run([sys.executable, "-c", KILLED_PROCESS, str(tmp_path / "killed")], timeout=600, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len((tmp_path / "killed" / "outcomes.jsonl").read_bytes().splitlines()) == 1
    run(tmp_path / "killed", streams, variants)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_killed_run_asks_for_the_same_batches_again(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    whole, killed, resumed = Batching(), Batching(), Batching()
    run(tmp_path / "whole", streams, whole)
    with pytest.raises(Killed):
        run(tmp_path / "killed", streams, killed, kill_at(300))
    run(tmp_path / "killed", streams, resumed)
    assert 0 < len(resumed.batches) < len(whole.batches)
    assert resumed.batches == whole.batches[-len(resumed.batches) :]


@pytest.mark.parametrize("cut", [1, 7, 200])
def test_torn_last_lines_are_done_again(tmp_path: Path, streams: dict[str, AlertStream], cut: int) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    for name in ("outcomes.jsonl", "queue.jsonl", "timings.jsonl"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-cut])
    run(tmp_path, streams, Batching())
    assert contents(tmp_path) == before


def test_a_finished_run_is_read_and_not_done_again(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    rows = run(tmp_path, streams, Batching())
    variants, events = Batching(), list[Event]()
    assert run(tmp_path, streams, variants, events.append) == rows
    assert variants.batches == []
    assert {event.stage for event in events} == {"escalate", "dismiss", "review"}


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


def test_a_checkpoint_file_that_is_none_is_refused(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    folder = RunFolder.start(tmp_path, Manifest.of(streams, Batching(), SETTINGS))
    folder.checkpoints.write_bytes(b"not a database, at any rate " * 200)
    with pytest.raises(RunError, match=r"checkpoints\.sqlite: file is not a database"):
        next(replay(streams, Batching(), SETTINGS, folder))


def test_the_checkpoints_are_a_real_database_with_one_thread_per_investigation(
    tmp_path: Path, streams: dict[str, AlertStream]
) -> None:
    run(tmp_path, streams, Batching())
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite")) as database:
        (threads,) = database.execute("SELECT count(DISTINCT thread_id) FROM checkpoints").fetchone()
        (one,) = database.execute("SELECT count(*) FROM checkpoints WHERE thread_id = 'blind/bob/03bb'").fetchone()
    assert (threads, one) == (108, 1)


def test_a_row_that_was_lost_is_taken_from_its_checkpoint(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    lines = before["outcomes.jsonl"].splitlines(keepends=True)
    (tmp_path / "outcomes.jsonl").write_bytes(b"".join(lines[:-1]))
    stages: list[str] = []
    run(tmp_path, streams, Batching(), lambda event: stages.append(event.stage))
    assert contents(tmp_path) == before
    assert "classify" not in stages


def test_a_tampered_checkpoint_is_not_gone_on_with(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    lines = before["outcomes.jsonl"].splitlines(keepends=True)
    (tmp_path / "outcomes.jsonl").write_bytes(b"".join(lines[:-1]))
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite", isolation_level=None)) as database:
        (blob,) = database.execute("SELECT checkpoint FROM checkpoints LIMIT 1").fetchone()
        assert b"decision" in blob
        database.execute("UPDATE checkpoints SET checkpoint = ?", (blob.replace(b"decision", b"derision"),))
    run(tmp_path, streams, Batching())
    assert contents(tmp_path) == before


def test_a_checkpoint_that_an_interruption_left_without_a_decision_is_not_gone_on_with(
    tmp_path: Path, streams: dict[str, AlertStream]
) -> None:
    folder = tmp_path / "run"
    variants = {name: ScriptedClassifier(f"scripted-{name}") for name in ("severity", "blind")}
    names = {name: streams[name] for name in ("alice", "bob")}
    run(folder, names, variants)
    whole = (folder / "outcomes.jsonl").read_bytes()
    last = json.loads(whole.splitlines()[-1])
    (folder / "outcomes.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    thread = "/".join((last["variant"], last["principal"], last["uid"]))
    with closing(sqlite3.connect(folder / "checkpoints.sqlite", check_same_thread=False)) as connection:
        saver = SqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        toolbox, policy = Toolbox(streams[last["principal"]]), ThresholdPolicy.under(SETTINGS)
        queue = QueueSink(tmp_path / "elsewhere.jsonl")
        graph = build_graph(toolbox, variants[last["variant"]], policy, queue, saver, settings=SETTINGS)
        graph.update_state({"configurable": {"thread_id": thread}}, {"decision": None}, as_node="decide")
        assert graph.get_state({"configurable": {"thread_id": thread}}).next == ("escalate",)
        queue.close()
    run(folder, names, variants)
    assert (folder / "outcomes.jsonl").read_bytes() == whole
