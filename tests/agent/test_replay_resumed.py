"""A replay that was killed, torn or tampered with, and is started again."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.graph import build_graph
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Event
from turncoat.agent.replay import replay
from turncoat.agent.sinks import QueueSink
from turncoat.agent.studio import demo_stream
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream
from turncoat.tools.toolbox import Toolbox

from .replays import SETTINGS, Batching, StreamOf, contents, run


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


def _values(database: sqlite3.Connection) -> tuple[tuple[str, str, str], dict[str, Any]]:
    """The key of the last investigation's checkpoint, and what it holds."""
    thread, one, kind, blob = database.execute(
        "SELECT thread_id, checkpoint_id, type, checkpoint FROM checkpoints ORDER BY rowid DESC LIMIT 1"
    ).fetchone()
    return (thread, one, kind), JsonPlusSerializer().loads_typed((kind, blob))


FORGED: dict[str, dict[str, object]] = {
    "a dismissal without a verdict": {"verdict": None},
    "an action made up": {"decision": {"action": "nonsense"}},
    "no time zone": {"decision": {"simulated_time": "2026-03-02T11:00:00"}},
    "a time far off": {"decision": {"simulated_time": "9999-12-31T23:59:59-14:00"}},
    "another variant": {"variant": "ghost"},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_state_is_investigated_anew(tmp_path: Path, streams: dict[str, AlertStream], name: str) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite", isolation_level=None)) as database:
        (thread, one, _), checkpoint = _values(database)
        held = checkpoint["channel_values"]
        for key, value in FORGED[name].items():
            held[key] = {**held[key], **value} if isinstance(value, dict) else value
        if name == "a dismissal without a verdict":
            held["decision"] = {**held["decision"], "action": "dismiss", "forced": False}
        kind, blob = JsonPlusSerializer().dumps_typed(checkpoint)
        database.execute("UPDATE checkpoints SET type = ?, checkpoint = ? WHERE thread_id = ? AND checkpoint_id = ?",
                         (kind, blob, thread, one))  # fmt: skip
    _without(tmp_path, thread)
    run(tmp_path, streams, Batching())
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("kind", "blob"), [("msgpack", b"\xc1\xff"), ("json", b"{}"), ("pickle", b"x"), ("odd", b"")])
def test_bytes_that_are_no_state_are_not_read(
    tmp_path: Path, streams: dict[str, AlertStream], kind: str, blob: bytes
) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite", isolation_level=None)) as database:
        (thread, one, _), _ = _values(database)
        database.execute("UPDATE checkpoints SET type = ?, checkpoint = ? WHERE thread_id = ? AND checkpoint_id = ?",
                         (kind, blob, thread, one))  # fmt: skip
    _without(tmp_path, thread)
    run(tmp_path, streams, Batching())
    assert contents(tmp_path) == before


def test_a_checkpoint_before_the_first_row_is_not_read_either(tmp_path: Path, streams: dict[str, AlertStream]) -> None:
    run(tmp_path, streams, Batching())
    before = contents(tmp_path)
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE checkpoints SET type = 'json', checkpoint = ?", (b"{}",))
    for name in ("outcomes.jsonl", "queue.jsonl", "timings.jsonl"):
        (tmp_path / name).write_text("")
    run(tmp_path, streams, Batching())
    assert contents(tmp_path) == before


def _without(folder: Path, thread: str) -> None:
    """Takes the row of an investigation out of the folder, and all that came after it."""
    variant, principal, uid = thread.split("/")
    lines = (folder / "outcomes.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    mine = [(row["variant"], row["principal"], row["uid"]) for row in rows].index((variant, principal, uid))
    (folder / "outcomes.jsonl").write_text("".join(lines[:mine]))


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
