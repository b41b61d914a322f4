"""Our own alert form, one JSON object per line: an alert, or `{"alert": ..., "label": ..., "group": ..., "stratum": ...}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import Mistake
from ..records import Alert, Entities, Severity
from .flatten import bounded, spread
from .lines import read_lines
from .records import LabelledAlert

_VERDICT_WORDS = {
    "malicious": True,
    "true_positive": True,
    "benign": False,
    "benign_positive": False,
    "false_positive": False,
    "inconclusive": None,
}
"""Words in which analysts label alerts; `inconclusive` counts as unlabelled."""


def _cut(value: object) -> object:
    return bounded(value) if isinstance(value, str) else value


def _no_number_as_text(value: object) -> object:
    """A number in quotes may be a year, a month or seconds: no time is made of it."""
    if isinstance(value, str) and re.fullmatch(r"[\s\d.+-]*", value):
        raise ValueError("a number in quotes; write it like 2026-03-02T09:14:00Z")
    return value


Text = Annotated[str, BeforeValidator(_cut)]

_WRAPPER = ("alert", "label", "group", "stratum")
EARLIEST_YEAR, LATEST_YEAR = 1970, 2100


class _EntitiesForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    user: Text | None = None
    host: Text | None = None
    process: Text | None = None
    command_line: Text | None = None
    address: Text | None = None
    domain: Text | None = None
    file: Text | None = None
    resource: Text | None = None


class _AlertForm(BaseModel):
    """Fields of `Alert` as JSON. `kind` may be given and is not believed: no tool knows anything about an outside alert."""

    model_config = ConfigDict(extra="forbid")
    uid: Annotated[str, Field(min_length=1, max_length=200)]
    time: Annotated[AwareDatetime, BeforeValidator(_no_number_as_text)]
    title: Annotated[str, Field(min_length=1), BeforeValidator(_cut)]
    severity: Severity = Severity.MEDIUM
    product: Text = "unknown"
    technique: Annotated[str | None, Field(pattern=r"^T\d{4}(\.\d{3})?$")] = None
    kind: str = "external"
    activity: Text = ""
    entities: _EntitiesForm = _EntitiesForm()
    raw: dict[str, Any] = {}


def read_jsonl(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Alerts of a file of JSON lines in our own form; a line that is not one is a `Mistake`."""
    yield from read_lines(path, parse_alert)


def to_json(alert: Alert) -> dict[str, Any]:
    """The alert in our own form; `read_jsonl` reads it back as the same alert, but for `kind`."""
    named = {slot: getattr(alert.entities, slot) for slot in Entities.__slots__}
    return {
        "uid": alert.uid,
        "time": alert.time.isoformat(),
        "title": alert.title,
        "severity": alert.severity.value,
        "product": alert.product,
        "technique": alert.technique,
        "kind": alert.kind,
        "activity": alert.activity,
        "entities": {slot: value for slot, value in named.items() if value is not None},
        "raw": dict(alert.raw),
    }


def parse_alert(thing: Any, place: str) -> LabelledAlert:
    """The alert of one line's JSON, bare or beside its label. Raises ValueError where it is none; the message names the fault."""
    if not isinstance(thing, Mapping):
        raise ValueError("not an object")
    wrapped = isinstance(thing.get("alert"), Mapping)
    if wrapped and (strange := [bounded(name, 40) for name in thing if name not in _WRAPPER]):
        names = ", ".join(f"`{name}`" for name in strange[:8])
        raise ValueError(f"{names}: no such field beside `alert`; known are {', '.join(_WRAPPER[1:])}")
    try:
        form = _AlertForm.model_validate(thing["alert"] if wrapped else thing)
    except ValidationError as error:
        raise ValueError("; ".join(_fault_words(error))) from None
    if not EARLIEST_YEAR <= form.time.year <= LATEST_YEAR:
        raise ValueError(f"`time`: the year {form.time.year} is not from {EARLIEST_YEAR} to {LATEST_YEAR}")
    alert = Alert(
        uid=form.uid,
        time=form.time.astimezone(UTC),
        title=form.title,
        severity=form.severity,
        product=form.product,
        technique=form.technique,
        kind="external",
        activity=form.activity,
        entities=Entities(**form.entities.model_dump()),
        raw=spread(form.raw),
    )
    beside = thing if wrapped else {}
    stratum = bounded(beside.get("stratum") or alert.product, 200)
    return LabelledAlert(alert, _label(beside.get("label")), bounded(beside.get("group") or "", 200), stratum, place)


def _fault_words(error: ValidationError) -> Iterator[str]:
    """What is wrong with a line: fields that are none of ours in one sentence, then each other fault."""
    strange = [fault["loc"] for fault in error.errors() if fault["type"] == "extra_forbidden"]
    if strange:
        names = ", ".join(f"`{'.'.join(map(str, place))}`" for place in strange[:8])
        form = _EntitiesForm if all(len(place) > 1 for place in strange) else _AlertForm
        yield f"{names}: no such field; known are {', '.join(form.model_fields)}; what else there is goes into raw"
    for fault in [fault for fault in error.errors() if fault["type"] != "extra_forbidden"][:8]:
        yield f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}"


def _label(word: Any) -> bool | None:
    if word is None or isinstance(word, bool):
        return word
    if isinstance(word, str) and word.lower() in _VERDICT_WORDS:
        return _VERDICT_WORDS[word.lower()]
    raise ValueError(f"unknown label {bounded(word, 40)!r}; known are true, false, {', '.join(_VERDICT_WORDS)}")
