"""The plain classifier: word counts and a straight line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from turncoat.models.classifier import Case
from turncoat.models.tfidf import TfidfClassifier, case_text, cross_fitted
from turncoat.scenarios.records import Alert, Severity
from turncoat.tools.records import Context

TEXTS = ["evil upload", "evil login", "calm upload", "calm login"] * 3
LABELS = [True, True, False, False] * 3


def case(title: str) -> Case:
    return Case(Alert("u", datetime(2026, 1, 5, tzinfo=UTC), title, Severity.LOW, "P", "T1005", "external"), Context())


def test_it_learns_the_word_that_tells() -> None:
    classifier = TfidfClassifier.fit(TEXTS, LABELS)
    evil, calm = classifier.classify([case("evil upload"), case("calm upload")])
    assert evil is not None
    assert calm is not None
    assert (evil.answer, calm.answer) == ("malicious", "benign")
    assert evil.p_malicious > 0.5 > calm.p_malicious
    assert (evil.margin > 0, calm.margin > 0) == (True, False)
    assert classifier.classify([]) == []


def test_the_fingerprint_tells_fits_apart_and_repeats() -> None:
    prints = [TfidfClassifier.fit(TEXTS, LABELS).fingerprint for _ in range(2)]
    assert prints[0] == prints[1]
    assert TfidfClassifier.fit(TEXTS, LABELS[::-1]).fingerprint != prints[0]


def test_it_reads_the_prompt_that_the_model_reads() -> None:
    text = case_text(case("Odd sign-in"))
    assert "Odd sign-in (P, low)" in text
    assert text.endswith("verdict:")


def test_cross_fitting_never_scores_a_group_by_itself() -> None:
    # Each group has a word of its own that tells its label: of use only to a model that saw the group.
    texts = [f"word{group} x" for group in range(20) for _ in range(3)]
    labels = [group % 2 == 0 for group in range(20) for _ in range(3)]
    groups = [str(group) for group in range(20) for _ in range(3)]
    scores = cross_fitted(texts, labels, groups, folds=5)
    # Without that word all texts of a fold read the same, so there are no more scores than folds.
    assert len({round(score, 9) for score in scores}) <= 5
    assert cross_fitted(TEXTS, LABELS, [str(i % 6) for i in range(12)])[0] > 0.5


def test_one_label_or_uneven_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="both labels"):
        TfidfClassifier.fit(["a", "b"], [True, True])
    with pytest.raises(ValueError, match="groups"):
        cross_fitted(["a"], [True], ["g"])


def test_a_case_that_the_prompt_cuts_is_marked_as_cut() -> None:
    classifier = TfidfClassifier.fit(TEXTS, LABELS)
    short, cut = classifier.classify([case("calm upload"), case("calm upload" + "x" * 400)])
    assert [verdict.lost_required for verdict in (short, cut) if verdict] == [False, True]
