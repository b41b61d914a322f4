"""OCSF Detection Finding (class 2004), in and out.

Out: the required attributes (activity_id, category_uid, class_uid, finding_info, metadata, severity_id, time, type_uid)
and the profile-free ones that carry our entities. In: the same places; `unmapped`, and whatever else `evidences`, `actor`,
`device`, `resources` and `observables` hold, become raw fields. Source: https://schema.ocsf.io/1.4.0/classes/detection_finding
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Mistake
from ..records import Alert, Entities, Severity
from .flatten import bounded, leaves, spread
from .lines import read_lines, text_of
from .records import LabelledAlert

OCSF_VERSION = "1.4.0"
CLASS_UID = 2004
_SEVERITY_IDS = {severity: number for number, severity in enumerate(Severity, start=1)}
_SEVERITIES = {number: severity for severity, number in _SEVERITY_IDS.items()} | {6: Severity.CRITICAL}
_UNSAID = (0, 99)
"""`severity_id`: 0 unknown, 99 other."""
_LABELS = {1: False, 2: True, 5: False}
"""`verdict_id` (of the incident profile): 1 false positive, 2 true positive, 5 benign; the others say neither."""
_TELLING = ("evidences", "actor", "device", "resources", "observables")
"""Attributes that tell what an alert is about."""
_LATEST_MS = 4_102_444_800_000  # the year 2100


def to_ocsf(alert: Alert) -> dict[str, Any]:
    """The alert as a Detection Finding, ready for `json.dumps`. `kind` is not carried: it is ours alone."""
    who = alert.entities
    finding: dict[str, Any] = {"uid": alert.uid, "title": alert.title}
    if alert.activity:
        finding["desc"] = alert.activity
    if alert.technique:
        finding["attacks"] = [{"technique": {"uid": alert.technique}}]
    process = _present(name=who.process, cmd_line=who.command_line)
    evidence = _present(
        actor=_present(user=_present(name=who.user)),
        device=_present(hostname=who.host),
        process=process,
        src_endpoint=_present(ip=who.address, domain=who.domain),
        file={"name": who.file, "type_id": 0} if who.file else None,
    )
    event: dict[str, Any] = {
        "activity_id": 1,
        "category_uid": 2,
        "class_uid": CLASS_UID,
        "type_uid": CLASS_UID * 100 + 1,
        "time": round(alert.time.timestamp() * 1000),
        "severity_id": _SEVERITY_IDS[alert.severity],
        "severity": alert.severity.value.capitalize(),
        "metadata": {"version": OCSF_VERSION, "product": {"name": alert.product, "vendor_name": alert.product}},
        "finding_info": finding,
    }
    if evidence:
        event["evidences"] = [evidence]
    if who.resource:
        event["resources"] = [{"name": who.resource}]
    if alert.raw:
        event["unmapped"] = dict(alert.raw)
    return event


def from_ocsf(event: Mapping[str, Any]) -> Alert:
    """The alert that a Detection Finding tells of, as kind `external`.

    Raises:
        ValueError: Not a Detection Finding, a required attribute is missing or out of range, or a field that we read
            is of another type (to pass it over would hide from the model what an alert is about); the message names it.
    """
    if event.get("class_uid") != CLASS_UID:
        raise ValueError(f"class_uid is {bounded(event.get('class_uid'), 40)}, not {CLASS_UID} (Detection Finding)")
    finding = _object(event, "finding_info")
    uid, title = _text(finding, "uid"), _text(finding, "title")
    if not uid or len(uid) > 200 or not title:
        raise ValueError("finding_info needs a uid (at most 200 characters) and a title")
    product = _object(_object(event, "metadata"), "product")
    unmapped = _object(event, "unmapped")
    entities = _entities(event)
    return Alert(
        uid=uid,
        time=_time(event.get("time")),
        title=title,
        severity=_severity(event.get("severity_id")),
        product=_text(product, "name") or "unknown",
        technique=_technique(finding, event),
        kind="external",
        activity=_text(finding, "desc") or _text(event, "message"),
        entities=entities,
        raw=spread(unmapped, _untold(event, entities)),
    )


def read_ocsf(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Alerts of a file with one Detection Finding per line; a line that is not one is a `Mistake`."""
    yield from read_lines(path, parse_finding)


def parse_finding(thing: Any, place: str) -> LabelledAlert:
    """The alert of one line's JSON, labelled by its verdict. Raises ValueError as `from_ocsf`."""
    if not isinstance(thing, Mapping):
        raise ValueError("not an object")
    alert = from_ocsf(thing)
    verdict = thing.get("verdict_id")
    label = _LABELS.get(verdict) if isinstance(verdict, int) and not isinstance(verdict, bool) else None
    analytic = _object(_object(thing, "finding_info"), "analytic")
    return LabelledAlert(alert, label, _text(analytic, "uid"), alert.product, place)


def _entities(event: Mapping[str, Any]) -> Entities:
    evidence = _first(event, "evidences")
    actor = _object(evidence, "actor") or _object(event, "actor")
    process = _object(evidence, "process") or _object(actor, "process")
    source = _object(evidence, "src_endpoint") or _object(evidence, "dst_endpoint")
    device = _object(evidence, "device") or _object(event, "device")
    user, resource = _object(actor, "user"), _first(event, "resources")
    return Entities(
        user=_text(user, "name") or _text(user, "email_addr") or _text(user, "uid") or None,
        host=_text(device, "hostname") or _text(device, "name") or None,
        process=_text(process, "name") or None,
        command_line=_text(process, "cmd_line") or None,
        address=_text(source, "ip") or None,
        domain=_text(source, "domain") or None,
        file=_text(_object(evidence, "file"), "name") or None,
        resource=_text(resource, "name") or _text(resource, "uid") or None,
    )


def _untold(event: Mapping[str, Any], entities: Entities) -> dict[str, Any]:
    """What the attributes that tell of an alert hold beyond its entities, by dotted key."""
    said = {getattr(entities, slot) for slot in Entities.__slots__}
    telling = {name: event[name] for name in _TELLING if name in event}
    return {
        path: value
        for path, value in leaves(telling)
        if value not in said and value != "" and not path.endswith(".type_id")
    }


def _technique(finding: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    attack = _first(finding, "attacks") or _first(event, "attacks")
    for part in ("sub_technique", "technique"):
        uid = _text(_object(attack, part), "uid")
        if re.fullmatch(r"T\d{4}(\.\d{3})?", uid):
            return uid
    return None


def _time(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_MS:
        raise ValueError("time must be whole milliseconds since 1970, before 2100")
    seconds, milliseconds = divmod(value, 1000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=milliseconds * 1000)


def _severity(value: Any) -> Severity:
    if isinstance(value, bool) or not isinstance(value, int) or value not in (*_SEVERITIES, *_UNSAID):
        raise ValueError("severity_id must be 0 to 6 or 99")
    return _SEVERITIES.get(value, Severity.MEDIUM)


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of that name; an empty one where there is none."""
    value = holder.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} is not an object")
    return value or {}


def _first(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The first object of the list of that name; an empty one where there is none."""
    value = holder.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, Mapping) for item in value)):
        raise ValueError(f"{name} is not a list of objects")
    return value[0] if value else {}


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if isinstance(value, dict | list):
        raise ValueError(f"{name} is not text")
    return text_of(value)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
