"""A campaign file's mistakes: all at once, each with place, fault and cure; and no input ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.scenarios.errors import ScenarioError
from turncoat.scenarios.loader import campaign_json_schema, list_campaigns, load_campaign, parse_campaign

GOOD = """\
schema: 1
attack_version: "18.1"
id: tiny
title: Tiny
summary: Small.
seed: 1
clock: {start: 2026-03-02, days: 2}
actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}
objectives: [look]
noise: {per_day: 2, lookalikes: 0.5}
phases:
  - id: one
    title: One
    steps:
      - id: read
        title: Reads
        technique: T1039
        at: D1 10:00
        alert: {family: share-bulk-read}
        expect: {truth: malicious, escalate: true}
      - id: send
        title: Sends
        technique: T1567.002
        after: {step: read, offset: 2h 30m}
        alert: {family: cloud-upload}
        facts:
          peers: {same: 0, of: 9}
        expect: {truth: malicious, escalate: true, must_cite: [peers]}
counterfactuals: {twins: [{name: Nora Keller, login: nora}]}
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse_campaign(text, "c.yaml")
    return [str(m) for m in caught.value.mistakes]


def changed(old: str, new: str) -> list[str]:
    assert old in GOOD
    return mistakes(GOOD.replace(old, new, 1))


def test_a_good_file_is_read() -> None:
    campaign = parse_campaign(GOOD)
    assert campaign.id == "tiny"
    assert [step.id for _, step in campaign.steps()] == ["read", "send"]


def test_an_unknown_technique_names_its_place_and_near_ones() -> None:
    found = changed("T1567.002", "T1567.02")
    assert len(found) == 1
    assert found[0].startswith("c.yaml:23:20: unknown technique 'T1567.02'; did you mean T1567.002 or ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("cloud-upload", "cloud-uplod", "c.yaml:25:25: unknown alert family 'cloud-uplod'; did you mean cloud-upload"),
        ("[peers]", "[pears]", "c.yaml:28:64: unknown tool 'pears'; did you mean peers?"),
        ("          peers:", "          pears:", "c.yaml:27:11: unknown key 'pears'; did you mean peers?"),
        ("same: 0", "sane: 0", "c.yaml:27:19: unknown key 'sane'; did you mean same"),
        ("title: Tiny", "titel: Tiny", "c.yaml:4:1: unknown key 'titel'; did you mean title"),
        ("seed: 1", "seed: one", "c.yaml:6:7: seed: input should be a valid integer; found 'one'"),
        ("seed: 1", "seed: .nan", "c.yaml:6:7: '.nan' is not a finite number; write a number"),
        ("lookalikes: 0.5", "lookalikes: .inf", "c.yaml:10:33: '.inf' is not a finite number; write a number"),
        ("2026-03-02", "2026-02-30", "c.yaml:7:16: '2026-02-30' is no valid value; mend it, or put it in quotes"),
        ('"18.1"', '"17.0"', "c.yaml:2:17: ATT&CK 17.0 is not at hand; write attack_version: '18.1'"),
        ("days: 2", "days: 2, timezone: Mars/Base", "c.yaml:7:47: unknown time zone 'Mars/Base'"),
        ("at: D1 10:00", "at: D1 25:00", "c.yaml:18:13: 'D1 25:00' is no time; write one like D2 21:40"),
        ("at: D1 10:00", "at: D3 10:00", "c.yaml:18:13: 'D3 10:00' is after the last day, D2; raise clock.days"),
        ("2h 30m", "soon", "c.yaml:24:37: 'soon' is no offset; write one like 2h 30m"),
        ("step: read", "step: reed", "c.yaml:24:23: unknown step 'reed'; did you mean read?"),
        ("at: D1 10:00", "after: {step: send, offset: 1h}", "c.yaml:18:23: step 'read' waits for itself"),
        ("id: send", "id: read", "c.yaml:21:13: step 'read' is there twice; give each its own id"),
        ("login: nora", "login: alice", "c.yaml:29:54: login 'alice' is taken; choose another first name"),
        (
            "          peers: {same: 0, of: 9}",
            "          process_tree: {process: a.exe, parent: b.exe, signer: null, hosts: 2}",
            "c.yaml:27:25: alerts of family 'cloud-upload' have no host; write `host:` in that fact",
        ),
        (
            "noise:",
            "entities: {hosts: [{name: PC-1, owner: alise}]}\nnoise:",
            "c.yaml:10:40: unknown person 'alise'; did you mean alice?",
        ),
        ("        at: D1 10:00\n", "", "c.yaml:15:9: a step needs one of 'at' and 'after'"),
        ("title: Tiny\n", "title: Tiny\ntitle: Again\n", "c.yaml:5:1: key 'title' is there twice; keep one"),
        ("seed: 1", "seed: !!python/object/apply:os.system [ls]", "c.yaml:6:7: "),
        ("seed: 1", "seed: " + "9" * 5000, "c.yaml:6:7: '9999999999999999999999999999999999999999' is no valid value"),
    ],
)
def test_a_mistake_names_place_fault_and_cure(old: str, new: str, expected: str) -> None:
    assert any(m.startswith(expected) for m in changed(old, new)), changed(old, new)


