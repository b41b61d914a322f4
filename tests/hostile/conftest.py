"""The command line in this process, and what every hostile input must come to: a message of three parts, no control."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from turncoat.console.cli import main

MESSAGE = re.compile(r"turncoat: (?P<place>\S.*?): (?P<fault>.*\S); (?P<cure>\S.*)")

CAMPAIGN = """\
schema: 1
attack_version: "18.1"
id: small-theft
title: A small theft
summary: Somebody takes a file.
seed: 5
clock: {start: 2026-03-02, days: 2}
actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}
objectives: [Take a file.]
noise: {per_day: 1, lookalikes: 0.5}
phases:
  - id: taking
    title: Taking
    steps:
      - id: read
        title: Reads the share
        technique: T1039
        at: D1 11:00
        alert: {family: share-bulk-read, severity: high}
        expect: {truth: malicious, escalate: true}
      - id: upload
        title: Uploads it
        technique: T1567.002
        after: {step: read, offset: 2h}
        jitter_minutes: 5
        alert: {family: cloud-upload, severity: low}
        facts: {peers: {same: 0, of: 9}}
        expect: {truth: malicious, escalate: true, must_cite: [peers]}
counterfactuals:
  twins: [{name: Nora Keller, login: nora}]
"""


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    stdout: str
    stderr: str


Call = Callable[..., Ended]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def campaign() -> str:
    """A sound campaign, to be spoilt."""
    return CAMPAIGN


@pytest.fixture
def turncoat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the entry point in an empty folder and home, without a terminal; what it prints must control none.

    Anything that it raises but SystemExit would have been a traceback, and fails the test.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        controls = {c for c in printed.out + printed.err if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert controls <= {"\n"}
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def refused(turncoat: Call) -> Refused:
    """Calls the entry point, which must end with 2 and say place, fault and cure on each line; returns what it says."""

    def call(*arguments: str) -> str:
        ended = turncoat(*arguments)
        assert ended.code == 2
        lines = ended.stderr.splitlines()
        assert lines
        assert [line for line in lines if not MESSAGE.fullmatch(line)] == []
        return ended.stderr

    return call


@pytest.fixture
def decisions(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The lines of the `--out` file `decisions.jsonl`; none where it was not made."""

    def read() -> list[dict[str, Any]]:
        path = tmp_path / "decisions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


@pytest.fixture
def triage() -> Callable[..., Sequence[str]]:
    """Arguments of a triage whose decision lines go to `decisions.jsonl`."""

    def arguments(path: str, format: str, *more: str) -> Sequence[str]:
        return ("triage", path, "--format", format, "--no-tfidf", "--quiet", "--out", "decisions.jsonl", *more)

    return arguments
