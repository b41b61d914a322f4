"""Hostile run folders: what somebody laid into one is neither believed nor overwritten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..command_line import exit_code

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def finished(campaign: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the small campaign at seed 7."""
    home = tmp_path_factory.mktemp("finished")
    (home / "c.yaml").write_text(campaign)
    assert exit_code(("run", str(home / "c.yaml"), *SCRIPTED, "--out", str(home / "run"))) == 0
    return home / "run"


@pytest.fixture
def folder(finished: Path, campaign: str, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt, beside the campaign."""
    (tmp_path / "c.yaml").write_text(campaign)
    return Path(shutil.copytree(finished, tmp_path / "run"))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]


def row(**change: Any) -> Spoil:
    """Changes the first row; `a__b` stands for `b` within `a`."""

    def spoil(folder: Path) -> None:
        found = rows(folder)
        for name, value in change.items():
            outer, _, inner = name.partition("__")
            (found[0][outer] if inner else found[0])[inner or outer] = value
        (folder / "outcomes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in found))

    return spoil


def holding(file: str, text: str) -> Spoil:
    return lambda folder: (folder / file).write_text(text)


def manifest(**change: object) -> Spoil:
    return lambda f: (f / "manifest.json").write_text(
        json.dumps(json.loads((f / "manifest.json").read_text()) | change)
    )


def linked(file: str, target: str) -> Spoil:
    return lambda folder: ((folder / file).unlink(missing_ok=True), (folder / file).symlink_to(target))


def replaced(old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "outcomes.jsonl"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return spoil


def foreign(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")


def versions(more: dict[str, str]) -> Spoil:
    """Versions as they are, and some more: those alone are told of."""

    def spoil(folder: Path) -> None:
        path = folder / "manifest.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"versions": content["versions"] | more}))
        outcomes = (folder / "outcomes.jsonl").read_text().splitlines(keepends=True)
        (folder / "outcomes.jsonl").write_text("".join(outcomes[:-1]))

    return spoil


def twice(folder: Path) -> None:
    lines = (folder / "outcomes.jsonl").read_text()
    (folder / "outcomes.jsonl").write_text(lines + lines.splitlines()[0] + "\n")


def piped(folder: Path) -> None:
    (folder / "outcomes.jsonl").unlink()
    os.mkfifo(folder / "outcomes.jsonl")


FOLDERS: dict[str, tuple[Spoil, str]] = {
    "somebody's files": (foreign, "run: not empty and not a run (holds 'thesis.txt'); choose an empty folder"),
    "another run": (manifest(seed=8), "run: holds a run with other seed; choose an empty folder"),
    "another campaign": (manifest(scenario="x\x1b[2J"), "run: holds a run with other scenario; choose an empty folder"),
    "a version of two lines": (
        versions({"a": "3\nvet: allowed; d"}),
        "run: holds half a run made with a '3\\nvet: allowed; d' (here none); finish it as it began, or choose an empty folder",
    ),
    "a version that never ends": (
        versions({"a\x1b]0;x": "\x1bP" + "x" * 10**6}),
        "xxx...' (here none); finish it as it began, or choose an empty folder",
    ),
    "a manifest that is a list": (holding("manifest.json", "[]"), "run/manifest.json: "),
    "a manifest that is no JSON": (holding("manifest.json", "{"), "run/manifest.json: not a JSON object"),
    "a manifest that is nested": (holding("manifest.json", "[" * 200_000), "run/manifest.json: not a JSON object"),
    "a manifest that is a device": (linked("manifest.json", "/dev/zero"), "run/manifest.json: no regular file"),
    "a threshold out of range": (manifest(settings={"threshold": 7}), "run/manifest.json: "),
    "a row that is no JSON": (replaced("{", ""), "run/outcomes.jsonl:1: not a JSON object"),
    "a row that is a list": (holding("outcomes.jsonl", "[1]\n"), "run/outcomes.jsonl:1: holds a list"),
    "a row that says nothing": (holding("outcomes.jsonl", "{}\n"), "run/outcomes.jsonl:1: uid: Field required"),
    "a row that is there twice": (twice, "is there twice"),
    "a row with an action made up": (row(decision__action="allow"), "run/outcomes.jsonl:1: decision.action"),
    "a row with NaN": (row(verdict__p_malicious=float("nan")), "run/outcomes.jsonl:1: not a JSON object (NaN"),
    "a row with infinity": (replaced('"p_malicious":0.', '"p_malicious":1e999,"x":0.'), "run/outcomes.jsonl:1: "),
    "a row with a probability of 7": (row(verdict__p_malicious=7.0), "the model's probability 7 is outside 0 to 1"),
    "a dismissal without a verdict": (row(verdict=None, decision__action="dismiss"), "yet the decision is not forced"),
    "a dismissal by force": (row(decision__forced=True, decision__action="dismiss"), "forced to dismiss, which nothing forces"),
    "a row at no time zone": (row(decision__simulated_time="2026-03-02T11:00:00"), "has no time zone"),
    "a row at the end of all times": (row(decision__simulated_time="9999-12-31T23:59:59-14:00"), "is not from 1969 to 2101"),
    "rows that are a link": (linked("outcomes.jsonl", "/etc/passwd"), "run/outcomes.jsonl: a link, or no regular file"),
    "rows that are a pipe": (piped, "run/outcomes.jsonl: a link, or no regular file"),
    "a queue of garbage": (holding("queue.jsonl", "\x1b[2Jgarbage\n"), "run/queue.jsonl:1: not a JSON object"),
    "a queue that names nobody": (holding("queue.jsonl", '{"uid": 7}\n'), "run/queue.jsonl:1: names no uid"),
    "times of garbage": (holding("timings.jsonl", "garbage\n"), "run/timings.jsonl:1: not a JSON object"),
    "checkpoints of garbage": (holding("checkpoints.sqlite", "garbage " * 999), "run/checkpoints.sqlite: "),
    "checkpoints that are a link": (linked("checkpoints.sqlite", "../victim"), "run/checkpoints.sqlite: a link"),
}  # fmt: skip

SCRIPTED = ("--variant", "scripted-severity", "--quiet", "--seed", "7")
RUN = ("run", "c.yaml", *SCRIPTED, "--out", "run")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_run_folder_is_refused_and_left_as_it_is(
    name: str, folder: Path, tmp_path: Path, refused: Any
) -> None:
    spoil, expected = FOLDERS[name]
    spoil(folder)
    (tmp_path / "victim").write_text("precious")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and not p.is_symlink()}
    assert expected in refused(*RUN)
    kept = {name: content for name, content in before.items() if "sqlite" not in name}
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_torn_last_row_is_made_again(folder: Path, turncoat: Any) -> None:
    whole = (folder / "outcomes.jsonl").read_bytes()
    queue = (folder / "queue.jsonl").read_bytes()
    (folder / "outcomes.jsonl").write_bytes(whole[:-40])
    (folder / "queue.jsonl").write_bytes(queue[:-40])
    assert turncoat(*RUN).code == 0
    assert (folder / "outcomes.jsonl").read_bytes() == whole
    assert sorted((folder / "queue.jsonl").read_bytes().splitlines()) == sorted(queue.splitlines())


def test_controls_in_the_evidence_of_a_row_reach_no_terminal(folder: Path, turncoat: Any) -> None:
    evidence = {"tool": "peers\x1b[2J", "question": "\x1b]0;x\x07", "answer": "\u202e", "cost_s": 1.0, "failed": False}
    row(evidence=[evidence])(folder)
    assert turncoat(*RUN).code == 0


def test_nothing_is_written_through_a_link_that_somebody_laid(campaign: str, tmp_path: Path, turncoat: Any) -> None:
    (tmp_path / "c.yaml").write_text(campaign)
    (tmp_path / "run").mkdir()
    (tmp_path / "victim").write_text("precious")
    for name in ("manifest.json", "comparison.json", "comparison.csv"):
        (tmp_path / "run" / f".{name}.part").symlink_to(tmp_path / "victim")
    assert turncoat(*RUN).code == 0
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_place_that_is_a_file_is_refused(campaign: str, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "c.yaml").write_text(campaign)
    (tmp_path / "run").write_text("mine")
    assert "run: not a folder; choose another place" in refused(*RUN)
    assert (tmp_path / "run").read_text() == "mine"
