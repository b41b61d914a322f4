"""Detection Findings, in and out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turncoat.scenarios.formats import from_ocsf, read_alerts, to_ocsf
from turncoat.scenarios.records import Entities, Severity

from .alert_lines import ALERT, lines, readable


def test_ocsf_carries_an_alert_out_and_back(tmp_path: Path) -> None:
    event = to_ocsf(ALERT)
    assert {
        key: event[key] for key in ("class_uid", "type_uid", "category_uid", "activity_id", "severity_id", "time")
    } == {
        "class_uid": 2004,
        "type_uid": 200401,
        "category_uid": 2,
        "activity_id": 1,
        "severity_id": 4,
        "time": 1741064767089,
    }
    assert from_ocsf(json.loads(json.dumps(event))) == ALERT
    (item,) = readable(read_alerts(lines(tmp_path / "x", event | {"verdict_id": 2}), "ocsf"))
    assert (item.alert, item.label) == (ALERT, True)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"class_uid": 2001}, "class_uid is 2001"),
        ({"time": 1e20}, "time must be"),
        ({"time": None}, "time must be"),
        ({"finding_info": {"uid": "x"}}, "a title"),
        ({"finding_info": "x"}, "finding_info is not an object"),
        ({"finding_info": None}, "a uid"),
        ({"severity_id": 7}, "severity_id must be 0 to 6 or 99"),
        ({"evidences": "x"}, "evidences is not a list of objects"),
        ({"resources": {}}, "resources is not a list of objects"),
        ({"unmapped": []}, "unmapped is not an object"),
        ({"metadata": 3}, "metadata is not an object"),
    ],
)
def test_what_is_no_detection_finding_is_refused(change: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        from_ocsf(to_ocsf(ALERT) | change)


def test_ocsf_fields_that_are_absent_or_empty_are_passed_over() -> None:
    event = to_ocsf(ALERT) | {"evidences": [], "resources": None, "unmapped": {}, "severity_id": 99, "metadata": {}}
    alert = from_ocsf(event)
    assert (alert.entities, alert.raw, alert.severity, alert.product) == (Entities(), {}, Severity.MEDIUM, "unknown")


def test_ocsf_what_no_entity_says_stands_among_the_raw_fields() -> None:
    event = to_ocsf(ALERT)
    event["evidences"][0]["dst_endpoint"] = {"ip": "203.0.113.66"}
    event["evidences"].append({"process": {"cmd_line": "mimikatz privilege::debug"}})
    event["resources"].append({"name": "s3-crown-jewels"})
    event["observables"] = [{"name": "file.hash", "type_id": 8, "value": "d41d8c"}]
    raw = from_ocsf(event).raw
    assert raw == dict(ALERT.raw) | {
        "evidences.0.dst_endpoint.ip": "203.0.113.66",
        "evidences.1.process.cmd_line": "mimikatz privilege::debug",
        "resources.1.name": "s3-crown-jewels",
        "observables.file.hash": "d41d8c",
    }
