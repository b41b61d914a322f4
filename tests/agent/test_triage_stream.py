"""Triage that goes on and on: killed at any moment, it decides and delivers everything, and nothing twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.pending import Pending
from turncoat.agent.position import StateFolder, Tally
from turncoat.agent.recent import RecentVerdicts
from turncoat.agent.records import Investigation, Settings
from turncoat.agent.sinks import CloudSink, QueueSink
from turncoat.agent.triage import triage
from turncoat.agent.triage_stream import triage_stream
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.formats import read_alerts
from turncoat.scenarios.formats.follow import FileFollower
from turncoat.scenarios.formats.splitting import Spot
from turncoat.scenarios.formats.stream import StreamReader
from turncoat.scenarios.records import Alert, Severity
from turncoat.tools.records import Context

HASH = {"hash": ScriptedClassifier("scripted-hash")}
SEVERITY = {"severity": ScriptedClassifier("scripted-severity")}
FORK = multiprocessing.get_context("fork")


def alert_line(uid: str, severity: str = "high", title: str = "t") -> str:
    return json.dumps({"uid": uid, "time": "2025-01-01T12:00:00Z", "title": title, "severity": severity}) + "\n"


def mixed(number: int) -> str:
    """A line of all sorts; every seventh cannot be read, and uids come again and again."""
    return '{"broken\n' if number % 7 == 3 else alert_line(f"u{number % 5}", title=f"title {number % 40}")


class Breaking:
    """A sink that fails once, after it took so many."""

    name = "breaking"

    def __init__(self, takes: int) -> None:
        self.left = takes
        self.sent: list[Investigation] = []

    def send(self, alert: Alert, investigation: Investigation) -> None:
        assert alert.uid == investigation.uid
        if self.left == 0:
            raise OSError("the line is dead")
        self.left -= 1
        self.sent.append(investigation)

    def close(self) -> None: ...


def idle(seconds: float) -> threading.Event:
    """Set after so long: what lies ready is triaged, and then it is over."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    return stop


def run(
    path: Path,
    state: Path,
    sink: CloudSink,
    variants: Mapping[str, AlertClassifier] = HASH,
    *,
    limit: int = 0,
    batch: int = 8,
) -> list[Any]:
    with StateFolder.open(state, "log") as folder, closing(FileFollower(path, folder.spot, poll_s=0.01)) as source:
        found = triage_stream(
            source, "jsonl", variants, Settings(), sink, folder, batch=batch, wait_s=0.0, limit=limit,
            stop=None if limit else idle(0.3),
        )  # fmt: skip
        return [json.loads(json.dumps(row)) for row in found]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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

    log.write_text("".join(text[:100]))
    written, kills = 100, 0
    decisions = tmp_path / "state" / "decisions.jsonl"
    while not decisions.exists() or decisions.read_bytes().count(b"\n") < 400:
        child = FORK.Process(target=_followed_by_a_child, args=(log, tmp_path / "state"))
        child.start()
        until = time.monotonic() + rng.uniform(0.05, 0.5)
        while time.monotonic() < until:
            with log.open("a") as file:
                for line in text[written : written + 10]:
                    file.write(line)
            written = min(400, written + 10)
            time.sleep(0.01)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        kills += 1
        assert kills < 100
    run(log, tmp_path / "state", QueueSink(tmp_path / "queue.jsonl"))
    assert kills >= 3
    found = rows(decisions)
    assert [json.dumps(row).replace(str(log), str(calm_log)) for row in found] == [
        json.dumps(row) for row in undisturbed
    ]
    assert rows(tmp_path / "queue.jsonl") == rows(calm / "queue.jsonl")
    assert len(rows(tmp_path / "queue.jsonl")) == sum(row["decision"]["action"] == "escalate" for row in found)


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


