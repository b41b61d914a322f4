"""Triage that goes on and on: killed at any moment, it decides and delivers everything, and nothing twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.position import StateFolder, Tally
from turncoat.agent.records import Settings
from turncoat.agent.sinks import QueueSink
from turncoat.agent.triage import triage
from turncoat.agent.triage_stream import triage_stream
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.formats import read_alerts
from turncoat.scenarios.formats.stream import StreamReader

from .followed_lines import HASH, SEVERITY, Breaking, alert_line, mixed, rows, run
from .servers import wait_until

FORK = multiprocessing.get_context("fork")


def test_a_followed_file_is_decided_as_a_read_one_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(alert_line(f"u{n}", title=f"title {n}") for n in range(20)) + "{]\n\n" + alert_line("last"))
    once = [
        (one.decision, one.verdict and one.verdict.p_malicious) for one in triage(list(read_alerts(log, "jsonl")), HASH)
    ]
    found = run(log, tmp_path / "state", Breaking(-1))
    assert [row["decision"] for row in found] == [
        {"action": d.action, "forced": d.forced, "policy": d.policy, "reason": d.reason,
         "simulated_time": d.simulated_time.isoformat()}
        for d, _ in once
    ]  # fmt: skip
    assert [row["verdict"] and row["verdict"]["p_malicious"] for row in found] == [p for _, p in once]
    assert {row["decision"]["action"] for row in found} == {"escalate", "dismiss"}


def test_a_uid_that_comes_again_is_another_alert(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(alert_line("same") * 2 + alert_line("same", "low") + alert_line("same", title="other"))
    sink = QueueSink(tmp_path / "queue.jsonl")
    found = run(log, tmp_path / "state", sink, SEVERITY)
    assert [(row["uid"], row["decision"]["action"]) for row in found] == [
        ("same", action) for action in ("escalate", "escalate", "dismiss", "escalate")
    ]
    queued = [row["uid"] for row in rows(tmp_path / "queue.jsonl")]
    assert queued == [row["key"] for row in found if row["decision"]["action"] == "escalate"]
    assert len(set(queued)) == 3
    assert all(uid.startswith("same@0.") for uid in queued)


def test_what_cannot_be_read_is_sent_up_with_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"uid": \xff nonsense\n')
    queue = tmp_path / "queue.jsonl"
    (row,) = run(log, tmp_path / "state", QueueSink(queue))
    assert (row["decision"]["action"], row["decision"]["forced"], row["uid"]) == ("escalate", True, None)
    (queued,) = rows(queue)
    assert (queued["uid"], queued["title"], queued["forced"]) == (row["key"], "A line that could not be read", True)


def test_every_variant_decides_and_the_first_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(alert_line("a") + alert_line("b", "low") + "{\n")
    found = run(log, tmp_path / "state", Breaking(-1), SEVERITY | {"blind": ScriptedClassifier(lambda case: 0.1)})
    assert [(row["variant"], row["decision"]["action"]) for row in found] == [
        ("severity", "escalate"), ("blind", "dismiss"), ("severity", "dismiss"), ("blind", "dismiss"),
        ("severity", "escalate"), ("blind", "escalate"),
    ]  # fmt: skip
    with StateFolder.open(tmp_path / "state", "log") as folder:
        assert folder.tally == Tally(lines=3, unreadable=1, escalated=2, forced=1, dismissed=1, reviewed=0)


class Slow(Breaking):
    """A sink whose disk is slow: what it was sent is safe only once it was told to wait for it."""

    def __init__(self, state: Path) -> None:
        super().__init__(-1)
        self._position = state / "position.json"
        self.safe: list[tuple[int, int]] = []

    def sync(self) -> None:
        """Notes how many are safe now, and from which byte on a process that is started now would decide."""
        self.safe.append((len(self.sent), json.loads(self._position.read_text())["spot"]["offset"]))


def test_no_position_is_written_before_the_sink_has_what_was_sent_on_its_disk(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(alert_line(f"u{n}") for n in range(5)))
    sink, length = Slow(tmp_path / "state"), len(alert_line("u0"))
    run(log, tmp_path / "state", sink, SEVERITY, limit=5, batch=2)
    assert sink.safe == [(2, 0), (4, 2 * length), (5, 4 * length)]


@pytest.mark.parametrize("takes", [0, 1, 4, 9])
def test_a_sink_that_breaks_ends_it_and_started_again_it_misses_nothing(tmp_path: Path, takes: int) -> None:
    log = tmp_path / "log"
    log.write_text("".join(alert_line(f"u{n}") for n in range(12)))
    broken = Breaking(takes)
    with pytest.raises(OSError, match="dead"):
        run(log, tmp_path / "state", broken, SEVERITY)
    mended = QueueSink(tmp_path / "queue.jsonl")
    run(log, tmp_path / "state", mended, SEVERITY, batch=3)
    decided = rows(tmp_path / "state" / "decisions.jsonl")
    assert [row["source"]["offset"] for row in decided] == sorted({row["source"]["offset"] for row in decided})
    assert [row["uid"] for row in decided] == [f"u{n}" for n in range(12)]
    sent = [one.uid for one in broken.sent] + [row["uid"] for row in rows(tmp_path / "queue.jsonl")]
    assert list(dict.fromkeys(sent)) == [row["key"] for row in decided]


def test_a_decision_beyond_the_position_stands_and_is_sent_again(tmp_path: Path) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text(alert_line("a") + alert_line("b"))
    before = run(log, state, Breaking(-1), SEVERITY, limit=2)
    position = json.loads((state / "position.json").read_text())
    beginning = {
        **position["spot"],
        "offset": 0,
        "mark": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    (state / "position.json").write_text(json.dumps(position | {"spot": beginning, "decisions_bytes": 0}))
    with (state / "decisions.jsonl").open("a") as file:
        file.write('{"key": "torn')
    sink = Breaking(-1)
    after = run(log, state, sink, {"severity": ScriptedClassifier(lambda case: 0.1)}, limit=2)
    assert after == before
    assert [one.uid for one in sink.sent] == [row["key"] for row in before]
    assert rows(state / "decisions.jsonl") == before


def test_batches_smaller_than_what_a_killed_process_had_done_forget_none_of_it(tmp_path: Path) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text("".join(alert_line(f"u{n}") for n in range(6)))
    with pytest.raises(OSError, match="dead"):
        run(log, state, Breaking(5), SEVERITY)
    for _ in range(6):  # a process for each line
        run(log, state, Breaking(-1), SEVERITY, limit=1, batch=1)
    assert [row["uid"] for row in rows(state / "decisions.jsonl")] == [f"u{n}" for n in range(6)]


def _followed_by_a_child(log: Path, state: Path) -> None:
    run(log, state, QueueSink(state.parent / "queue.jsonl"), HASH, limit=10_000)


def test_killed_at_random_moments_it_ends_with_the_decisions_of_an_undisturbed_run(tmp_path: Path) -> None:
    rng = random.Random(11)
    log, calm = tmp_path / "log", tmp_path / "calm"
    calm.mkdir()
    calm_log = calm / "log"
    text = [mixed(n) for n in range(400)]
    calm_log.write_text("".join(text))
    undisturbed = run(calm_log, calm / "state", QueueSink(calm / "queue.jsonl"), limit=400)

    written, kills = 0, 0
    decisions = tmp_path / "state" / "decisions.jsonl"

    def decided() -> int:
        return decisions.read_bytes().count(b"\n") if decisions.exists() else 0

    # By how much was decided, not by the clock: a quick machine is killed in the middle as well as a slow one.
    while (target := decided() + rng.randint(10, 90)) < len(text):
        with log.open("a") as file:
            file.writelines(text[written : target + 20])
        written = max(written, target + 20)
        child = FORK.Process(target=_followed_by_a_child, args=(log, tmp_path / "state"))
        child.start()
        wait_until(lambda least=target: decided() >= least, timeout_s=60)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.01))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        kills += 1
    with log.open("a") as file:
        file.writelines(text[written:])
    run(log, tmp_path / "state", QueueSink(tmp_path / "queue.jsonl"))
    assert kills >= 3
    found = rows(decisions)
    assert [json.dumps(row).replace(str(log), str(calm_log)) for row in found] == [
        json.dumps(row) for row in undisturbed
    ]
    sent = (tmp_path / "queue.jsonl").read_text()
    assert sent.replace(str(log), str(calm_log)) == (calm / "queue.jsonl").read_text()
    assert sent.count("\n") == sum(row["decision"]["action"] == "escalate" for row in found)


def test_what_was_taken_from_a_pipe_and_not_decided_is_decided_after_a_restart(tmp_path: Path) -> None:
    def stream(text: bytes, sink: Breaking) -> list[Any]:
        read, write = os.pipe()
        os.write(write, text)
        os.close(write)
        with StateFolder.open(tmp_path / "state", "log") as folder:
            leftover = folder.pending.leftover(folder.spot) if folder.spot else b""
            source = StreamReader(read, "pipe", folder.spot, leftover, folder.pending.keep)
            folder.pending.begin(source.spot, leftover)
            try:
                return list(triage_stream(source, "jsonl", SEVERITY, Settings(), sink, folder, batch=2, wait_s=0.0))
            finally:
                os.close(read)

    with pytest.raises(OSError, match="dead"):
        stream("".join(alert_line(f"u{n}") for n in range(5)).encode() + b'{"cut', Breaking(3))
    stream(alert_line("new").encode(), sink := Breaking(-1))
    decided = rows(tmp_path / "state" / "decisions.jsonl")
    assert [row["uid"] for row in decided] == ["u0", "u1", "u2", "u3", "u4", None, "new"]
    assert [row["source"]["generation"] for row in decided] == [0, 0, 0, 0, 0, 0, 1]
    assert [one.uid.split("@")[0] for one in sink.sent] == ["u2", "u3", "u4", "unreadable", "new"]
