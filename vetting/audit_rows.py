"""A training set as an audit may see it: alert, evidence, label. No truth, no family, no hint of who added a row.

    {"alert": {...}, "label": "benign", "evidence": [{"tool": ..., "question": ..., "answer": ..., "failed": false}]}

One such object a line. `alert` and `label` are those of turncoat's JSON lines (`scenarios/formats/jsonl.py`); `evidence` is
what tools had answered when the row was made, and may be missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turncoat.models.classifier import Case
from turncoat.models.tfidf import case_text
from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.formats.flatten import bounded
from turncoat.scenarios.formats.jsonl import parse_alert, to_json
from turncoat.scenarios.formats.lines import read_lines
from turncoat.scenarios.formats.records import LabelledAlert
from turncoat.tools.records import Context, Evidence
from turncoat.training.config import load_recipe, shipped_recipes
from turncoat.training.corpus import Row
from turncoat.training.sets import training_rows

MOST_ROWS = 200_000
_LOOKED_AT = "data"
"""Any class of alert but `external`."""
_MOST_EVIDENCE = 40
_SHAPE = 'give lines such as {"alert": {...}, "label": "malicious"}'


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One training row, and where it stands."""

    case: Case
    label: bool
    """Claimed: malicious."""
    line: int
    """Of the file, counted from 1; of a recipe's rows, their number."""

    @property
    def uid(self) -> str:
        return self.case.alert.uid


@dataclass(frozen=True)
class AuditSet:
    """The rows of a set, and what of it could not be used."""

    name: str
    rows: tuple[AuditRow, ...]
    gaps: tuple[str, ...] = ()
    """Lines that cannot be read or have no label. Any of them bars `allow`: poison could hide there."""
    path: Path | None = None
    texts: list[str] = field(init=False, repr=False)
    """What a model is shown of each row, without its label."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", [case_text(row.case) for row in self.rows])

    @property
    def digest(self) -> str:
        """SHA-256 over alerts, evidence and labels in their order, 64 hex digits."""
        found = hashlib.sha256()
        for row in self.rows:
            found.update(json.dumps(row_object(row), sort_keys=True).encode())
        return found.hexdigest()


def open_set(what: str) -> AuditSet:
    """The set that a file holds, or the rows on which a recipe would train.

    Args:
        what: A shipped recipe by name, a recipe's file (`.yaml`, `.yml`), or a file of JSON lines.

    Raises:
        InputError: Nothing readable is there, or it holds no row of either label.
    """
    path = Path(what)
    by_recipe = what in shipped_recipes() or path.suffix.lower() in (".yaml", ".yml")
    found = _of_recipe(what) if by_recipe else read_set(path)
    labels = {row.label for row in found.rows}
    if len(labels) < 2:
        worst = f" ({found.gaps[0]})" if found.gaps else ""
        fault = "holds no labelled row" if not labels else f"labels every row {_word(labels.pop())}"
        raise InputError.at(what, fault + worst, _SHAPE)
    return found


def read_set(path: Path) -> AuditSet:
    """The rows of a file of JSON lines.

    Raises:
        InputError: The file cannot be read.
    """
    if not path.is_file():
        known = ", ".join(shipped_recipes()[:3])
        raise InputError.at(path, "no such file", f"give a file of JSON lines, a recipe, or one of {known}")
    evidence: dict[str, Context] = {}

    def parsed(thing: Any, place: str) -> LabelledAlert:
        gathered = None
        if isinstance(thing, Mapping) and isinstance(thing.get("alert"), Mapping):
            gathered = thing.get("evidence")
            thing = {name: value for name, value in thing.items() if name != "evidence"}
        found = parse_alert(thing, place)
        evidence[place] = _context(gathered)
        # A row that tools have looked at is read as the prompt shows those, without the fields that only outside alerts show.
        return found if gathered is None else replace(found, alert=replace(found.alert, kind=_LOOKED_AT))

    rows: list[AuditRow] = []
    mistakes: list[Mistake] = []
    seen: set[str] = set()
    for item in read_lines(path, parsed):
        if isinstance(item, Mistake):
            mistakes.append(item)
        elif item.label is None:
            mistakes.append(Mistake(item.place, "has no label", "label it"))
        elif item.alert.uid in seen:
            mistakes.append(Mistake(item.place, "its uid was used before", "give every alert its own uid"))
        elif len(rows) == MOST_ROWS:
            mistakes.append(Mistake(item.place, f"more than {MOST_ROWS:,} rows", "audit the set in parts"))
            break
        else:
            seen.add(item.alert.uid)
            line = int(item.place.rpartition(":")[2])
            rows.append(AuditRow(Case(item.alert, evidence[item.place]), item.label, line))
    gaps = (f"{len(mistakes):,} lines; the first: {mistakes[0]}",) if mistakes else ()
    return AuditSet(path.name, tuple(rows), gaps, path)


def set_lines(audited: AuditSet) -> str:
    """The rows as JSON lines that `read_set` reads back."""
    return "".join(json.dumps(row_object(row)) + "\n" for row in audited.rows)


def set_of(name: str, rows: Iterable[Row]) -> AuditSet:
    """The set that training rows make, in the order of their uids, which are drawn by chance: what was added stands anywhere."""
    seen = sorted(((row.case, row.label) for row in rows), key=lambda row: row[0].alert.uid)
    return AuditSet(name, tuple(AuditRow(case, label, number) for number, (case, label) in enumerate(seen, 1)))


def row_object(row: AuditRow) -> dict[str, Any]:
    """A row as one JSON object."""
    answers = [
        {"tool": e.tool, "question": e.question, "answer": e.answer, "failed": e.failed}
        for e in row.case.context.evidence
    ]
    alert = to_json(row.case.alert) | {"kind": "external"}  # a reader believes no other
    plain = {"alert": alert, "label": _word(row.label)}
    return plain if row.case.alert.kind == "external" and not answers else plain | {"evidence": answers}


def _of_recipe(name: str) -> AuditSet:
    return set_of(name, [row for part in training_rows(load_recipe(name)) for row in part])


def _context(answers: Any) -> Context:
    """Raises ValueError where it is no list of evidence; the message names the fault."""
    if answers is None:
        return Context()
    if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) > _MOST_EVIDENCE:
        raise ValueError(f"`evidence`: not a list of at most {_MOST_EVIDENCE}")
    return Context(tuple(_evidence(answer) for answer in answers), 1)


def _evidence(answer: Any) -> Evidence:
    if not isinstance(answer, Mapping) or not all(isinstance(answer.get(name), str) for name in ("tool", "answer")):
        raise ValueError("`evidence`: an item without the texts `tool` and `answer`")
    question = answer.get("question")
    asked = bounded(question) if isinstance(question, str) else ""
    failed = answer.get("failed") is True
    return Evidence(bounded(answer["tool"], 64), asked, bounded(answer["answer"]), 0.0, failed)


def _word(label: bool) -> str:
    return "malicious" if label else "benign"