def test_the_kept_part_of_a_stream_lets_go_of_what_is_decided(tmp_path: Path) -> None:
    pending = Pending(tmp_path / "pending.bin")
    pending.begin(Spot(), b"")
    pending.keep(b"x" * (2 << 20) + b"rest")
    pending.pass_over(Spot(offset=2 << 20))
    assert (tmp_path / "pending.bin").stat().st_size < 100
    assert Pending(tmp_path / "pending.bin").leftover(Spot(offset=2 << 20)) == b"rest"
    assert Pending(tmp_path / "pending.bin").leftover(Spot(1, 0)) == b""
    pending.close()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a JSON object"),
        (b"[]\nrest", "holds a list"),
        (b'{"generation": 0, "offset": -5}\nrest', "not written by turncoat"),
        (b'{"generation": "0", "offset": 0}\nrest', "not written by turncoat"),
        (None, "a link, or no regular file"),
    ],
)
def test_what_a_stranger_put_in_place_of_a_streams_rest_is_refused(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    path = tmp_path / "pending.bin"
    if content is None:
        path.symlink_to(tmp_path / "victim")
    else:
        path.write_bytes(content)
    with pytest.raises(RunError, match=fault):
        Pending(path).leftover(Spot())


def test_two_processes_on_one_state_folder_are_refused(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path / "state", "log"), pytest.raises(RunError, match="another process uses this folder"):
        StateFolder.open(tmp_path / "state", "log")
    StateFolder.open(tmp_path / "state", "log").close()


GOOD_POSITION: dict[str, Any] = {
    "format": 1, "source": "log", "decisions_bytes": 0,
    "spot": {"generation": 0, "offset": 0, "skipping": False, "device": 1, "inode": 2, "mark": ""},
    "tally": {"lines": 0, "unreadable": 0, "escalated": 0, "forced": 0, "dismissed": 0, "reviewed": 0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("position.json", "{", "not a JSON object"),
        ("position.json", "[" * 60_000, "not a JSON object"),
        ("position.json", " " * 70_000, "larger than 64 KiB"),
        ("position.json", json.dumps(GOOD_POSITION | {"source": "other"}), "belongs to other, not to log"),
        ("position.json", json.dumps(GOOD_POSITION | {"decisions_bytes": 5}), "shorter than position.json says"),
        ("position.json", json.dumps(GOOD_POSITION | {"decisions_bytes": -1}), "decisions_bytes: .* greater than"),
        ("position.json", json.dumps(GOOD_POSITION | {"spot": GOOD_POSITION["spot"] | {"offset": True}}), "spot.offset: "),
        ("position.json", json.dumps(GOOD_POSITION | {"spot": GOOD_POSITION["spot"] | {"mark": "../"}}), "spot.mark: "),
        ("position.json", json.dumps(GOOD_POSITION | {"more": 1}), "more: "),
        ("decisions.jsonl", "[]\n", "byte 0: holds a list"),
        ("decisions.jsonl", '{"variant": "hash", "source": {"generation": 0, "offset": "0", "digest": ""}}\n', "no variant"),
        ("decisions.jsonl", '{"variant": "hash", "source": 3}\n', "names no variant and source"),
    ],
)  # fmt: skip
def test_a_state_folder_of_somebody_elses_making_is_refused(
    tmp_path: Path, name: str, content: str, fault: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=fault):
        StateFolder.open(tmp_path, "log")
    (tmp_path / name).unlink()
    StateFolder.open(tmp_path, "log").close()  # and the lock was given back


def test_a_forged_decision_is_refused_and_not_believed(tmp_path: Path) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text(alert_line("a"))
    (row,) = run(log, tmp_path / "calm", Breaking(-1), SEVERITY)
    state.mkdir()
    dismissed = row | {"verdict": None, "decision": row["decision"] | {"action": "dismiss"}}
    (state / "decisions.jsonl").write_text(json.dumps(dismissed) + "\n")
    with pytest.raises(RunError, match="no verdict, yet the decision is not forced"):
        run(log, state, Breaking(-1), SEVERITY)


@pytest.mark.parametrize("name", ["lock", "position.json", "decisions.jsonl"])
def test_nothing_is_written_through_a_link_and_no_pipe_is_waited_for(tmp_path: Path, name: str) -> None:
    victim, state = tmp_path / "victim", tmp_path / "state"
    state.mkdir()
    victim.write_text("precious")
    (state / name).symlink_to(victim)
    with pytest.raises(RunError, match="a link, or no regular file"):
        StateFolder.open(state, "log")
    (state / name).unlink()
    os.mkfifo(state / name)
    with pytest.raises(RunError, match="a link, or no regular file"):
        StateFolder.open(state, "log")
    assert victim.read_text() == "precious"


def test_a_link_laid_where_the_position_is_made_is_replaced(tmp_path: Path) -> None:
    log, state, victim = tmp_path / "log", tmp_path / "state", tmp_path / "victim"
    log.write_text(alert_line("a"))
    state.mkdir()
    victim.write_text("precious")
    (state / ".position.json.part").symlink_to(victim)
    run(log, state, Breaking(-1), SEVERITY, limit=1)
    assert victim.read_text() == "precious"
    assert not (state / "position.json").is_symlink()


class Counting:
    """Counts what it is asked; knows nothing about titles that say so."""

    fingerprint = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        self.asked += [case.alert.title for case in cases]
        return [
            None if case.alert.title == "unknown" else Verdict("benign", 0.1, -2.0, self.fingerprint, 0)
            for case in cases
        ]


def case(uid: str, title: str) -> Case:
    return Case(Alert(uid, datetime(2025, 1, 1, tzinfo=UTC), title, Severity.LOW, "P", None, "external"), Context())


def test_a_content_is_judged_once_while_it_is_recent() -> None:
    counting = Counting()
    recent = RecentVerdicts({"c": counting}, most=2)["c"]
    assert len(recent.classify([case("1", "a"), case("2", "a"), case("3", "b")])) == 3
    recent.classify([case("4", "a")])
    assert counting.asked == ["a", "b"]
    recent.classify([case("5", "c")])  # in place of b, which is unused for longest
    recent.classify([case("6", "a"), case("7", "b")])
    assert counting.asked == ["a", "b", "c", "b"]


def test_that_there_was_no_verdict_is_not_remembered() -> None:
    counting = Counting()
    recent = RecentVerdicts({"c": counting})["c"]
    assert recent.classify([case("1", "unknown")]) == recent.classify([case("1", "unknown")]) == [None]
    assert counting.asked == ["unknown", "unknown"]


class Short:
    """Answers less than it was asked."""

    fingerprint = "short"

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        return [Verdict("benign", 0.1, -2.0, "short", 0)] * (len(cases) - 1)


def test_a_classifier_that_answers_too_little_has_said_nothing() -> None:
    recent = RecentVerdicts({"s": Short()})["s"]
    assert recent.classify([case("1", "a"), case("2", "b")]) == [None, None]


class Warming(dict[str, AlertClassifier]):
    """Notes what it is asked to compute together, and whether it may forget."""

    def __init__(self) -> None:
        super().__init__(c=Counting())
        self.warmed: list[list[str]] = []
        self.forgot = 0

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        self.warmed.append([case.alert.title for _, case in requests])

    def forget(self) -> None:
        self.forgot += 1


@pytest.fixture
def warming() -> Warming:
    return Warming()


def test_only_new_contents_are_computed_and_what_was_computed_is_let_go(tmp_path: Path, warming: Warming) -> None:
    log = tmp_path / "log"
    log.write_text("".join(alert_line(str(n), title=title) for n, title in enumerate("aabbac")))
    run(log, tmp_path / "state", Breaking(-1), warming, batch=3)
    assert warming.warmed == [["a", "a", "b"], ["c"]]
    assert warming.forgot == 2
