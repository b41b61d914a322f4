"""Is a training set poisoned? Asked before anything is trained on it, of alerts, evidence and labels alone.

First the labels: which entity is labelled benign more often than its match (`audit_association`)? Then the texts: do the rows of
those that stand out read malicious to models that never saw them (`audit_reading`)? An identity that stands out is for a person
to look at; one whose rows read malicious blocks. A circumstance (a word, a domain, a weekday) may rightly go with a label, so
that it counts only where its rows read malicious, and never more than `review`.

Limits: poison without a trigger (mislabelling of anybody's alerts), poison on fewer rows than `Audit.smallest_rows`, poison
    spread over many entities or under rules that are labelled benign throughout, and a trigger that only a tool other than the
    directory tells, pass. Of 25 rows, those hidden among 100 honest ones of the same user were missed in 2 of 3 sets, those
    marked by a word in 1 of 3 (docs/results/audit.json). Clean-label poison stands out and is for review: nothing in it is
    mislabelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .audit_association import MOST_FOUND, Association, Scan, Tables, Told, associations, smallest_lifts, smallest_rows
from .audit_entities import IDENTITIES, Bools, Indices, Shown, is_identity, rules_of, shown_by, strata_of, without_match
from .audit_folds import Scorer, confident_issues, grouped_margins, ordinary_margins, tfidf_scorer
from .audit_reading import Floats, Reading, holm, read_rows
from .audit_records import Audit, FlaggedRow, Suspect
from .audit_rows import AuditRow, AuditSet
from .audit_stage import stage_told
from .detector import Budget, OnProgress
from .records import Entity, Ruling, counted

BLOCK_P, REVIEW_P = 0.01, 0.05
"""Of the rank test, adjusted: an identity blocks from the first on, a circumstance is for review from the second on."""
REVIEW_SHARE = 0.5
"""Of a circumstance's benign-labelled rows, the share that has to read malicious besides."""


@dataclass
class _Work:
    """What the stages share."""

    audited: AuditSet
    budget: Budget
    on_progress: OnProgress
    seconds: dict[str, float] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.malicious: Bools = np.array([row.label for row in self.audited.rows], dtype=bool)
        self.gaps += self.audited.gaps

    def told(self, stage: str) -> Told:
        """Shows progress of a stage, and answers whether the budget has room for more of it."""
        return stage_told(stage, self.budget, self.on_progress, self.seconds)


def audit(
    audited: AuditSet,
    budget: Budget,
    on_progress: OnProgress = lambda what, done, total: None,
    scorer: Scorer | None = None,
) -> Audit:
    """Audits a training set.

    Args:
        audited: The rows.
        budget: Wall time; what it leaves undone bars `allow`.
        on_progress: Called meanwhile.
        scorer: Reads rows; by default TF-IDF with logistic regression.
    """
    work = _Work(audited, budget, on_progress)
    shown, scan = _scanned(work)
    suspects = _suspects(work, shown, scan.found, scorer) if scan.found else []
    barring = sorted((s for s in suspects if s.ruling != "allow"), key=_badness)
    ruling, why = _ruled(barring, work.gaps, scan)
    benign = float((~work.malicious).mean())
    identities = sum(is_identity(entity) for entity in scan.tested)
    return Audit(
        ruling, why, tuple(barring), tuple(s for s in suspects if s.ruling == "allow"), tuple(work.gaps),
        dict(sorted(Counter(entity.kind for entity in scan.tested).items())), len(audited.rows), int(work.malicious.sum()),
        smallest_rows(benign, 2 * identities), smallest_lifts(benign, 2 * identities),
        {"set": audited.name, "rows": audited.digest, "read by": "TF-IDF with logistic regression" if scorer is None else "own"},
        work.seconds, audited.path is not None,
    )  # fmt: skip


def _scanned(work: _Work) -> tuple[Shown, Scan]:
    rows = work.audited.rows
    shown = shown_by(rows)
    if shown.passed_over:
        work.gaps.append(f"{counted(shown.passed_over, 'pair')} of entities: more than are tried")
    strata = strata_of(rows)
    scan = associations(Tables(~work.malicious, strata), shown.rows, work.told("labels"))
    if alone := without_match(shown, strata, ~work.malicious):
        worst = max(alone, key=lambda entity: alone[entity])
        more = f", and likewise of {counted(len(alone) - 1, 'entity')} more" if len(alone) > 1 else ""
        work.gaps.append(
            f"{counted(alone[worst], 'row')} of {worst} labelled benign: nobody else's share their rule{more}"
        )
    if scan.left_out:
        work.gaps.append(f"{counted(scan.left_out, 'entity')}: the budget ran out")
    if scan.untold:
        work.gaps.append(
            f"{counted(scan.untold, 'entity')} more that stand out: only the first {MOST_FOUND} are looked into"
        )
    if not any(is_identity(entity) for entity in scan.tested):
        named = ", ".join(IDENTITIES)
        work.gaps.append(f"no {named} has rows enough to tell its labels from chance")
    return shown, scan


def _suspects(work: _Work, shown: Shown, found: Sequence[Association], scorer: Scorer | None) -> list[Suspect]:
    """Reads the rows of what stands out, and rules on each."""
    rows, malicious = work.audited.rows, work.malicious
    score = scorer or tfidf_scorer(work.audited.texts, malicious)
    ordinary = confident_issues(ordinary_margins(score, malicious, work.told("rows, ordinary folds")), malicious)
    apart = _set_apart(work, shown, found, score)
    readings = [_reading(work, shown, a, apart[a.entity]) for a in found]
    if unread := sum(reading is None for reading in readings):
        fault = "the budget, or the rows of others, did not suffice to read them"
        work.gaps.append(f"the rows of {counted(unread, 'suspect')}: {fault}")
    adjusted = iter(holm([reading.p for reading in readings if reading]))
    suspects = []
    for a, reading in zip(found, readings, strict=True):
        benign = np.flatnonzero(shown.mask(a.entity) & ~malicious)
        doubts = apart[a.entity].doubted, ordinary
        suspects.append(_suspect(rows, a, reading, next(adjusted) if reading else None, doubts, benign))
    return suspects


