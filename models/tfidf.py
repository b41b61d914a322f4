"""TF-IDF with logistic regression: the plain classifier that a language model has to beat.

It reads the same prompt text as the model does, counts words and pairs of words, and scores them linearly.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline

from .classifier import Answer, Case, Verdict
from .prompt import cuts_required, render

THRESHOLD = 0.5
TEXT_BUDGET_WORDS = 4_000
"""Effectively no budget: a bag of words has no context window to save."""


def case_text(case: Case) -> str:
    """The prompt's text of a case, whole: what the language model would read if it had room for everything."""
    return render(case, lambda text: len(text.split()), budget=TEXT_BUDGET_WORDS).text


@dataclass(frozen=True)
class TfidfClassifier:
    """An `AlertClassifier` over word counts."""

    pipeline: Pipeline
    fingerprint: str
    text_of: Callable[[Case], str] = case_text

    @classmethod
    def fit(
        cls, texts: Sequence[str], malicious: Sequence[bool], *, text_of: Callable[[Case], str] = case_text
    ) -> TfidfClassifier:
        """Fits on texts and their labels.

        Args:
            texts: One text per row, length N, made the way `text_of` makes them.
            malicious: Labels, length N; both must occur.
            text_of: Makes the text of a case that is to be scored.

        Raises:
            ValueError: Lengths differ, or one of the two labels does not occur.
        """
        if len(texts) != len(malicious) or len(set(malicious)) != 2:
            raise ValueError("needs as many labels as texts, and both labels among them")
        pipeline = _new_pipeline().fit(list(texts), np.asarray(malicious, dtype=bool))
        digest = hashlib.sha256(pipeline[-1].coef_.tobytes())
        digest.update("\n".join(sorted(pipeline[0].vocabulary_)).encode())
        return cls(pipeline, f"tfidf:{digest.hexdigest()[:16]}", text_of)

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        """Scores cases, in order; the margin is the linear score, which is the logit of P(malicious)."""
        if not cases:
            return []
        margins = self.pipeline.decision_function([self.text_of(case) for case in cases])  # (N,)
        return [self._verdict(case, float(margin)) for case, margin in zip(cases, margins, strict=True)]

    def _verdict(self, case: Case, margin: float) -> Verdict:
        p_malicious = float(1 / (1 + np.exp(-margin)))
        answer: Answer = "malicious" if p_malicious >= THRESHOLD else "benign"
        lost = cuts_required(case)
        return Verdict(answer, p_malicious, margin, self.fingerprint, tokens=0, lost_required=lost)


def cross_fitted(
    texts: Sequence[str], malicious: Sequence[bool], groups: Sequence[str], *, folds: int = 5, seed: int = 0
) -> list[float]:
    """P(malicious) of every text by a model that saw no text of its group.

    Args:
        texts: Length N.
        malicious: Labels, length N; both must occur in every training part.
        groups: Texts of one group fall into one fold (such as the id of the rule that raised the alert), length N.
        folds: Number of folds, at least 2; fewer are used where there are fewer groups.
        seed: Shuffles the folds.

    Returns:
        Length N, in [0, 1].

    Raises:
        ValueError: Lengths differ, fewer than two groups, or a training part that holds only one label.
    """
    folds = min(folds, len(set(groups)))
    if not len(texts) == len(malicious) == len(groups) or folds < 2:
        raise ValueError("needs as many labels and groups as texts, and at least two groups")
    labels = np.asarray(malicious, dtype=bool)
    words = np.asarray(texts, dtype=object)
    scores = np.zeros(len(texts))
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(words, labels, np.asarray(groups))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a label is rarer than there are folds
        for train, test in splits:
            scores[test] = _new_pipeline().fit(words[train], labels[train]).predict_proba(words[test])[:, 1]
    return [float(score) for score in scores]


def _new_pipeline() -> Pipeline:
    # Keys and paths such as protoPayload.methodName count as words of their own; so do numbers.
    words = TfidfVectorizer(token_pattern=r"[A-Za-z0-9_]+", ngram_range=(1, 2), sublinear_tf=True, max_features=200_000)
    return make_pipeline(words, LogisticRegression(C=10.0, max_iter=1_000))
