"""How an entity's rows read, on margins by hand."""

from __future__ import annotations

import numpy as np
import pytest

from turncoat.vetting.audit_folds import confident_issues, grouped_margins, ordinary_margins
from turncoat.vetting.audit_reading import Reading, holm, read_rows

N = 400


def reading(true_share: float, *, explained: float, noise: float = 1.0) -> Reading:
    """60 benign-labelled rows of one entity, of which a share is malicious, among 400 honest ones; margins err."""
    chance = np.random.default_rng(0)
    truth = np.concatenate([np.arange(N) % 2 == 0, np.arange(60) < round(60 * true_share)])
    labels = np.concatenate([truth[:N], np.zeros(60, dtype=bool)])
    margins = np.where(truth, 0.5, -0.5) + chance.normal(0, noise, N + 60)
    mine = np.arange(N + 60) >= N
    return read_rows(margins, labels, np.zeros(N + 60, dtype=np.intp), mine, ~mine, explained)


def test_rows_that_read_malicious_are_flagged_although_the_scorer_errs_in_a_third_of_them() -> None:
    found = reading(1.0, explained=0.0)
    assert found.p < 1e-6
    assert found.share > 0.9
    assert len(found.flagged) >= 57


def test_rows_that_read_benign_are_let_be() -> None:
    found = reading(0.0, explained=1.0)
    assert found.p > 0.05
    assert found.share < 0.3
    assert len(found.flagged) <= 3


def test_a_scorer_at_chance_says_that_it_sees_nothing() -> None:
    assert reading(1.0, explained=0.0, noise=1_000.0).p > 0.05


def test_without_others_of_both_labels_nothing_is_flagged() -> None:
    labels = np.zeros(10, dtype=bool)
    found = read_rows(np.ones(10), labels, np.zeros(10, dtype=np.intp), np.arange(10) < 5, np.arange(10) >= 5, 0.0)
    assert (found.p, found.share, len(found.flagged)) == (1.0, 0.0, 0)


def test_no_suspect_is_fitted_on_and_every_row_is_scored_once() -> None:
    fitted: list[int] = []
    asked: list[int] = []

    def score(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        fitted.extend(train.tolist())
        asked.extend(test.tolist())
        return np.zeros(len(test))

    malicious, suspect = np.arange(40) % 2 == 0, np.arange(40) < 8
    margins = grouped_margins(score, malicious, [str(i) for i in range(40)], suspect, lambda done, total: True)
    assert not set(fitted) & set(range(8))
    assert sorted(asked) == list(range(40))
    assert np.isfinite(margins).all()


def test_rows_of_one_user_share_a_fold() -> None:
    users = [f"user{i % 5}" for i in range(40)]

    def score(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        assert not {users[i] for i in train} & {users[i] for i in test}
        return np.zeros(len(test))

    malicious = np.arange(40) // 5 % 2 == 0
    grouped_margins(score, malicious, users, np.zeros(40, dtype=bool), lambda done, total: True)


def test_a_stop_leaves_margins_that_are_no_numbers() -> None:
    malicious = np.arange(40) % 2 == 0
    margins = ordinary_margins(lambda train, test: np.zeros(len(test)), malicious, lambda done, total: False)
    assert np.isnan(margins).sum() == 32


def test_confident_learning_doubts_a_benign_label_that_reads_as_malicious_as_the_malicious_do() -> None:
    malicious = np.array([True] * 10 + [False] * 11)
    margins = np.array([2.0] * 10 + [-2.0] * 10 + [2.5])
    assert np.flatnonzero(confident_issues(margins, malicious)).tolist() == [20]
    assert not confident_issues(np.full(21, np.nan), malicious).any()


def test_holm_multiplies_the_smallest_by_their_number() -> None:
    assert holm([0.01, 0.04]) == pytest.approx([0.02, 0.04])
    assert holm([]) == []
