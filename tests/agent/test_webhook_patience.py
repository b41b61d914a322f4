"""How long a webhook sink waits, holds back and tries again, while it runs and when it closes."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from turncoat.agent.backoff import Again, Backoff
from turncoat.agent.webhook import WebhookSink

from .servers import Answer, Asked, FlakyReceiver, LocalServer, wait_until
from .webhook_calls import ALERT, Open, escalated, left, uids


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
    assert uids(server) == ["03bb"]


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
    sent = threading.Event()

    def slow(asked: Asked) -> Answer:
        sent.wait(30)  # however long it takes to send them, all are left when the sink closes
        return Answer(delay_s=0.2)

    with LocalServer(slow) as server:
        opened = sink(server, drain_s=0.5, timeout_s=30.0)
        for n in range(50):
            opened.send(ALERT, escalated(str(n)))
        sent.set()
        begun = time.monotonic()
        opened.close()
        assert time.monotonic() - begun < 5.0  # all of them would take ten
    assert 1 <= opened.report.delivered < 50
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


def test_sending_is_held_back_while_a_slow_receiver_takes_alerts(sink: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    taking, queued = threading.Event(), list[int]()

    def held(asked: Asked) -> Answer:
        taking.wait(30)
        return Answer()

    def send(opened: WebhookSink) -> None:
        for n in range(40):
            opened.send(ALERT, escalated(str(n)))
            queued.append(opened.report.queued)

    # No alert waits so long for the disk that the receiver would be taken for stalled.
    monkeypatch.setattr("turncoat.agent.webhook.PATIENCE_S", 30.0)
    with LocalServer(held) as server:
        opened = sink(server, most_queued=5, timeout_s=30.0)
        sender = threading.Thread(target=send, args=(opened,), daemon=True)
        sender.start()
        wait_until(lambda: opened.report.queued > 5)
        time.sleep(0.05)  # in which one that is not held back would go on
        held_back = list(queued)
        taking.set()
        sender.join()
        assert held_back == [1, 2, 3, 4, 5]
        assert len(server.asked) >= 35
        opened.close()
    assert max(queued) == 5


def test_a_receiver_that_stands_still_holds_nobody_up_for_long(
    sink: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turncoat.agent.webhook.PATIENCE_S", 0.3)
    with LocalServer(lambda asked: Answer(delay_s=60.0)) as server:
        opened = sink(server, most_queued=5, timeout_s=60.0, drain_s=0.1)
        begun = time.monotonic()
        for n in range(30):
            opened.send(ALERT, escalated(str(n)))
        assert 0.3 <= time.monotonic() - begun < 6.0  # each of the 25 that are over held up would take 7.5
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