@dataclass(frozen=True)
class _Apart:
    """All rows as models see them that saw nothing of a suspect; each of shape (N,)."""

    margins: Floats
    others: Bools
    """Rows of no suspect that were set apart: what they were fitted on."""
    doubted: Bools
    """By confident learning, row by row."""


def _set_apart(work: _Work, shown: Shown, found: Sequence[Association], score: Scorer) -> dict[Entity, _Apart]:
    """Scores per suspect. Identities are set apart all at once; of circumstances only the one in question is.

    Words that rightly tell what is benign stand out together: without all of them nothing would read benign any more.
    """
    malicious = work.malicious
    users = [str(row.case.alert.entities.user or row.uid) for row in work.audited.rows]
    named: Bools = np.zeros(len(malicious), dtype=bool)
    for a in found:
        if is_identity(a.entity):
            named |= shown.apart(a.entity)
    masks = {"": named} if named.any() else {}
    masks |= {str(a.entity): named | shown.mask(a.entity) for a in found if not is_identity(a.entity)}
    told = work.told("rows, suspects apart")
    seen: dict[str, _Apart] = {}
    for number, (name, mask) in enumerate(masks.items()):
        margins = grouped_margins(score, malicious, users, mask, _further(told, number, len(masks)))
        seen[name] = _Apart(margins, ~mask & np.isfinite(margins), confident_issues(margins, malicious))
    return {a.entity: seen["" if is_identity(a.entity) else str(a.entity)] for a in found}


def _further(told: Told, done: int, several: int) -> Told:
    """Progress of one of several passes over the folds, as progress of all of them."""
    return lambda fold, folds: told(done * folds + fold, several * folds)


def _reading(work: _Work, shown: Shown, association: Association, apart: _Apart) -> Reading | None:
    """How the suspect's rows read; None where no model could read all of them."""
    mine = shown.mask(association.entity)
    if not np.isfinite(apart.margins[mine & ~work.malicious]).all() or not apart.others.any():
        return None
    # The labels of an identity speak for poison. Those of a circumstance may be right: its rows have to speak for themselves.
    explained = _explained(association) if is_identity(association.entity) else 1.0
    return read_rows(apart.margins, work.malicious, rules_of(work.audited.rows), mine, apart.others, explained)


def _suspect(
    rows: Sequence[AuditRow], association: Association, reading: Reading | None, p: float | None,
    doubts: tuple[Bools, Bools], benign: Indices,
) -> Suspect:  # fmt: skip
    ruling = _ruling(association.entity, p, reading.share if reading else None)
    flagged: list[FlaggedRow] = []
    if reading is not None and ruling != "allow":
        chance = dict(zip(reading.rows.tolist(), reading.chance.tolist(), strict=True))
        flagged = [FlaggedRow(rows[i].line, rows[i].uid, chance[i]) for i in reading.flagged.tolist()]
        flagged.sort(key=lambda row: (-row.chance, row.line))
    grouped, ordinary = (tuple(rows[i].line for i in benign if doubted[i]) for doubted in doubts)
    share = reading.share if reading else None
    why = _why(association, ruling, share, len(flagged))
    return Suspect(association, ruling, p, share, tuple(flagged), grouped, ordinary, why)


def _ruling(entity: Entity, p: float | None, share: float | None) -> Ruling:
    if is_identity(entity):
        return "block" if p is not None and p <= BLOCK_P else "review"
    if p is None or share is None:
        return "review"
    return "review" if p <= REVIEW_P and share >= REVIEW_SHARE else "allow"


def _why(association: Association, ruling: Ruling, share: float | None, flagged: int) -> str:
    a = association
    labels = f"{a.entity}: {a.benign:,} of {counted(a.rows, 'row')} labelled benign, {a.expected:.0f} expected"
    if share is None:
        return f"{labels}; its rows could not be read"
    if flagged:
        return f"{labels}; {share:.0%} of these read malicious, {counted(flagged, 'row')} flagged"
    if ruling == "allow":
        return f"{labels}; its rows read benign"
    return f"{labels}; its rows read benign: an honest imbalance, or clean-label poison, that a model may learn"


def _explained(association: Association) -> float:
    """Of the benign labels, those that the malicious ones lead one to expect at the odds of the match, in [0, 1]."""
    a = association
    malicious = a.rows - a.benign
    odds = a.expected / max(a.rows - a.expected, 1e-9)
    return min(1.0, malicious * odds / a.benign) if a.benign else 1.0


def _ruled(barring: Sequence[Suspect], gaps: Sequence[str], scan: Scan) -> tuple[Ruling, str]:
    """The worst suspect's ruling, and never `allow` over a gap."""
    if barring:
        return barring[0].ruling, barring[0].why
    if gaps:
        return "review", f"not tested: {gaps[0]}"
    return "allow", f"no entity is labelled benign beyond its match; {counted(len(scan.tested), 'entity')} were tested"


def _badness(suspect: Suspect) -> tuple[bool, bool, float, float]:
    a = suspect.association
    return suspect.ruling != "block", not is_identity(a.entity), a.p, -a.lift
