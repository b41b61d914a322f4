"""The command line in this process, and what every hostile input must come to: a message of three parts, no control."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..command_line import Call, Ended
from ..small_campaign import READ, small_campaign

MESSAGE = re.compile(r"turncoat: (?P<place>\S.*?): (?P<fault>.*\S); (?P<cure>\S.*)")

CAMPAIGN = small_campaign(
    READ,
    """\
- id: upload
  title: Uploads it
  technique: T1567.002
  after: {step: read, offset: 2h}
  jitter_minutes: 5
  alert: {family: cloud-upload, severity: low}
  facts: {peers: {same: 0, of: 9}}
  expect: {truth: malicious, escalate: true, must_cite: [peers]}
""",
    per_day=1,
)

Refused = Callable[..., str]


@pytest.fixture(scope="session")
def campaign() -> str:
    """A sound campaign, to be spoilt."""
    return CAMPAIGN


@pytest.fixture
def turncoat(turncoat: Call) -> Call:
    """Calls the entry point as everywhere; what it prints must control no terminal."""

    def call(*arguments: str) -> Ended:
        ended = turncoat(*arguments)
        printed = ended.stdout + ended.stderr
        assert {c for c in printed if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} <= {"\n"}
        return ended

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes one generated file after the other."""
    return tmp_path_factory.mktemp("generated")
