"""A content that was judged a moment ago is not judged again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.agent.recent import RecentVerdicts
from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.scenarios.records import Alert, Severity
from turncoat.tools.records import Context

from .followed_lines import Breaking, alert_line, run


class Counting:
    """Counts what it is asked; knows nothing about titles that say so."""

    fingerprint = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        self.asked += [case.alert.title for case in cases]
        return [
            None if case.alert.title == "unknown" else Verdict("benign", 0.1, -2.0, self.fingerprint, 0)
            for case in cases
        ]


def case(uid: str, title: str) -> Case:
    return Case(Alert(uid, datetime(2025, 1, 1, tzinfo=UTC), title, Severity.LOW, "P", None, "external"), Context())


def test_a_content_is_judged_once_while_it_is_recent() -> None:
    counting = Counting()
    recent = RecentVerdicts({"c": counting}, most=2)["c"]
    assert len(recent.classify([case("1", "a"), case("2", "a"), case("3", "b")])) == 3
    recent.classify([case("4", "a")])
    assert counting.asked == ["a", "b"]
    recent.classify([case("5", "c")])  # in place of b, which is unused for longest
    recent.classify([case("6", "a"), case("7", "b")])
    assert counting.asked == ["a", "b", "c", "b"]


def test_that_there_was_no_verdict_is_not_remembered() -> None:
    counting = Counting()
    recent = RecentVerdicts({"c": counting})["c"]
    assert recent.classify([case("1", "unknown")]) == recent.classify([case("1", "unknown")]) == [None]
    assert counting.asked == ["unknown", "unknown"]


class Short:
    """Answers less than it was asked."""

    fingerprint = "short"

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        return [Verdict("benign", 0.1, -2.0, "short", 0)] * (len(cases) - 1)


def test_a_classifier_that_answers_too_little_has_said_nothing() -> None:
    recent = RecentVerdicts({"s": Short()})["s"]
    assert recent.classify([case("1", "a"), case("2", "b")]) == [None, None]


class Warming(dict[str, AlertClassifier]):
    """Notes what it is asked to compute together, and whether it may forget."""

    def __init__(self) -> None:
        super().__init__(c=Counting())
        self.warmed: list[list[str]] = []
        self.forgot = 0

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        self.warmed.append([case.alert.title for _, case in requests])

    def forget(self) -> None:
        self.forgot += 1


@pytest.fixture
def warming() -> Warming:
    return Warming()


def test_only_new_contents_are_computed_and_what_was_computed_is_let_go(tmp_path: Path, warming: Warming) -> None:
    log = tmp_path / "log"
    log.write_text("".join(alert_line(str(n), title=title) for n, title in enumerate("aabbac")))
    run(log, tmp_path / "state", Breaking(-1), warming, batch=3)
    assert warming.warmed == [["a", "a", "b"], ["c"]]
    assert warming.forgot == 2
