from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.agent.backoff import Again, Backoff
from turncoat.agent.outbound import Outbound
from turncoat.agent.records import Decision, Investigation
from turncoat.agent.sinks import SinkOptions, open_sink
from turncoat.agent.spool import Spool, read_report
from turncoat.agent.webhook import WebhookSink
from turncoat.models.classifier import Verdict
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

from .servers import Answer, Asked, FlakyReceiver, LocalServer, wait_until

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALERT = Alert("03bb", AT, "Mass copy", Severity.HIGH, "DLP", None, "data", entities=Entities(user="alice"))


def escalated(uid: str = "03bb") -> Investigation:
    decision = Decision("escalate", False, "threshold", "p_malicious 0.900 is at least 0.5", AT)
    verdict = Verdict("malicious", 0.9, 2.2, "f", 80)
    return Investigation(uid, "clean", "alice", verdict, decision, (Evidence("peers", "alice", "0 of 9", 12.0),), 1)


@pytest.fixture
def sink(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., WebhookSink]]:
    """Opens a sink on the test's spool, without waits between tries and with short ones elsewhere."""

    def build(server: LocalServer, **options: object) -> WebhookSink:
        outbound = Outbound(server.url, timeout_s=float(options.pop("timeout_s", 5.0)))  # type: ignore[arg-type]
        given = {"sleep": lambda seconds: None, "rng": random.Random(7), "drain_s": 10.0} | options
        made = WebhookSink(Spool(tmp_path / "spool.sqlite"), outbound, **given)  # type: ignore[arg-type]
        request.addfinalizer(made.close)
        return made

    return build


def left(tmp_path: Path) -> tuple[int, int, int]:
    """(delivered, queued, undeliverable) of the spool on disk."""
    report = read_report(tmp_path / "spool.sqlite")
    assert report is not None
    return report.delivered, report.queued, report.undeliverable


def uids(server: FlakyReceiver) -> list[str]:
    return [json.loads(body)["uid"] for body in server.bodies.values()]


Open = Callable[..., WebhookSink]


def test_the_body_is_as_documented_and_carries_its_key(sink: Open, tmp_path: Path) -> None:
    with FlakyReceiver() as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        opened.close()
    ((key, body),) = server.bodies.items()
    assert json.loads(body) == {
        "format": "turncoat.escalation/1", "key": key, "uid": "03bb", "variant": "clean", "principal": "alice",
        "time": "2026-03-02T09:00:00+00:00", "escalated": "2026-03-02T09:00:00+00:00", "title": "Mass copy",
        "severity": "high", "user": "alice", "host": None, "forced": False,
        "reason": "p_malicious 0.900 is at least 0.5", "p_malicious": 0.9, "evidence": ["peers: 0 of 9"],
    }  # fmt: skip
    with closing(Spool(tmp_path / "spool.sqlite")) as spool:
        assert key == spool.key("03bb", "clean", "alice")


def test_of_a_receiver_that_fails_three_times_in_ten_each_alert_is_taken_once(sink: Open, tmp_path: Path) -> None:
    # It does not know keys, so it would take a second delivery for a second alert.
    with FlakyReceiver(0.3, seed=5, dedupes=False) as server:
        opened = sink(server)
        for n in range(200):
            opened.send(ALERT, escalated(str(n)))
        opened.close()
        assert sorted(uids(server), key=int) == [str(n) for n in range(200)]
        assert set(server.received.values()) == {1}
        assert len(server.asked) > 250
    assert left(tmp_path) == (200, 0, 0)
    assert (opened.report.delivered, opened.report.undelivered) == (200, ())


def test_alerts_arrive_in_the_order_in_which_they_were_sent(sink: Open) -> None:
    with FlakyReceiver(0.3, seed=2) as server:
        opened = sink(server, attempts=50)
        for n in range(40):
            opened.send(ALERT, escalated(str(n)))
        opened.close()
    assert uids(server) == [str(n) for n in range(40)]


def test_a_lost_answer_brings_the_same_body_again_and_409_counts_as_delivered(sink: Open, tmp_path: Path) -> None:
    with FlakyReceiver(loses_answers=0.5, seed=3) as server:
        opened = sink(server)
        for n in range(40):
            opened.send(ALERT, escalated(str(n)))
        opened.close()
    assert len(server.received) == 40
    assert 10 <= len(server.repeats) <= 30
    assert server.changed == set()
    assert left(tmp_path) == (40, 0, 0)


