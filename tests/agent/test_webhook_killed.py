"""Processes that send to a webhook and are killed."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from .servers import FlakyReceiver, wait_until
from .webhook_calls import left, uids

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
sys.stdin.readline()  # stays to be killed, however quick it was
"""


def test_killed_at_random_moments_each_key_still_arrives_exactly_once(tmp_path: Path) -> None:
    """SIGKILL of a real process, before, while and after it sends; the receiver fails too, and loses answers."""
    number, kills, rng = 60, 6, random.Random(11)
    outcome = []
    with FlakyReceiver(0.3, seed=4, delay_s=0.004, loses_answers=0.05) as server:

        def arrived(count: int) -> bool:
            return (tmp_path / "spool.sqlite").exists() and len(server.received) >= count

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", SENDER, str(tmp_path), server.url, str(number)]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        # All are started at once, since most of the time goes into importing; each sends when it is told to.
        children = [start() for _ in range(kills + 1)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        # By what has arrived, not by the clock: a quick machine is killed in the middle as well as a slow one.
        targets = sorted(rng.sample(range(1, number - 10), kills))
        for child, target in zip(children, targets, strict=False):
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.flush()
            wait_until(functools.partial(arrived, target), timeout_s=60)
            time.sleep(rng.uniform(0.0, 0.02))
            os.kill(child.pid, signal.SIGKILL)
            rest, _ = child.communicate(timeout=20)
            outcome.append((child.returncode, len(rest.splitlines()), len(server.received)))
        last = children[-1].communicate(b"go\n", timeout=60)[0]
        assert last.endswith(b"closed\n")
        assert all(code == -signal.SIGKILL for code, _, _ in outcome)
        # In the middle indeed: some had sent, and not everything had arrived.
        assert any(0 < done < number for _, _, done in outcome), outcome
        assert sorted(uids(server), key=int) == [str(n) for n in range(number)]
        assert set(server.received.values()) == {1}
        assert server.changed == set()
        assert len(server.received) == number
    assert left(tmp_path) == (number, 0, 0)
