"""A triage that goes on and on, as a process of its own: signals, pipes, state folders."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from turncoat.agent.position import StateFolder, Tally
from turncoat.agent.spool import DeliveryReport
from turncoat.console.follow_run import Followed, FollowOrder, _told_to_stop, follow, summary_lines
from turncoat.console.status import StatusLine
from turncoat.scenarios.errors import InputError, RunError

PROGRAM = """\
import sys
from turncoat.console.follow_run import FollowOrder, follow, summary_lines
from turncoat.console.output import progress
from turncoat.console.status import StatusLine
with StatusLine(progress(as_json=True)) as status:
    followed = follow(FollowOrder("-", "jsonl", ["scripted-severity"], ""), status)
for line in summary_lines(followed):
    print(line, file=sys.stderr)
"""


def alert(uid: str, severity: str = "high") -> str:
    return json.dumps({"uid": uid, "time": "2025-01-01T12:00:00Z", "title": "t", "severity": severity}) + "\n"


def follow_and_sum_up(log: Path, state: Path, summary: Path) -> None:
    followed = follow(
        FollowOrder(str(log), "jsonl", ["scripted-severity"], "", str(state), wait_s=0.1), StatusLine(None)
    )
    summary.write_text("\n".join(summary_lines(followed)))


@pytest.fixture
def child(tmp_path: Path) -> Iterator[BaseProcess]:
    """Follows `log` with the state in `state`; ended at last, whatever a test did. Forked, which spares it the imports."""
    process = multiprocessing.get_context("fork").Process(
        target=follow_and_sum_up, args=(tmp_path / "log", tmp_path / "state", tmp_path / "summary")
    )
    yield process
    if process.pid is not None:
        process.kill()
        process.join()


def lines_of(path: Path, number: int, within_s: float = 120.0) -> list[str]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if path.exists() and len(found := path.read_text().splitlines()) >= number:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has not come to {number} lines")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_summary_and_the_next_one_goes_on(
    child: BaseProcess, tmp_path: Path, number: signal.Signals
) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text(alert("a") + alert("b", "low"))
    if number == signal.SIGINT:
        earlier = FollowOrder(str(log), "jsonl", ["scripted-severity"], "", str(state), limit=2, wait_s=0.1)
        assert follow(earlier, StatusLine(None)).here == 2
    child.start()
    with log.open("a") as file:
        file.write(alert("c"))
    lines_of(state / "decisions.jsonl", 3)
    assert child.pid is not None
    os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode == 0
    total = "3 in all: 2 escalated (0 forced, 0 of them unreadable), 1 dismissed, 0 for review"
    assert total in (tmp_path / "summary").read_text()
    assert [json.loads(line)["uid"].split("@")[0] for line in lines_of(state / "queue.jsonl", 2)] == ["a", "c"]


@pytest.fixture
def hang_is_an_error() -> Iterator[None]:
    """A lock that will never be free is waited for in vain, and a test must end nevertheless."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_at_any_moment_of_a_wait_ends_it(hang_is_an_error: None) -> None:
    struck = 0
    for moment in itertools.count():
        lines = itertools.count()

        def strike(
            frame: FrameType, event: str, argument: object, lines: Iterator[int] = lines, moment: int = moment
        ) -> Any:
            if event == "line" and next(lines) == moment:
                signal.raise_signal(signal.SIGTERM)
            return strike

        with _told_to_stop() as stop:
            before = sys.gettrace()
            sys.settrace(strike)
            try:
                stop.wait(0.002)
            finally:
                sys.settrace(before)
            if not stop.is_set():
                break
            struck += 1
    assert struck >= 3


def test_standard_input_is_triaged_to_its_end_and_the_decisions_are_printed() -> None:
    given = alert("a") + "{\n" + alert("b", "low").strip()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0
    actions = [json.loads(line)["decision"]["action"] for line in done.stdout.splitlines()]
    assert actions == ["escalate", "escalate", "dismiss"]
    assert re.search(r"^3 alerts in [0-9.]+ s \([0-9.,]+ a second\)$", done.stderr, re.MULTILINE)


def order(path: Path, state: Path | str = "", **other: str) -> FollowOrder:
    given = {"format": "jsonl", "sink": ""} | other
    return FollowOrder(str(path), given["format"], ["scripted-severity"], "", str(state), given["sink"])


def test_mistakes_name_the_cure_before_anything_is_loaded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    os.mkfifo(tmp_path / "pipe")
    for wrong, fault in (
        (order(log, sink="queue"), r"--sink: needs a folder that remembers what was sent; name one with --state"),
        (order(log, format="panther"), r"cannot be followed; choose one of jsonl, ocsf"),
        (order(tmp_path / "absent"), r"absent: no such file"),
        (order(tmp_path / "pipe", tmp_path / "state"), r"pipe: no regular file; give the file itself, or -"),
        (order(log, tmp_path / "state2", sink="carrier-pigeon"), r"unknown sink 'carrier-pigeon'; known are queue"),
    ):
        with pytest.raises(InputError, match=fault):
            follow(wrong, StatusLine(None))


def test_a_state_folder_in_use_or_of_another_file_is_refused(tmp_path: Path) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text(alert("a"))
    with StateFolder.open(state, f"jsonl {log}"), pytest.raises(RunError, match="another process uses this folder"):
        follow(order(log, state), StatusLine(None))
    follow(FollowOrder(str(log), "jsonl", ["scripted-severity"], "", str(state), limit=1), StatusLine(None))
    (tmp_path / "other").write_text("")
    with pytest.raises(RunError, match=r"belongs to jsonl .*log, not to jsonl .*other; name another --state"):
        follow(order(tmp_path / "other", state), StatusLine(None))


def test_signals_mean_what_they_meant_before_once_it_has_ended(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    log = tmp_path / "log"
    log.write_text(alert("a"))
    follow(
        FollowOrder(str(log), "jsonl", ["scripted-severity"], "", str(tmp_path / "state"), limit=1), StatusLine(None)
    )
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_summary_counts_this_process_and_all_together() -> None:
    tally = Tally(lines=1200, unreadable=2, escalated=30, forced=5, dismissed=1168, reviewed=2)
    followed = Followed(tally, 200, 40.0, DeliveryReport(29, 1, 0), "here")
    assert list(summary_lines(followed)) == [
        "200 alerts in 40.0 s (5.0 a second)",
        "1,200 in all: 30 escalated (5 forced, 2 of them unreadable), 1,168 dismissed, 2 for review",
        "sent: 29 delivered, 1 waiting, 0 refused",
        "State: here (started again with the same --state, it goes on from here)",
    ]


def test_a_closed_standard_input_is_a_mistake(tmp_path: Path) -> None:
    program = "import sys; sys.stdin = None; from turncoat.console.cli import main; main()"
    command = [sys.executable, "-c", program, "triage", "-", "--format", "jsonl", "--variant", "scripted-severity"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input is closed" in done.stderr
