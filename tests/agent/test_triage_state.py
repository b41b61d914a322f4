"""The folder in which a triage remembers where it was, as it is and as somebody else has made it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.pending import Pending
from turncoat.agent.position import StateFolder
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.formats.splitting import Spot

from .followed_lines import SEVERITY, Breaking, alert_line, run


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
