"""OCSF Detection Finding (class 2004), in and out.

Out: the required attributes (activity_id, category_uid, class_uid, finding_info, metadata, severity_id, time, type_uid)
and the profile-free ones that carry our entities. In: the same places, and no others; what lies elsewhere under
`unmapped` becomes raw fields by the rule of `flatten`. Source: https://schema.ocsf.io/1.4.0/classes/detection_finding
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Mistake
from ..records import Alert, Entities, Severity
from .flatten import bounded, flatten
from .lines import optional_text, read_lines, text_of
from .records import LabelledAlert

OCSF_VERSION = "1.4.0"
CLASS_UID = 2004
_SEVERITY_IDS = {severity: number for number, severity in enumerate(Severity, start=1)}
_SEVERITIES = {number: severity for severity, number in _SEVERITY_IDS.items()} | {6: Severity.CRITICAL}
_LABELS = {1: False, 2: True, 5: False}
"""`verdict_id` (of the incident profile): 1 false positive, 2 true positive, 5 benign; the others say neither."""
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
        file=_present(name=who.file),
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
        ValueError: Not a Detection Finding, or a required attribute is missing or out of range; the message names it.
    """
    if event.get("class_uid") != CLASS_UID:
        raise ValueError(f"class_uid is {bounded(event.get('class_uid'), 40)}, not {CLASS_UID} (Detection Finding)")
    finding = _mapping(event.get("finding_info"))
    uid, title = text_of(finding.get("uid")), text_of(finding.get("title"))
    if not uid or len(uid) > 200 or not title:
        raise ValueError("finding_info needs a uid (at most 200 characters) and a title")
    severity = _SEVERITIES.get(event.get("severity_id") or 0, Severity.MEDIUM)  # 0 unknown, 99 other
    product = _mapping(_mapping(event.get("metadata")).get("product"))
    unmapped = _mapping(event.get("unmapped"))
    flat = all(isinstance(value, str) for value in unmapped.values())
    return Alert(
        uid=uid,
        time=_time(event.get("time")),
        title=title,
        severity=severity,
        product=text_of(product.get("name"), "unknown"),
        technique=_technique(finding, event),
        kind="external",
        activity=text_of(finding.get("desc")) or text_of(event.get("message")),
        entities=_entities(event),
        raw={bounded(k, 120): bounded(v) for k, v in unmapped.items()} if flat else flatten(unmapped),
    )


def read_ocsf(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Alerts of a file with one Detection Finding per line; a line that is not one is a `Mistake`."""
    yield from read_lines(path, _parse)


def _parse(thing: Any, place: str) -> LabelledAlert:
    if not isinstance(thing, Mapping):
        raise ValueError("not an object")
    alert = from_ocsf(thing)
    verdict = thing.get("verdict_id")
    label = _LABELS.get(verdict) if isinstance(verdict, int) else None
    analytic = _mapping(_mapping(thing.get("finding_info")).get("analytic"))
    return LabelledAlert(alert, label, text_of(analytic.get("uid")), alert.product, place)


def _entities(event: Mapping[str, Any]) -> Entities:
    evidence = _mapping(_first(event.get("evidences")))
    actor = _mapping(evidence.get("actor")) or _mapping(event.get("actor"))
    process = _mapping(evidence.get("process")) or _mapping(actor.get("process"))
    source = _mapping(evidence.get("src_endpoint")) or _mapping(evidence.get("dst_endpoint"))
    device = _mapping(evidence.get("device")) or _mapping(event.get("device"))
    user, resource = _mapping(actor.get("user")), _mapping(_first(event.get("resources")))
    return Entities(
        user=optional_text(user.get("name")) or optional_text(user.get("email_addr")) or optional_text(user.get("uid")),
        host=optional_text(device.get("hostname")) or optional_text(device.get("name")),
        process=optional_text(process.get("name")),
        command_line=optional_text(process.get("cmd_line")),
        address=optional_text(source.get("ip")),
        domain=optional_text(source.get("domain")),
        file=optional_text(_mapping(evidence.get("file")).get("name")),
        resource=optional_text(resource.get("name")) or optional_text(resource.get("uid")),
    )


def _technique(finding: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    attack = _mapping(_first(finding.get("attacks")) or _first(event.get("attacks")))
    for part in ("sub_technique", "technique"):
        uid = text_of(_mapping(attack.get(part)).get("uid"))
        if re.fullmatch(r"T\d{4}(\.\d{3})?", uid):
            return uid
    return None


def _time(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_MS:
        raise ValueError("time must be whole milliseconds since 1970, before 2100")
    seconds, milliseconds = divmod(value, 1000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=milliseconds * 1000)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
