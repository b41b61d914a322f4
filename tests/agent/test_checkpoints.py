"""The saver under the graph: what happens when it is closed while one of the graph's threads still saves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from turncoat.agent.checkpoints import open_checkpoints
from turncoat.scenarios.errors import RunError

SAVES_WHILE_IT_IS_CLOSED = """
import sqlite3, sys, threading, time
from pathlib import Path
from langgraph.checkpoint.base import empty_checkpoint
from turncoat.agent.checkpoints import open_checkpoints

for attempt in range(40):
    saved = []
    with open_checkpoints(Path(sys.argv[1]) / f"{attempt}.sqlite") as saver:
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

        def save():
            try:
                while len(saved) < 5000:
                    saver.put(config, empty_checkpoint(), {}, {})
                    saved.append(None)
            except sqlite3.ProgrammingError:  # closed: a save that came too late
                pass

        thread = threading.Thread(target=save)
        thread.start()
        while not saved:
            time.sleep(attempt / 40_000)
    assert len(saved) < 5000, "the thread was done before the saver was closed"
    thread.join()
print("whole")
"""

INTERRUPTED_WHILE_IT_WAITS = """
import signal, sys, threading
from pathlib import Path
from turncoat.agent.checkpoints import open_checkpoints

inside, broken_off = threading.Event(), threading.Event()

def hold():
    inside.set()
    threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    return broken_off.wait(3.0)

def save():
    with saver.lock:
        saver.conn.execute("SELECT hold()").fetchall()
        print("saved" if saver.conn.execute("SELECT 1").fetchall() else "lost")

try:
    with open_checkpoints(Path(sys.argv[1]) / "checkpoints.sqlite") as saver:
        saver.conn.create_function("hold", 0, hold)
        thread = threading.Thread(target=save)
        thread.start()
        inside.wait()
except KeyboardInterrupt:
    broken_off.set()
    thread.join()
"""


@pytest.mark.parametrize(
    "made",
    [
        "CREATE VIEW checkpoints AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "CREATE TABLE writes (a); CREATE TRIGGER t AFTER INSERT ON writes BEGIN SELECT 1; END",
        "CREATE TABLE elsewhere (a)",
    ],
)
def test_a_file_of_another_making_is_refused_before_it_is_asked_anything(tmp_path: Path, made: str) -> None:
    path = tmp_path / "checkpoints.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(made)
    with (
        pytest.raises(RunError, match="not the checkpoints of a run; was the file changed by hand"),
        open_checkpoints(path),
    ):
        pass


def test_closing_waits_for_a_save_of_another_thread(tmp_path: Path) -> None:
    """In a process of its own: SQLite's answer to a close in the middle of a statement is a segmentation fault."""
    program = (sys.executable, "-c", SAVES_WHILE_IT_IS_CLOSED, str(tmp_path))
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "whole\n", "")


def test_a_second_ctrl_c_does_not_close_under_a_save_either(tmp_path: Path) -> None:
    program = (sys.executable, "-c", INTERRUPTED_WHILE_IT_WAITS, str(tmp_path))
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "saved\n", "")
