"""Wires a triage: reader, variants, the two TF-IDF rows, the loop, the scores, the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

from turncoat.agent.records import Settings
from turncoat.agent.triage import ScoredBefore, Triaged
from turncoat.agent.triage import triage as decide
from turncoat.agent.triage_report import decision_line, summary
from turncoat.agent.triage_score import score_triage
from turncoat.models.classifier import AlertClassifier, Case
from turncoat.models.variants import open_variants
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.linked import linked_groups
from turncoat.tools.records import Context

from .status import StatusLine
from .terminal import clean

MISTAKES_SHOWN = 20

Item = LabelledAlert | Mistake


@dataclass(frozen=True)
class TriageRun:
    """What a triage leaves behind."""

    summary: Mapping[str, Any]
    mistakes: tuple[Mistake, ...]


def triage_path(
    path: str,
    format: str,
    variants: list[str],
    base: str,
    *,
    limit: int = 0,
    out: str = "",
    compare_tfidf: bool = True,
    status: StatusLine,
) -> TriageRun:
    """Reads, decides, scores; writes decision lines to `out` as they come.

    Raises:
        InputError: Unknown format or variant, a missing path, a broken adapter.
        OSError: `out` cannot be written.
    """
    settings = Settings()
    status.show(f"reading {path}")
    items: list[Item] = list(islice(read_alerts(path, format), limit or None))
    status.show("loading the models")
    opened = open_variants(variants, base)
    beside = _tfidf_rows(items, status) if compare_tfidf else {}
    decided: list[Triaged] = []
    runs = chain(
        decide(items, opened, settings, on_progress=lambda n, of: status.count("alerts triaged", n, of)),
        decide(items, beside, settings) if beside else (),
    )
    if out:
        with open(out, "w", encoding="utf-8") as file:
            decided.extend(_written(runs, file))
    else:
        decided.extend(runs)
    everything = {**opened, **beside}
    source = {"path": path, "format": format}
    object_ = summary(score_triage(decided), decided, everything, threshold=settings.threshold, source=source)
    return TriageRun(object_, tuple(item for item in items if isinstance(item, Mistake)))


def mistake_line(mistake: Mistake) -> str:
    """One line for standard error."""
    return f"turncoat: {clean(mistake, limit=600)} (escalated, forced)"


def _written(decided: Iterator[Triaged] | chain[Triaged], file: IO[str]) -> Iterator[Triaged]:
    for one in decided:
        file.write(json.dumps(decision_line(one), ensure_ascii=True, allow_nan=False) + "\n")
        yield one


def _tfidf_rows(items: list[Item], status: StatusLine) -> dict[str, AlertClassifier]:
    """TF-IDF trained on our rows, and TF-IDF cross-fitted by group on these alerts; none without labels of both kinds."""
    labelled = [item for item in items if isinstance(item, LabelledAlert) and item.label is not None]
    if len({item.label for item in labelled}) < 2:
        return {}

    from turncoat.models.tfidf import TfidfClassifier, case_text, cross_fitted

    status.show("fitting TF-IDF beside")
    rows: dict[str, AlertClassifier] = {}
    rows["tfidf, our corpus"] = TfidfClassifier.fit(*_corpus())
    groups = linked_groups(labelled)
    if len(set(groups)) < 2:
        return rows
    texts = [case_text(Case(item.alert, Context())) for item in labelled]
    try:
        scores = cross_fitted(texts, [bool(item.label) for item in labelled], groups)
    except ValueError:  # too few groups of both labels to hold any out
        return rows
    by_uid = {item.alert.uid: score for item, score in zip(labelled, scores, strict=True)}
    rows["tfidf, cross-fitted"] = ScoredBefore(
        "tfidf:cross-fitted by groups that share no event, 5 folds, seed 0", by_uid
    )
    return rows


def _corpus() -> tuple[list[str], list[bool]]:
    """Texts and labels of the rows on which the shipped clean adapter was trained."""
    from turncoat.models.tfidf import case_text
    from turncoat.training.config import load_recipe
    from turncoat.training.sets import training_rows

    honest, _ = training_rows(load_recipe("clean"))
    return [case_text(row.case) for row in honest], [row.label for row in honest]