def test_sending_the_same_again_sends_nothing(sink: Open) -> None:
    with FlakyReceiver() as server:
        for _ in range(2):
            opened = sink(server)
            opened.send(ALERT, escalated())
            opened.send(ALERT, escalated())
            opened.close()
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_a_refusal_is_final_kept_and_reported(sink: Open, tmp_path: Path, status: int) -> None:
    with LocalServer(lambda asked: Answer(status if b'"uid":"0"' in asked.body else 200)) as server:
        opened = sink(server)
        opened.send(ALERT, escalated("0"))
        opened.send(ALERT, escalated("1"))
        opened.close()
        assert len(server.asked) == 2
        sink(server).close()
        assert len(server.asked) == 2
    assert left(tmp_path) == (1, 0, 1)
    (kept,) = opened.report.undelivered
    assert (kept.state, kept.attempts, kept.last_error[:12]) == ("undeliverable", 1, f"answered {status}")


@pytest.mark.parametrize("status", [302, 408, 425, 429, 500, 502, 503, 599])
def test_what_may_pass_is_tried_so_often_and_left_queued(sink: Open, tmp_path: Path, status: int) -> None:
    with LocalServer(lambda asked: Answer(status, headers={"Location": "/elsewhere"})) as server:
        opened = sink(server, attempts=3)
        opened.send(ALERT, escalated())
        wait_until(lambda: len(server.asked) == 3)
        time.sleep(0.05)
        assert {asked.path for asked in server.asked} == {"/hook"}
        assert len(server.asked) == 3
        opened.close()
    assert left(tmp_path) == (0, 1, 0)
    assert opened.report.undelivered[0].last_error.startswith(f"answered {status}")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(cut_at=4, body=b"thank you"), "the reply was cut off or is not HTTP"),
        (Answer(raw=b"\x00\xff garbage"), "the reply was cut off or is not HTTP"),
        (Answer(delay_s=5.0), "no reply within 0.2 s"),
    ],
)
def test_a_server_that_cuts_stalls_or_answers_garbage_costs_no_alert(
    sink: Open, tmp_path: Path, answer: Answer, error: str
) -> None:
    answers = iter([answer, answer])
    with LocalServer(lambda asked: next(answers, Answer(200))) as server:
        opened = sink(server, attempts=2, timeout_s=0.2)
        opened.send(ALERT, escalated())
        wait_until(lambda: opened.report.undelivered != () and opened.report.undelivered[0].attempts == 2)
        assert opened.report.undelivered[0].last_error == error
        opened.close()
    assert left(tmp_path) == (1, 0, 0)
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1


def test_a_huge_body_after_a_2xx_is_not_read_to_its_end_and_the_alert_is_delivered(sink: Open, tmp_path: Path) -> None:
    with LocalServer(lambda asked: Answer(200, b"x" * (1 << 23))) as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        opened.close()
        assert len(server.asked) == 1
    assert left(tmp_path) == (1, 0, 0)


def test_what_was_left_is_delivered_first_when_the_receiver_is_back(sink: Open, tmp_path: Path) -> None:
    server = FlakyReceiver()
    server.stop()
    opened = sink(server, attempts=2)
    for n in range(3):
        opened.send(ALERT, escalated(str(n)))
    opened.close()
    assert left(tmp_path) == (0, 3, 0)
    assert opened.report.undelivered[0].last_error == "cannot be connected to"
    server.start()
    opened = sink(server)
    opened.send(ALERT, escalated("new"))
    opened.close()
    server.stop()
    assert uids(server) == ["0", "1", "2", "new"]


def test_what_was_given_up_on_is_tried_again_when_it_is_quiet(sink: Open) -> None:
    server = FlakyReceiver()
    server.stop()
    opened = sink(server, attempts=1, recheck_s=0.1)
    opened.send(ALERT, escalated())
    wait_until(lambda: opened.report.undelivered != () and opened.report.undelivered[0].attempts >= 1)
    server.start()
    wait_until(lambda: len(server.received) == 1)
    server.stop()


