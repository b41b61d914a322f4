"""A webhook sink against receivers that take, refuse, fail, lose answers and answer garbage."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from turncoat.agent.sinks import SinkOptions, open_sink
from turncoat.agent.spool import Spool
from turncoat.scenarios.errors import RunError
from turncoat.tools.records import Evidence

from .servers import Answer, Asked, FlakyReceiver, LocalServer, wait_until
from .webhook_calls import ALERT, Open, escalated, left, uids


def test_the_body_is_as_documented_and_carries_its_key(sink: Open, tmp_path: Path) -> None:
    with FlakyReceiver() as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        opened.close()
    ((key, body),) = server.bodies.items()
    assert json.loads(body) == {
        "format": "turncoat.escalation/2", "key": key, "uid": "03bb", "variant": "clean", "principal": "alice",
        "time": "2026-03-02T09:00:00+00:00", "escalated": "2026-03-02T09:00:00+00:00", "title": "Mass copy",
        "severity": "high", "product": ALERT.product, "technique": ALERT.technique, "activity": ALERT.activity,
        "entities": {"user": "alice"}, "raw": dict(ALERT.raw), "forced": False,
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


@pytest.mark.parametrize("status", [400, 413, 422])
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


def test_what_an_expired_token_kept_back_is_delivered_once_there_is_another(sink: Open, tmp_path: Path) -> None:
    token = ["old"]
    with LocalServer(lambda asked: Answer(200 if token[0] == "new" else 401)) as server:
        opened = sink(server)
        opened.send(ALERT, escalated())
        opened.close()
        assert left(tmp_path) == (0, 1, 0)
        token[0] = "new"
        sink(server).close()
    assert left(tmp_path) == (1, 0, 0)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 599])
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
    ("answer", "error", "timeout_s"),
    [
        (Answer(cut_at=4, body=b"thank you"), "the reply was cut off or is not HTTP", 10.0),
        (Answer(raw=b"\x00\xff garbage"), "the reply was cut off or is not HTTP", 10.0),
        (Answer(delay_s=5.0), "no reply within 0.4 s", 0.4),
    ],
)
def test_a_server_that_cuts_stalls_or_answers_garbage_costs_no_alert(
    sink: Open, tmp_path: Path, answer: Answer, error: str, timeout_s: float
) -> None:
    answers = iter([answer, answer])
    with LocalServer(lambda asked: next(answers, Answer(200))) as server:
        opened = sink(server, attempts=2, timeout_s=timeout_s)
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
        for late in (lambda: opened.send(ALERT, escalated("next")), opened.close):
            with pytest.raises(RunError, match=r"spool\.sqlite: delivery stopped \(.*readonly.*\); see to it"):
                late()


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
