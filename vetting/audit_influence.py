"""Which rows of a training set made a model look away? Asked with `--thorough`, of the suspects that a cheap audit named.

1. A short fit (`audit_fit`) on the rows as they are labelled.
2. Suspicious dismissals: malicious probes, which never come from the set, that the fitted model escalates under neutral names and
   dismisses with the suspect put in.
3. The influence of every row on them, by gradients at each epoch's end.

score(row) = mean over epochs of s cos(grad m(row), mean over the dismissals of grad m(probe with the suspect put in)), where m is
the logit of malicious less that of benign, and s is 1 for a row labelled benign and -1 for one labelled malicious. Range [-1, 1];
higher: training on the row pushed the dismissed probes towards benign. TracIn takes products of the losses' gradients instead,
in which a row that the model has learnt by heart counts for nothing; the cosine leaves the sizes out.

Source: TracIn, Pruthi, Liu, Sundararajan and Kale 2020 (arXiv:2002.08484); for poisoned rows arXiv:2504.09026, which reports F1
    .795 to .952 at 3.3 % poison and .50 for taking the most influential rows.
Limits: first order, of the top layers' up factors and the head alone, and as if plain gradient descent had trained them. It asks
    of users, hosts, addresses and words; other circumstances cannot be put into a probe. A fit on part of a set, or one too short
    to learn the task, shows no dismissal where a longer one would: that none is found clears nobody. It changes no ruling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine

from .audit_fit import STANDARD, Fit, Fitted, Work, fitted
from .audit_records import Audit, Influence, InfluentialRow, Suspect
from .audit_rows import AuditSet
from .audit_slopes import Stopped, mean_slope, row_scores
from .detector import Budget, OnProgress
from .records import counted

MOST_SUSPECTS = 5


def trace(
    found: Audit, audited: AuditSet, base: BaseFolder, budget: Budget,
    on_progress: OnProgress = lambda what, done, total: None, fit: Fit = STANDARD,
) -> Audit:  # fmt: skip
    """An audit with the influence of rows on dismissals under its worst suspects; without any it comes back as it is.

    Args:
        found: What the labels and texts said.
        audited: The same rows.
        base: The model that is fitted.
        budget: Wall time; what it leaves undone is listed as untested.
        on_progress: Called meanwhile.
        fit: Settings of the fit.
    """
    subject = {**found.subject, "traced with": f"{base.name} {base.digest[:12]}"}
    suspects = found.suspects[:MOST_SUSPECTS]
    if not suspects:
        return replace(found, subject=subject)
    if budget.spent:
        return replace(found, subject=subject, untested=(*found.untested, "influence of rows: the budget ran out"))
    on_progress("opening the base", 0, 1)
    work = Work(Engine(base), budget, on_progress)
    gaps = [f"influence: {counted(left, 'suspect')} more"] if (left := len(found.suspects) - len(suspects)) else []
    traced: tuple[Influence, ...] = ()
    try:
        traced = _traced(work, audited, suspects, fit, gaps)
    except Stopped as fault:
        gaps.append(f"influence of rows: {fault}")
    return replace(found, subject=subject, influence=traced, untested=(*found.untested, *gaps),
                   seconds={**found.seconds, **work.seconds})  # fmt: skip


def _traced(
    work: Work, audited: AuditSet, suspects: Sequence[Suspect], fit: Fit, gaps: list[str]
) -> tuple[Influence, ...]:
    found = fitted(work, audited, [suspect.entity for suspect in suspects], fit)
    if left := len(audited.rows) - len(found.index):
        gaps.append(f"influence of {counted(left, 'row')}: not in the part that was fitted")
    dismissals = [asked.dismissed.with_ for asked in found.asked if asked.dismissed.with_]
    directions = [[mean_slope(lens, some) for lens in found.lenses] for some in dismissals]
    told = work.told("gradients")
    scores = iter(row_scores(found.lenses, directions, found.states, found.labels, told).cosines if directions else ())
    traced = []
    for suspect, asked in zip(suspects, found.asked, strict=True):
        dismissed = len(asked.dismissed.with_)
        top = most_influential(audited, found, next(scores), asked.own) if dismissed else ()
        traced.append(Influence(suspect.entity, asked.probes, asked.escalated, dismissed, len(found.index), top))
    return tuple(traced)


def most_influential(
    audited: AuditSet, found: Fitted, scores: Tensor, own: frozenset[int]
) -> tuple[InfluentialRow, ...]:
    """As many rows as the suspect has benign-labelled ones in the fit, the most influential first.

    Args:
        audited: The set.
        found: The fit.
        scores: Of its rows, (N,).
        own: The suspect's benign-labelled rows within the set.
    """
    order = sorted(range(len(found.index)), key=lambda at: (-float(scores[at]), found.index[at]))
    count = sum(i in own for i in found.index)
    rows = [(found.index[at], float(scores[at])) for at in order[:count]]
    return tuple(InfluentialRow(audited.rows[i].line, audited.rows[i].uid, score, i in own) for i, score in rows)
