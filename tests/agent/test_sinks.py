from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.agent import journal
from turncoat.agent.records import Decision, Investigation
from turncoat.agent.sinks import SINKS, CloudSink, QueueSink, SinkOptions, open_sink
from turncoat.models.classifier import Verdict
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

from .servers import Answer, LocalServer

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALERT = Alert("03bb", AT, "Mass\ncopy", Severity.HIGH, "DLP", None, "data", entities=Entities(user="alice"))


def escalated(uid: str = "03bb", variant: str = "clean", principal: str = "alice") -> Investigation:
    decision = Decision("escalate", False, "threshold", "p_malicious 0.900 is at least 0.5", AT)
    verdict = Verdict("malicious", 0.9, 2.2, "f", 80)
    return Investigation(uid, variant, principal, verdict, decision, (Evidence("peers", "alice", "0 of 9", 12.0),), 1)


def queued(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "queue.jsonl").read_text().splitlines()]


def test_the_queue_holds_what_an_analyst_needs(tmp_path: Path) -> None:
    sink = QueueSink(tmp_path / "queue.jsonl")
    sink.send(ALERT, escalated())
    assert queued(tmp_path) == [
        {
            "uid": "03bb", "variant": "clean", "principal": "alice", "time": "2026-03-02T09:00:00+00:00",
            "escalated": "2026-03-02T09:00:00+00:00", "title": "Mass\ncopy", "severity": "high", "product": ALERT.product,
            "technique": ALERT.technique, "activity": ALERT.activity, "entities": {"user": "alice"},
            "raw": dict(ALERT.raw), "forced": False, "reason": "p_malicious 0.900 is at least 0.5", "p_malicious": 0.9,
            "evidence": ["peers: 0 of 9"],
        }
    ]  # fmt: skip
    sink.close()


def test_the_same_uid_under_another_variant_or_principal_is_another_item(tmp_path: Path) -> None:
    sink = QueueSink(tmp_path / "queue.jsonl")
    for row in (escalated(), escalated(variant="poisoned"), escalated(principal="bob")):
        sink.send(ALERT, row)
    assert len(queued(tmp_path)) == 3
    sink.close()


def test_a_torn_last_line_is_cut_off_and_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    sink = QueueSink(path)
    sink.send(ALERT, escalated())
    sink.send(ALERT, escalated(principal="bob"))
    sink.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = QueueSink(path)
    again.send(ALERT, escalated())
    again.send(ALERT, escalated(principal="bob"))
    again.close()
    assert path.read_bytes() == whole


def test_a_queue_of_any_length_is_gone_on_with_and_little_of_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rows = tmp_path / "queue.jsonl", 1_000
    monkeypatch.setattr(journal, "MAX_LINE_BYTES", 1 << 13)
    row = {"variant": "clean", "principal": "alice", "evidence": ["x" * 2_000]}
    path.write_text("".join(json.dumps({"uid": f"u{n}"} | row) + "\n" for n in range(rows)))
    monkeypatch.setattr(journal, "MAX_FILE_BYTES", 1 << 18)
    assert path.stat().st_size > 5 * journal.MAX_FILE_BYTES
    tracemalloc.start()
    sink = QueueSink(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 150 * rows
    assert peak < 400 * rows
    before = path.read_bytes()
    sink.send(ALERT, escalated("u0"))
    sink.send(ALERT, escalated(f"u{rows - 1}"))
    assert path.read_bytes() == before
    sink.send(ALERT, escalated(f"u{rows}"))
    sink.close()
    assert path.stat().st_size > len(before)


def test_a_line_of_a_queue_that_is_longer_than_any_of_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_LINE_BYTES", 100)
    (tmp_path / "queue.jsonl").write_text("x" * 101)
    with pytest.raises(RunError, match=r"queue\.jsonl:1: a line of more than"):
        QueueSink(tmp_path / "queue.jsonl")


@pytest.mark.parametrize("line", ["[]", "{}", '{"uid": 1, "variant": "v", "principal": "p"}', "nonsense", '{"p": NaN}'])
def test_a_queue_that_was_tampered_with_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "queue.jsonl").write_text(line + "\n")
    with pytest.raises(RunError, match=r"queue\.jsonl:1: "):
        QueueSink(tmp_path / "queue.jsonl")


def test_an_unknown_sink_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown sink 'cloud'; known are queue, second-opinion, webhook"):
        open_sink("cloud", tmp_path)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"timeout_s": 0.0}, "timeout_s: 0 is out of range"),
        ({"timeout_s": float("nan")}, "timeout_s: nan is out of range"),
        ({"timeout_s": 601.0}, "timeout_s: 601 is out of range"),
        ({"attempts": 0}, "attempts: 0 is out of range"),
        ({"attempts": 101}, "attempts: 101 is out of range"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        SinkOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["webhook", "second-opinion"])
def test_a_sink_that_leaves_the_machine_needs_a_url_and_makes_no_file_without(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="url: none is given"):
        open_sink(name, tmp_path, SinkOptions(model="judge-1"))
    assert list(tmp_path.iterdir()) == []


OPINION = json.dumps({"answer": "malicious", "confidence": 0.9, "reason": "Nobody copies so much."})
COMPLETION = json.dumps({"choices": [{"message": {"content": OPINION}, "finish_reason": "stop"}]})


@pytest.fixture
def options() -> Iterator[SinkOptions]:
    """A server that is a webhook and a model at once."""
    with LocalServer(lambda asked: Answer(200, COMPLETION.encode())) as server:
        yield SinkOptions(server.url, model="judge-1")


@pytest.mark.parametrize("name", sorted(SINKS))
class TestEverySink:
    def test_fulfils_the_protocol_under_its_own_name(
        self, name: str, tmp_path: Path, options: SinkOptions, request: pytest.FixtureRequest
    ) -> None:
        sink = open_sink(name, tmp_path, options)
        request.addfinalizer(sink.close)
        assert isinstance(sink, CloudSink)
        assert sink.name == name

    def test_delivers_once_even_when_reopened(self, name: str, tmp_path: Path, options: SinkOptions) -> None:
        opened: Callable[[], CloudSink] = lambda: open_sink(name, tmp_path, options)  # noqa: E731
        sink = opened()
        sink.send(ALERT, escalated())
        sink.send(ALERT, escalated())
        sink.close()
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        sink = opened()
        sink.send(ALERT, escalated())
        sink.close()
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    def test_syncing_brings_every_file_that_was_written_to_the_disk(
        self, name: str, tmp_path: Path, options: SinkOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: dict[str, int] = {}
        fsync = os.fsync

        def noted(fd: int) -> None:
            fsync(fd)
            synced[os.readlink(f"/proc/self/fd/{fd}")] = os.fstat(fd).st_size

        sink = open_sink(name, tmp_path, options)
        monkeypatch.setattr(os, "fsync", noted)
        sink.send(ALERT, escalated())
        assert synced == {}  # a run or its resumption waits for no disk
        sink.sync()
        assert synced == {str(path): path.stat().st_size for path in tmp_path.glob("*.jsonl")}
        sink.close()