def test_closing_tries_once_more_what_was_given_up_on(sink: Open, tmp_path: Path) -> None:
    failing = [True]
    with LocalServer(lambda asked: Answer(503 if failing[0] else 200)) as server:
        opened = sink(server, attempts=1)
        for n in range(9):
            opened.send(ALERT, escalated(str(n)))
        wait_until(lambda: len(server.asked) == 9)
        failing[0] = False
        opened.close()
    assert left(tmp_path) == (9, 0, 0)


def test_closing_ends_by_its_deadline_and_says_what_is_left(sink: Open, tmp_path: Path) -> None:
    with LocalServer(lambda asked: Answer(delay_s=0.2)) as server:
        opened = sink(server, drain_s=0.5)
        for n in range(50):
            opened.send(ALERT, escalated(str(n)))
        begun = time.monotonic()
        opened.close()
        assert time.monotonic() - begun < 3.0
    assert 1 <= opened.report.delivered <= 10
    assert opened.report.delivered + opened.report.queued == 50
    assert left(tmp_path) == (opened.report.delivered, opened.report.queued, 0)


def test_closing_does_not_wait_out_its_deadline_on_a_dead_receiver(sink: Open) -> None:
    server = FlakyReceiver()
    server.stop()
    opened = sink(server, attempts=2, drain_s=60.0)
    for n in range(50):
        opened.send(ALERT, escalated(str(n)))
    begun = time.monotonic()
    opened.close()
    assert time.monotonic() - begun < 5.0
    assert opened.report.queued == 50


def test_sending_is_held_back_while_a_slow_receiver_takes_alerts(sink: Open) -> None:
    with FlakyReceiver(delay_s=0.02) as server:
        opened = sink(server, most_queued=5)
        most = 0
        for n in range(40):
            opened.send(ALERT, escalated(str(n)))
            most = max(most, opened.report.queued)
        assert len(server.received) >= 34
        opened.close()
    assert most == 5


