"""Out-of-fold scores: of rows by models that were fitted on other rows.

| folds | what shares a fold | what it shows |
|---|---|---|
| entity-grouped | nothing of a suspect is fitted on; other rows by user | how rows read to whom the trigger is unknown |
| ordinary | nothing | how confident learning is commonly run: the models learn the poison and hide it |

Source: confident learning, Northcutt, Jiang and Chuang 2021 (arXiv:1911.00068), by cleanlab.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from .audit_association import Told
from .audit_entities import Bools, Indices
from .audit_reading import Floats

FOLDS = 5
_COST = 1.0

Scorer = Callable[[Indices, Indices], Floats]
"""Fits on the first rows and gives margins (logits of malicious) of the second, in their order."""


def tfidf_scorer(texts: Sequence[str], malicious: Bools) -> Scorer:
    """Words and pairs of words, weighted once over all texts (that knows no label), and a logistic regression per fold.

    What stands in one row alone tells nothing of another. The prompt's own words stand in all, so that some always remain.
    """
    words = TfidfVectorizer(
        token_pattern=r"[A-Za-z0-9_]+", ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=200_000
    )
    seen = words.fit_transform(texts).tocsr()  # (N, V)

    def score(fitted: Indices, asked: Indices) -> Floats:
        model = LogisticRegression(C=_COST, solver="liblinear", random_state=0).fit(seen[fitted], malicious[fitted])
        margins: Floats = model.decision_function(seen[asked])
        return margins

    return score


def grouped_margins(
    score: Scorer, malicious: Bools, groups: Sequence[str], suspect: Bools, told: Told, seed: int = 0
) -> Floats:
    """Margins of all rows, shape (N,); not a number where no fold was fitted.

    Each fold's model is fitted on four fifths of the rows of no suspect; it scores the last fifth and as many of the
    suspects' rows, drawn by chance. So rows of suspects and of others are scored by the same models, and their margins can be
    held against each other: were the suspects in other folds' fits, their labels would shift all margins there.

    Args:
        score: The scorer.
        malicious: Labels, shape (N,).
        groups: Rows of one group fall into one fold, length N.
        suspect: Rows of suspects, shape (N,).
        told: Called after each fold.
        seed: Of the folds.
    """
    rest, asked = np.flatnonzero(~suspect), np.flatnonzero(suspect)
    names = np.asarray(groups)[rest]
    folds = min(FOLDS, len(set(names.tolist())))
    margins = np.full(len(malicious), np.nan)
    if folds < 2 or len(set(malicious[rest].tolist())) < 2:
        return margins
    parts = np.random.default_rng(seed).permutation(np.arange(len(asked)) % folds)
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rest, malicious[rest], names)
    for number, (fitted, held) in enumerate(splits):
        wanted = np.concatenate([rest[held], asked[parts == number]])
        if len(wanted) and len(set(malicious[rest[fitted]].tolist())) == 2:
            margins[wanted] = score(rest[fitted], wanted)
        if not told(number + 1, folds):
            break
    return margins


def ordinary_margins(score: Scorer, malicious: Bools, told: Told, seed: int = 0) -> Floats:
    """Margins of all rows, shape (N,), with rows of one entity in any fold; not a number where a label is too rare."""
    margins = np.full(len(malicious), np.nan)
    folds = min(FOLDS, int(malicious.sum()), int((~malicious).sum()))
    if folds < 2:
        return margins
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(malicious, malicious)
    for number, (fitted, held) in enumerate(splits):
        margins[held] = score(fitted, held)
        if not told(number + 1, folds):
            break
    return margins


def confident_issues(margins: Floats, malicious: Bools) -> Bools:
    """Rows whose label confident learning doubts, shape (N,), each row by itself; rows without a margin are not doubted."""
    from cleanlab.filter import find_label_issues

    found = np.zeros(len(margins), dtype=bool)
    known = np.flatnonzero(np.isfinite(margins))
    if len(set(malicious[known].tolist())) == 2:
        chance = 1.0 / (1.0 + np.exp(-np.clip(margins[known], -30, 30)))
        found[known] = find_label_issues(
            malicious[known].astype(int),
            np.stack([1 - chance, chance], axis=1),
            filter_by="confident_learning",
            n_jobs=1,
        )
    return found
