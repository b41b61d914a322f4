"""Do the rows of an entity read malicious to a model that never saw the entity?

Three steps on out-of-fold scores, each from the rows of all other entities:
1. scores become chances (Platt 1999);
2. a rank test: do its benign-labelled rows read more malicious than the benign-labelled rows of others, rule by rule?
3. what share of them is malicious, by expectation-maximisation over the chances (Saerens, Latinne and Decaestecker 2002);
   with it each row gets a chance of its own, and those from `FLAGGED` on are flagged.

Step 3 is why a weak scorer suffices: plain confident learning asks of each row alone whether it reads malicious, and a scorer
that errs in 40 % of the rows misses 40 % of the poison. Here the entity's rows vouch for each other.
Limits: a scorer at chance sees nothing, and then the rank test says so. Rows whose text was rewritten to read benign pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.multitest import multipletests

from .audit_entities import Bools, Indices

Floats = NDArray[np.float64]

FLAGGED = 0.5
_ROUNDS = 500
_CLOSE = 1e-6
_PRIOR_ROWS = 2.0
"""Weight, in rows, of what the association alone says of the share: it settles what few rows leave open."""
_SHRINK = 4.0
"""Rows of a rule below which its mean is drawn towards the mean of all."""


@dataclass(frozen=True)
class Reading:
    """How an entity's benign-labelled rows read."""

    rows: Indices
    """Its rows that are labelled benign."""
    share: float
    """Of them malicious, estimated, in [0, 1]."""
    p: float
    """One-sided rank test against the benign-labelled rows of others, in (0, 1]."""
    chance: Floats
    """P(malicious) of each, shape (len(rows),)."""

    @property
    def flagged(self) -> Indices:
        """Rows that are likelier malicious than not."""
        return self.rows[self.chance >= FLAGGED]


def read_rows(
    margins: Floats, malicious: Bools, rules: Indices, mine: Bools, others: Bools, explained: float
) -> Reading:
    """Reads the benign-labelled rows of one entity.

    Args:
        margins: Out-of-fold logits of malicious, shape (N,), of models that saw no row of the entity.
        malicious: Labels, shape (N,).
        rules: Rule of each row, shape (N,).
        mine: Rows of the entity, shape (N,).
        others: Rows of no suspect, shape (N,): what chances and ranks are held against.
        explained: Of the entity's benign labels, the share that its malicious ones would lead one to expect, in [0, 1].
    """
    rows = np.flatnonzero(mine & ~malicious)
    both = len(set(malicious[others].tolist())) == 2
    if not len(rows) or not both:
        return Reading(rows, 0.0, 1.0, np.zeros(len(rows)))
    prior = float(malicious[others].mean())
    scale = LogisticRegression(C=1e3).fit(margins[others, None], malicious[others])
    chances = np.clip(scale.predict_proba(margins[rows, None])[:, 1], 1e-6, 1 - 1e-6)
    centred = margins - _rule_means(margins, rules, others & ~malicious)
    test = mannwhitneyu(centred[rows], centred[others & ~malicious], alternative="greater")
    share, own = _share(chances, prior, 1.0 - explained)
    return Reading(rows, share, float(test.pvalue), own)


def _share(chances: Floats, prior: float, guess: float) -> tuple[float, Floats]:
    """Share of malicious ones among rows whose chances were made for the share `prior`, and their chances under it."""
    share, own = prior, chances
    for _ in range(_ROUNDS):
        odds = share / prior * chances
        own = odds / (odds + (1 - share) / (1 - prior) * (1 - chances))
        new = (float(own.sum()) + _PRIOR_ROWS * guess) / (len(own) + _PRIOR_ROWS)
        if abs(new - share) < _CLOSE:
            break
        share = new
    return share, own


def _rule_means(margins: Floats, rules: Indices, among: Bools) -> Floats:
    """Mean margin of a row's rule over the rows `among`, shape (N,); drawn to the mean of all where they are few."""
    size = int(rules.max()) + 1
    count = np.bincount(rules[among], minlength=size)
    total = np.bincount(rules[among], weights=margins[among], minlength=size)
    overall = float(margins[among].mean())
    means: Floats = ((total + _SHRINK * overall) / (count + _SHRINK))[rules]
    return means


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order of `p` (Holm 1979)."""
    return [float(x) for x in multipletests(list(p), method="holm")[1]] if len(p) else []