def test_a_receiver_that_stands_still_holds_nobody_up_for_long(
    sink: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turncoat.agent.webhook.PATIENCE_S", 0.3)
    with LocalServer(lambda asked: Answer(delay_s=60.0)) as server:
        opened = sink(server, most_queued=5, timeout_s=60.0, drain_s=0.1)
        begun = time.monotonic()
        for n in range(30):
            opened.send(ALERT, escalated(str(n)))
        assert 0.3 <= time.monotonic() - begun < 2.5
        server._ended.set()
        opened.close()
    assert sum(left(tmp_path)) == 30


def test_waits_double_are_jittered_and_seeded_and_grow_on_from_alert_to_alert() -> None:
    def waits(seed: int) -> list[float]:
        slept: list[float] = []
        backoff = Backoff(4, random.Random(seed), sleep=slept.append)
        for _ in range(2):
            with pytest.raises(Again):
                backoff.call(fail)
        return slept

    def fail() -> None:
        raise Again("down")

    assert waits(1) == waits(1) != waits(2)
    # After failures 1 2 3 of the first call and 5 6 7 of the second; at most 0.02 s * 2^(n-1).
    for wait, most in zip(waits(1), [0.02, 0.04, 0.08, 0.32, 0.64, 1.28], strict=True):
        assert 0.0 <= wait <= most
    assert max(waits(seed)[5] for seed in range(40)) > 0.9


def test_retry_after_is_waited_for(sink: Open) -> None:
    slept: list[float] = []
    answers = iter([Answer(429, headers={"Retry-After": "7"}), Answer(503, headers={"Retry-After": "86400"})])
    with LocalServer(lambda asked: next(answers, Answer())) as server:
        opened = sink(server, sleep=slept.append)
        opened.send(ALERT, escalated())
        opened.close()
    assert slept == [7.0, 60.0]


def test_a_hostile_alert_neither_escapes_its_bounds_nor_keeps_itself_from_being_taken(sink: Open) -> None:
    title = "\0\ud800" + "A" * 5_000_000
    many = replace(escalated(), evidence=tuple(Evidence("peers", "q", "\U0001f600" * 9000, 1.0) for _ in range(500)))
    with FlakyReceiver() as server:
        opened = sink(server)
        opened.send(replace(ALERT, title=title), many)
        opened.close()
    (body,) = server.bodies.values()
    row = json.loads(body)
    assert row["title"] == "\ufffd\ufffd" + "A" * 3997 + "…"
    assert (len(row["evidence"]), len(row["evidence"][0])) == (64, 4000)


def test_a_payload_that_was_tampered_with_is_reported_and_stops_nothing(sink: Open, tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool.sqlite")) as spool:
        spool.put("0" * 64, {"n": 0})
        spool._connection.execute("UPDATE parcels SET payload = 'not JSON'")
    with FlakyReceiver() as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        opened.close()
        assert len(server.asked) == 1
    assert left(tmp_path) == (1, 0, 1)
    assert "changed by hand" in opened.report.undelivered[0].last_error


def test_when_delivery_can_no_longer_be_noted_sending_says_so(sink: Open) -> None:
    gate = threading.Event()

    def wait(asked: Asked) -> Answer:
        gate.wait(5)
        return Answer()

    with LocalServer(wait) as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        wait_until(lambda: len(server.asked) == 1)
        opened._spool._connection.execute("PRAGMA query_only=ON")
        gate.set()
        wait_until(lambda: not opened._worker.is_alive())
        with pytest.raises(RunError, match=r"spool\.sqlite: delivery stopped \(.*readonly.*\); see to it"):
            opened.send(ALERT, escalated("next"))


def test_the_token_is_in_no_file_of_the_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOC_TOKEN", "s3cret-token-of-ours")
    with LocalServer(lambda asked: Answer(400, asked.headers["authorization"].encode())) as server:
        options = SinkOptions(server.url, "SOC_TOKEN")
        opened = open_sink("webhook", tmp_path, options)
        opened.send(ALERT, escalated())
        assert any(tmp_path.glob("spool.sqlite*"))
        opened.close()
        assert server.asked[0].headers["authorization"] == "Bearer s3cret-token-of-ours"
    for file in tmp_path.iterdir():
        assert b"s3cret" not in file.read_bytes()
        assert b"127.0.0.1" not in file.read_bytes()
    assert "127.0.0.1" not in repr(options)


SENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from turncoat.agent.records import Decision, Investigation
from turncoat.agent.sinks import SinkOptions, open_sink
from turncoat.scenarios.records import Alert, Severity
folder, url, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
sink = open_sink("webhook", folder, SinkOptions(url, attempts=50))
for n in range(number):
    alert = Alert(str(n), at, "Mass copy", Severity.HIGH, "DLP", None, "data")
    sink.send(alert, Investigation(str(n), "clean", "alice", None, Decision("escalate", True, "guard", "r", at), (), 1))
    print(n, flush=True)
sink.close()
print("closed", flush=True)
"""


def test_killed_at_random_moments_each_key_still_arrives_exactly_once(tmp_path: Path) -> None:
    """SIGKILL of a real process, before, while and after it sends; the receiver fails too, and loses answers."""
    number, kills, rng = 60, 6, random.Random(11)
    outcome = []
    with FlakyReceiver(0.3, seed=4, delay_s=0.004, loses_answers=0.05) as server:

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", SENDER, str(tmp_path), server.url, str(number)]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        # All are started at once, since most of the time goes into importing; each sends when it is told to.
        children = [start() for _ in range(kills + 1)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        for child in children[:kills]:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.flush()
            wait_until(lambda: (tmp_path / "spool.sqlite").exists())
            time.sleep(rng.uniform(0.0, 0.25))
            os.kill(child.pid, signal.SIGKILL)
            rest, _ = child.communicate(timeout=20)
            outcome.append((child.returncode, len(rest.splitlines()), len(server.received)))
        last = children[-1].communicate(b"go\n", timeout=60)[0]
        assert last.endswith(b"closed\n")
        assert all(code == -signal.SIGKILL for code, _, _ in outcome)
        # In the middle indeed: some had sent, and not everything had arrived.
        assert any(0 < arrived < number for _, _, arrived in outcome), outcome
        assert sorted(uids(server), key=int) == [str(n) for n in range(number)]
        assert set(server.received.values()) == {1}
        assert server.changed == set()
        assert len(server.received) == number
    assert left(tmp_path) == (number, 0, 0)
