"""The terminal exercise is killed in the middle, in a real terminal, and goes on where it was."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from turncoat.agent.exercise.engine import Exercise

from ..agent.exercise.small_exercise import prepared
from .desk_play import Player, play

CHILD = """\
import sys
from pathlib import Path
from turncoat.agent.exercise.engine import Exercise
from turncoat.console.tabletop.terminal import run_terminal
run_terminal(Exercise.open(Path(sys.argv[1])), speed=600)
"""


def test_a_killed_exercise_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "exercise")
    with Terminal([sys.executable, "-c", CHILD, str(folder)]) as terminal:
        terminal.keys_until(folder / "events.jsonl", '"joined"', "")
        terminal.keys_until(folder / "events.jsonl", '"started"', "\r")
        terminal.keys_until(folder / "events.jsonl", '"handed"', "n\x1b")
        terminal.keys_until(folder / "events.jsonl", '"open"', "\r")
    with Exercise.open(folder) as exercise:
        before = exercise.now

        async def script(player: Player) -> None:
            assert "Welcome back" in player.seen()
            await player.press("enter")
            await player.let_pass(0)
            assert exercise.now == before
            assert any(alert.opened for alert in player.desk.view.alerts)

        play(exercise, script)


class Terminal:
    """A pseudo-terminal of 80 by 24 with a program in it, which is killed at the end."""

    def __init__(self, command: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        env: Mapping[str, str] = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)
        threading.Thread(target=self._drain, daemon=True).start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def keys_until(self, log: Path, words: str, keys: str) -> None:
        """Presses the keys, again every half second, until the log holds the words."""
        until = time.monotonic() + 120
        while words not in (log.read_text() if log.exists() else ""):
            assert self._process.poll() is None, "the program ended by itself"
            assert time.monotonic() < until, f"{words} never happened"
            os.write(self._ours, keys.encode())
            time.sleep(0.5)

    def _drain(self) -> None:
        try:
            while os.read(self._ours, 65_536):
                pass
        except OSError:
            pass
