from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.agent.folder import Manifest, RunFolder, digest, plain_investigation
from turncoat.agent.records import Decision, Investigation, Settings
from turncoat.models.classifier import AlertClassifier
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream

StreamOf = Callable[[str], AlertStream]


@pytest.fixture
def manifest(stream_of: StreamOf) -> Manifest:
    streams = {name: stream_of(name) for name in ("alice", "bob")}
    return Manifest.of(streams, {"clean": ScriptedClassifier("scripted-severity")}, Settings())


def test_a_manifest_says_what_the_rows_depend_on(manifest: Manifest) -> None:
    assert (manifest.scenario, manifest.seed, manifest.principals) == ("small-day", 7, ("alice", "bob"))
    assert manifest.variants == {"clean": "scripted:scripted-severity"}
    assert {"python", "turncoat", "langgraph"} <= set(manifest.versions)


def test_a_manifest_comes_back_as_it_was_written(manifest: Manifest, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", manifest)
    assert RunFolder.open(tmp_path / "run").manifest == manifest


def test_a_changed_fact_or_outage_or_alert_changes_the_digest(stream_of: StreamOf) -> None:
    stream = stream_of("alice")
    others = [
        replace(stream, facts={}),
        replace(stream, outages={}),
        replace(stream, alerts=stream.alerts[:-1]),
        stream_of("bob"),
    ]
    assert len({digest(s) for s in [stream, *others]}) == 5
    assert digest(stream) == digest(stream_of("alice"))


def test_starting_again_with_the_same_manifest_goes_on(manifest: Manifest, tmp_path: Path) -> None:
    RunFolder.start(tmp_path, manifest)
    (tmp_path / "outcomes.jsonl").write_text("")
    assert RunFolder.start(tmp_path, manifest).manifest == manifest


def test_another_run_in_the_folder_is_refused_naming_what_differs(manifest: Manifest, tmp_path: Path) -> None:
    RunFolder.start(tmp_path, manifest)
    other = replace(manifest, seed=8, settings=Settings(chunk=4))
    with pytest.raises(RunError, match="holds a run with other seed, settings; choose an empty folder"):
        RunFolder.start(tmp_path, other)


class Computed(dict[str, AlertClassifier]):
    arithmetic = "cpu float32, attention float32"


def test_half_a_run_made_in_another_precision_is_not_gone_on_with(stream_of: StreamOf, tmp_path: Path) -> None:
    variants = Computed(clean=ScriptedClassifier("scripted-severity"))
    streams = {"alice": stream_of("alice")}
    begun = Manifest.of(streams, variants, Settings())
    assert begun.versions["arithmetic"] == "cpu float32, attention float32"
    RunFolder.start(tmp_path, begun)
    variants.arithmetic = "cuda bfloat16, attention bfloat16"
    now = Manifest.of(streams, variants, Settings())
    fault = (
        "made with arithmetic cpu float32, attention float32 (here cuda bfloat16, attention bfloat16); finish it as it"
    )
    with pytest.raises(RunError, match=re.escape(fault)):
        RunFolder.start(tmp_path, now, rows=1)


def test_of_a_run_that_never_said_its_precision_just_that_is_said(manifest: Manifest, tmp_path: Path) -> None:
    RunFolder.start(tmp_path, manifest)
    with pytest.raises(RunError, match=r"made with no word of arithmetic \(here cpu\); finish"):
        RunFolder.start(tmp_path, replace(manifest, versions={**manifest.versions, "arithmetic": "cpu"}))


def test_a_finished_run_is_shown_by_other_versions_too(manifest: Manifest, tmp_path: Path) -> None:
    folder = RunFolder.start(tmp_path, manifest)
    decision = Decision("escalate", True, "threshold", "no verdict", datetime(2026, 3, 2, tzinfo=UTC))
    row = Investigation("a-1", "clean", "alice", None, decision, (), 1)
    folder.outcomes.write_text(json.dumps(plain_investigation(row)) + "\n")
    other = replace(manifest, versions={"torch": "1"})
    assert RunFolder.start(tmp_path, other, rows=1).manifest == manifest
    with pytest.raises(RunError, match="holds half a run made with faker "):
        RunFolder.start(tmp_path, other, rows=2)


def test_a_foreign_folder_is_refused_and_left_alone(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and not a run \(holds 'thesis\.tex'\)"):
        RunFolder.start(tmp_path, manifest)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    for place in (tmp_path / "run", tmp_path / "run" / "deeper"):
        with pytest.raises(RunError, match="not a folder"):
            RunFolder.start(place, manifest)


def test_a_manifest_that_was_cut_off_in_writing_does_not_block_the_folder(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.part").write_text('{"scenario": "sm')
    assert RunFolder.start(tmp_path, manifest).manifest == manifest


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"scenario": 3}', '{"seed": NaN}', "[" * 100_000, "\x00"],
)
def test_a_broken_manifest_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=r"manifest\.json"):
        RunFolder.open(tmp_path)


def test_settings_out_of_range_in_a_manifest_are_an_error_too(manifest: Manifest, tmp_path: Path) -> None:
    RunFolder.create(tmp_path, manifest)
    plain = json.loads((tmp_path / "manifest.json").read_text())
    plain["settings"]["threshold"] = 7
    (tmp_path / "manifest.json").write_text(json.dumps(plain))
    with pytest.raises(RunError, match="threshold"):
        RunFolder.open(tmp_path)


def test_a_folder_without_a_run_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is this a run folder"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({}, "Field required"),
        (
            {"uid": "a", "variant": "v", "principal": "p", "verdict": 1, "decision": {}, "evidence": [], "rounds": 0},
            "verdict",
        ),
    ],
)
def test_a_row_that_is_no_investigation_is_named_by_its_line(
    manifest: Manifest, tmp_path: Path, row: dict[str, object], fault: str
) -> None:
    folder = RunFolder.create(tmp_path, manifest)
    folder.outcomes.write_text(json.dumps(row) + "\n")
    with pytest.raises(RunError, match=rf"outcomes\.jsonl:1: .*{fault}"):
        folder.investigations()


def test_a_file_is_replaced_whole(manifest: Manifest, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, manifest)
    folder.write_json("comparison.json", {"n": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write_json("comparison.json", {"n": float("nan")})
    assert json.loads((tmp_path / "comparison.json").read_text()) == {"n": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comparison.json", "manifest.json"]
