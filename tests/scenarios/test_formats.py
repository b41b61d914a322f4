"""Alerts from outside: what is read, what is refused, and that no label reaches an alert."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.flatten import MAX_FIELDS, flatten
from turncoat.scenarios.formats.jsonl import to_json
from turncoat.scenarios.formats.vendor_fields import UNKNOWN_TIME, find_entities, moment_of
from turncoat.scenarios.records import Alert, Entities, Severity

from .alert_lines import ALERT, lines, mistakes, readable

RULE = """\
AnalysisType: rule
RuleID: Cloud.Bulk.Delete
DisplayName: Bulk delete
Severity: Info
LogTypes: [Cloud.Audit]
Description: >
  Detects many deletions
  by one user. This may be legitimate.
Reports:
  MITRE ATT&CK:
    - TA0040:T1485
Tests:
  - Name: Should not alert
    ExpectedResult: false
    Log: {eventName: List, userIdentity: {userName: carol}, sourceIPAddress: 10.0.0.9, eventTime: "2024-03-01T09:00:00Z"}
  - Name: Mass deletion by intruder
    ExpectedResult: true
    Log: {eventName: Delete, userIdentity: {userName: dave}, p_row_id: abc, awsRegion: eu-west-1}
"""


def test_a_rule_and_its_test_event_become_an_alert(tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_text(RULE)
    first, second = readable(read_alerts(tmp_path, "panther"))
    assert first.alert == Alert(
        uid=first.alert.uid,
        time=datetime(2024, 3, 1, 9, 0, tzinfo=UTC),
        title="Bulk delete",
        severity=Severity.INFORMATIONAL,
        product="Cloud.Audit",
        technique="T1485",
        kind="external",
        activity="Detects many deletions by one user.",
        entities=Entities(user="carol", address="10.0.0.9"),
        raw={"eventName": "List"},
    )
    assert (first.label, first.group, first.stratum) == (False, "Cloud.Bulk.Delete", "Cloud.Audit")
    assert second.label is True
    assert second.alert.time == UNKNOWN_TIME
    assert second.alert.raw == {"eventName": "Delete", "awsRegion": "eu-west-1"}


def test_neither_the_name_nor_the_expected_result_of_a_test_reaches_the_alert(tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_text(RULE)
    flipped = tmp_path / "flipped"
    flipped.mkdir()
    changed = RULE.replace("ExpectedResult: false", "ExpectedResult: 1").replace("Should not alert", "Should alert")
    (flipped / "rule.yml").write_text(changed.replace("ExpectedResult: true", "ExpectedResult: false"))
    given = [item.alert for item in readable(read_alerts(tmp_path / "rule.yml", "panther"))]
    assert [item.alert for item in readable(read_alerts(flipped, "panther"))] == given
    assert "alert" not in str(given).lower().replace("alert(", "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Tests: [unclosed", "rule.yml:2:1: not valid YAML"),
        ("Tests: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("Tests: yes please", "`Tests` is not a list"),
        ("Tests: [{Name: x, ExpectedResult: true}]", "test 1: holds no event"),
        ("Tests: 2024-99-99", "cannot be read"),
        ("x: " + "y" * (1 << 20), "larger than 1 MiB"),
        ("Tests: \x00", "cannot be read"),
        ("Tests: " + "[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_a_bad_rule_is_one_mistake_and_the_others_are_read(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "a_good.yml").write_text(RULE)
    (tmp_path / "rule.yml").write_text(text + "\n")
    (tmp_path / "z_good.yaml").write_text(RULE)
    items = list(read_alerts(tmp_path, "panther"))
    (mistake,) = mistakes(iter(items))
    assert fault in str(mistake)
    assert len(readable(iter(items))) == 4


def test_aliases_that_stand_for_billions_end_in_a_bounded_alert(tmp_path: Path) -> None:
    bomb = ["a0: &a0 [x, y]"] + [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 12)]
    (tmp_path / "bomb.yml").write_text("\n".join(bomb) + "\nTests: [{ExpectedResult: true, Log: {deep: *a11}}]\n")
    (tmp_path / "cycle.yml").write_text("Tests: [{ExpectedResult: true, Log: &me {again: *me, list: [*me, *me]}}]\n")
    for item in readable(read_alerts(tmp_path, "panther")):
        assert len(item.alert.raw) <= MAX_FIELDS


def test_flattening_drops_bookkeeping_and_puts_what_was_done_first() -> None:
    event = {
        "requestID": "7f3",
        "awsRegion": "eu-west-1",
        "userAgent": "",
        "p_any_ip_addresses": ["1.2.3.4"],
        "parameters": [{"Name": "Forward", "Value": "x@evil.example"}],
        "roles": ["reader", "owner"],
        "errorCode": "AccessDenied",
        "copy": "AccessDenied",
        "eventName": "SetRule",
    }
    assert list(flatten(event).items()) == [
        ("eventName", "SetRule"),
        ("errorCode", "AccessDenied"),
        ("parameters.Forward", "x@evil.example"),
        ("roles", "reader, owner"),
        ("awsRegion", "eu-west-1"),
    ]


def test_an_address_field_that_holds_a_service_name_is_not_an_address() -> None:
    entities, used = find_entities({"sourceIPAddress": "cloudformation.amazonaws.com", "user": {"name": "erin"}})
    assert entities == Entities(user="erin")
    assert used == {"user.name"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5, True, "soon", "99999-01-01", 10**400, None, [1]])
def test_nonsense_is_no_time(value: object) -> None:
    assert moment_of(value) is None


def test_seconds_milliseconds_and_iso_text_are_times() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert [moment_of(v) for v in (1704110400, 1704110400000, "2024-01-01T13:00:00+01:00")] == [noon] * 3


def test_our_own_form_carries_an_alert_out_and_back(tmp_path: Path) -> None:
    bare, wrapped = (
        to_json(ALERT),
        {"alert": to_json(replace(ALERT, uid="c3")), "label": "false_positive", "group": "g"},
    )
    first, second = readable(read_alerts(lines(tmp_path / "x", bare, "", wrapped), "jsonl"))
    assert (first.alert, first.label, first.place) == (ALERT, None, f"{tmp_path / 'x'}:1")
    assert (second.label, second.group, second.stratum) == (False, "g", "DLP")


def test_the_lines_in_the_docs_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    (tmp_path / "x").write_text(example)
    first, second = readable(read_alerts(tmp_path / "x", "jsonl"))
    assert (first.alert.severity, first.alert.entities.host, first.alert.raw) == (
        "high",
        "WS-042",
        {"volume_mb": "412"},
    )
    assert (second.alert.severity, second.label, second.group) == ("medium", False, "sign-in-country")


def test_a_byte_order_mark_costs_no_alert(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + json.dumps(to_json(ALERT)).encode() + b"\r\n")
    (item,) = readable(read_alerts(tmp_path / "x", "jsonl"))
    assert item.alert == ALERT


def test_a_strange_field_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (mistake,) = mistakes(read_alerts(lines(tmp_path / "x", {"id": "1", "time": "2024-01-01T00:00:00Z"}), "jsonl"))
    assert "`id`: no such field; known are uid, time, title, severity" in mistake.fault
    assert "`uid`: Field required" in mistake.fault


def test_an_outside_alert_cannot_choose_its_playbook(tmp_path: Path) -> None:
    (item,) = readable(read_alerts(lines(tmp_path / "x", to_json(replace(ALERT, kind="cloud"))), "jsonl"))
    assert item.alert.kind == "external"


GOOD = to_json(replace(ALERT, uid="good"))
HOSTILE = {
    "not JSON": "{",
    "not an object": "[1]",
    "NaN": json.dumps(GOOD | {"uid": "n"})[:-1] + ', "x": NaN}',
    "NaN time": json.dumps(GOOD | {"uid": "n", "time": float("nan")}),
    "a key twice": '{"uid": "k", "uid": "l"}',
    "no title": GOOD | {"uid": "t", "title": ""},
    "unknown field": GOOD | {"uid": "u", "truth": "benign"},
    "wrong technique": GOOD | {"uid": "w", "technique": "T9"},
    "no time zone": GOOD | {"uid": "z", "time": "2024-01-01T00:00:00"},
    "year 99999": GOOD | {"uid": "y", "time": 10**18},
    "unknown label": {"alert": GOOD | {"uid": "b"}, "label": "perhaps"},
    "uid used before": GOOD,
    "uid of a list": GOOD | {"uid": ["good2"]},
    "nested too deeply": "[" * 200_000,
    "huge number": '{"uid": ' + "9" * 10_000 + "}",
    "severity made up": GOOD | {"uid": "s", "severity": "harmless"},
    "a year in place of a time": GOOD | {"uid": "y", "time": "2026"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_line_is_one_mistake_at_its_place_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    path = lines(tmp_path / "alerts.jsonl", GOOD, HOSTILE[name], GOOD | {"uid": "last"})
    items = list(read_alerts(path, "jsonl"))
    (mistake,) = mistakes(iter(items))
    assert mistake.place == f"{path}:2"
    assert [item.alert.uid for item in readable(iter(items))] == ["good", "last"]


def test_bytes_that_are_no_text_are_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xff\xfe\x00\n" + json.dumps(GOOD).encode())
    items = list(read_alerts(path, "jsonl"))
    assert [type(item) for item in items] == [Mistake, LabelledAlert]


def test_a_field_of_ten_megabytes_is_cut_and_says_so(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", GOOD | {"activity": "A" * 10_000_000}, "B" * (17 << 20), GOOD | {"uid": "after"})
    items = list(read_alerts(path, "jsonl"))
    (mistake,) = mistakes(iter(items))
    assert "longer than 16 MiB" in mistake.fault
    cut, after = readable(iter(items))
    assert cut.alert.activity == "A" * 4_000 + " [cut: 10000000 characters]"
    assert after.alert.uid == "after"


def test_every_field_of_our_own_form_is_kept_or_counted(tmp_path: Path) -> None:
    alert = {"uid": "a", "time": "2025-01-01T00:00:00Z", "title": "t"}
    fields = {
        "src_user": "dana",
        "dst_user": "dana",
        "kind": "dumping",
        "sessionid": "7",
        "n": 1,
        "deep": {"p_x": True},
    }
    many = {f"f{number}": "v" for number in range(MAX_FIELDS + 3)}
    path = lines(tmp_path / "a.jsonl", alert | {"raw": fields}, alert | {"uid": "b", "raw": many})
    few, cut = (item.alert.raw for item in readable(read_alerts(path, "jsonl")))
    assert few == {
        "src_user": "dana",
        "dst_user": "dana",
        "kind": "dumping",
        "sessionid": "7",
        "n": "1",
        "deep.p_x": "True",
    }
    assert len(cut) == MAX_FIELDS
    assert cut["further fields"] == f"4, from f{MAX_FIELDS - 1} on, are not shown"


def test_a_strange_field_beside_a_wrapped_alert_is_a_mistake(tmp_path: Path) -> None:
    alert = {"uid": "a", "time": "2025-01-01T00:00:00Z", "title": "t"}
    path = lines(tmp_path / "a.jsonl", {"alert": alert, "entities": {"user": "alice"}, "lable": "malicious"})
    (mistake,) = mistakes(read_alerts(path, "jsonl"))
    assert "`entities`, `lable`: no such field beside `alert`; known are label, group, stratum" in str(mistake)


def test_unknown_format_and_missing_path_name_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose one of panther, ocsf, jsonl"):
        list(read_alerts(tmp_path, "csv"))
    with pytest.raises(InputError, match="no such file"):
        list(read_alerts(tmp_path / "absent", "panther"))
    with pytest.raises(InputError, match="single file"):
        list(read_alerts(tmp_path, "jsonl"))


@pytest.mark.skipif("TURNCOAT_DATA" not in os.environ, reason="TURNCOAT_DATA names no folder of real alerts")
def test_every_real_rule_is_read() -> None:
    rules = Path(os.environ["TURNCOAT_DATA"]) / "panther-analysis" / "files" / "rules"
    items = list(read_alerts(rules, "panther"))
    assert mistakes(iter(items)) == []
    alerts = readable(iter(items))
    assert (len(alerts), len({item.group for item in alerts}), sum(item.label is True for item in alerts)) == (
        2315,
        606,
        1218,
    )
    assert len({item.alert.uid for item in alerts}) == 2315
    assert all(len(value) <= 300 for item in alerts for value in item.alert.raw.values())


@pytest.mark.parametrize("text", ['[{"uid": "1"}]', '[\n{"uid": "1"}\n]', '{\n "uid": "1"\n}'])
def test_an_array_or_an_object_over_many_lines_is_told_how_to_become_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alerts.json"
    path.write_text(text)
    first = next(iter(read_alerts(path, "jsonl")))
    assert isinstance(first, Mistake)
    assert first.cure == "write one object a line, as `jq -c` does (of an array, `jq -c .[]`)"
