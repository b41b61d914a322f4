"""A replay whose tools are chosen by a model behind a URL, killed and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.planner import Planner
from turncoat.agent.records import Event, Investigation, Settings
from turncoat.agent.replay import replay
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream

from .test_llm_planner import as_the_playbook, serving

StreamOf = Callable[[str], AlertStream]
SETTINGS = Settings(chunk=5)
VARIANTS = {name: ScriptedClassifier(f"scripted-{name}") for name in ("severity", "blind")}


class Killed(BaseException):
    """Not an Exception: nothing in between may swallow it."""


def run(
    folder: Path,
    streams: dict[str, AlertStream],
    planner: Planner,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Investigation]:
    opened = RunFolder.start(folder, Manifest.of(streams, VARIANTS, SETTINGS, planner.identity))
    return list(replay(streams, VARIANTS, SETTINGS, opened, on_event, planner=planner))


def test_a_resumed_run_asks_the_planner_nothing_about_alerts_that_have_rows(
    tmp_path: Path, stream_of: StreamOf
) -> None:
    streams = {name: stream_of(name) for name in ("alice", "bob")}

    def die(event: Event) -> None:
        if event.done == 20:  # five alerts of two variants and two principals have their rows
            raise Killed

    with serving(as_the_playbook, timeout_s=20.0) as (planner, server):
        rows = run(tmp_path / "whole", streams, planner)
        whole = [asked.body for asked in server.asked]
    with serving(as_the_playbook, timeout_s=20.0) as (planner, server), pytest.raises(Killed):
        run(tmp_path / "killed", streams, planner, die)
    before = [asked.body for asked in server.asked]
    with serving(as_the_playbook, timeout_s=20.0) as (planner, server):
        assert run(tmp_path / "killed", streams, planner) == rows
    after = [asked.body for asked in server.asked]
    assert before
    assert after
    assert before + after == whole
    for name in ("outcomes.jsonl", "queue.jsonl", "manifest.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_run_asks_no_planner(tmp_path: Path, stream_of: StreamOf) -> None:
    streams = {"alice": stream_of("alice")}
    with serving(as_the_playbook, timeout_s=20.0) as (planner, _):
        rows = run(tmp_path, streams, planner)
    with serving(as_the_playbook) as (planner, server):
        assert run(tmp_path, streams, planner) == rows
        assert server.asked == []


def test_the_planner_belongs_to_the_identity_of_a_run(tmp_path: Path, stream_of: StreamOf) -> None:
    streams = {"alice": stream_of("alice")}
    RunFolder.start(tmp_path, Manifest.of(streams, VARIANTS, SETTINGS))
    with serving(as_the_playbook) as (planner, _), pytest.raises(RunError, match="holds a run with other planner"):
        run(tmp_path, streams, planner)