def test_a_missing_key_points_at_the_part_that_lacks_it() -> None:
    assert changed("summary: Small.\n", "") == ["c.yaml:1:1: 'summary' is missing; add it"]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("seed: 1", "seed: x").replace("T1039", "T9999").replace("step: read", "step: gone")
    found = mistakes(text)
    assert [m.split(":")[1] for m in found] == ["6", "17", "24"]


def test_an_empty_list_where_something_is_needed_is_a_mistake() -> None:
    assert changed("[look]", "[]") == ["c.yaml:9:13: the list is empty; name at least one"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "- a\n- b",
        "just text",
        "a: [1, 2",
        "a: b: c",
        "\tx: 1",
        "a: &x [*x]",
        "a: &x {b: *x}",
        "a: *nowhere",
        "x: \x00\x07",
        "--- \na: 1\n--- \nb: 2",
        "? [a, b]\n: 1",
        "a: {<<: {b: 1}}",
        "[" * 5000,
        "{a: " * 3000,
        "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: [" + "*b, " * 30 + "]",
        "a: &a [" + "x, " * 400 + "]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]",
        "!!python/object:os.path {}",
        "!!set {a, b}",
    ],
)
def test_hostile_yaml_ends_in_a_message(text: str) -> None:
    assert all(m.startswith("c.yaml") for m in mistakes(text))


def test_an_alias_that_contains_itself_is_refused_by_name() -> None:
    assert mistakes("a: &x [*x]") == ["c.yaml:1:4: an alias contains itself; write the values out without anchors"]


def test_files_that_cannot_be_read_end_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no such campaign file or id"):
        load_campaign(tmp_path / "absent.yaml")
    with pytest.raises(ScenarioError, match="this is a folder"):
        load_campaign(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9")
    with pytest.raises(ScenarioError, match="byte 10 is not UTF-8"):
        load_campaign(tmp_path / "latin.yaml")
    (tmp_path / "big.yaml").write_bytes(b"a" * (1024 * 1024 + 1))
    with pytest.raises(ScenarioError, match="larger than 1 MiB"):
        load_campaign(tmp_path / "big.yaml")
    with pytest.raises(ScenarioError):
        load_campaign("a\x00b")


def test_a_mistyped_id_has_near_ones() -> None:
    with pytest.raises(ScenarioError, match="did you mean insider-departing-exfil"):
        load_campaign("insider-departing-exfill")


def test_every_shipped_campaign_loads() -> None:
    assert {load_campaign(id_).id for id_ in list_campaigns()} == set(list_campaigns())
    assert {"insider-departing-exfil", "benign-control"} <= set(list_campaigns())


def test_the_json_schema_knows_every_tool_and_refuses_further_keys() -> None:
    schema = campaign_json_schema()
    assert "peers" in schema["$defs"]["FactSet"]["properties"]
    assert schema["additionalProperties"] is False
    assert "schema" in schema["required"]
