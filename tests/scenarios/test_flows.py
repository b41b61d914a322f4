from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.flows import MAX_ACTIONS, Flow, read_flow
from turncoat.scenarios.loader import parse_campaign
from turncoat.scenarios.skeleton import skeleton, template


def written(folder: Path, content: Any) -> Path:
    file = folder / "flow.afb"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def action(name: str, technique: str | None = "T1046", tactic: str | None = "TA0007", about: str = "") -> list[Any]:
    return [["name", name], ["technique_id", technique], ["tactic_id", tactic], ["description", about]]


def afb_3(blocks: list[tuple[str, list[Any]]], lines: list[tuple[str, str]]) -> dict[str, Any]:
    """The Builder's present form: blocks with one anchor each, lines between latches."""
    objects: list[dict[str, Any]] = [{"id": "flow", "instance": "f", "properties": [["name", "A flow"]], "objects": []}]
    latches: dict[str, list[str]] = {name: [] for name, _ in blocks}
    for number, (a, b) in enumerate(lines):
        objects.append({"id": "dynamic_line", "instance": f"l{number}", "source": f"s{number}", "target": f"t{number}"})
        latches[a].append(f"s{number}")
        latches[b].append(f"t{number}")
    for name, properties in blocks:
        kind = "action" if properties else "OR_operator"
        objects.append({"id": kind, "instance": name, "properties": properties, "anchors": {"0": f"{name}-anchor"}})
        objects.append({"id": "vertical_anchor", "instance": f"{name}-anchor", "latches": latches[name]})
    return {"schema": "attack_flow_v2", "objects": objects}


def afb_2(blocks: list[tuple[str, list[Any]]], lines: list[tuple[str, str]]) -> dict[str, Any]:
    """The Builder's earlier form: templates and children."""
    objects: list[dict[str, Any]] = [
        {"id": "f", "template": "flow", "properties": [["name", "A flow"]], "children": []}
    ]
    ends: dict[str, list[str]] = {name: [] for name, _ in blocks}
    for number, (a, b) in enumerate(lines):
        source, target = f"s{number}", f"t{number}"
        objects.append(
            {"id": f"l{number}", "template": "@__builtin__line_vertical_elbow", "children": [source, target]}
        )
        objects.append({"id": source, "template": "@__builtin__line_source", "children": []})
        objects.append({"id": target, "template": "@__builtin__line_target", "children": []})
        ends[a].append(source)
        ends[b].append(target)
    for name, properties in blocks:
        kind = "action" if properties else "or"
        objects.append({"id": name, "template": kind, "properties": properties, "children": [f"{name}-anchor"]})
        objects.append({"id": f"{name}-anchor", "template": "@__builtin__anchor", "children": ends[name]})
    return {"version": "2.1.0", "id": "f", "objects": objects}


@pytest.mark.parametrize("form", [afb_3, afb_2])
def test_actions_come_after_those_that_lead_to_them_through_operators_too(tmp_path: Path, form: Any) -> None:
    blocks = [("last", action("Last")), ("gate", []), ("first", action("First"))]
    flow = read_flow(written(tmp_path, form(blocks, [("first", "gate"), ("gate", "last")])))
    assert flow.name == "A flow"
    assert [a.name for a in flow.actions] == ["First", "Last"]


@pytest.mark.parametrize("form", [afb_3, afb_2])
def test_a_circle_is_entered_at_its_first_action(tmp_path: Path, form: Any) -> None:
    blocks = [("a", action("A")), ("b", action("B")), ("c", action("C"))]
    flow = read_flow(written(tmp_path, form(blocks, [("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")])))
    assert [a.name for a in flow.actions] == ["A", "B", "C"]


def test_an_id_of_another_attack_version_is_found_by_its_name(tmp_path: Path) -> None:
    old = action("Security Software Discovery", "T1063", None)
    (found,) = read_flow(written(tmp_path, afb_3([("a", old)], []))).actions
    assert (found.technique, found.claimed, found.tactic) == ("T1518.001", "T1063", "discovery")


def test_a_technique_that_nobody_knows_is_none(tmp_path: Path) -> None:
    (found,) = read_flow(written(tmp_path, afb_3([("a", action("Exfiltration", None, "TA0010"))], []))).actions
    assert (found.technique, found.claimed, found.tactic) == (None, "", "exfiltration")


def bundle(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"type": "bundle", "id": "bundle--1", "objects": list(objects)}


def test_a_bundle_of_the_attack_flow_extension_follows_effects_and_conditions(tmp_path: Path) -> None:
    content = bundle(
        {"type": "attack-action", "id": "attack-action--2", "name": "Second", "technique_id": "T1610"},
        {"type": "attack-condition", "id": "attack-condition--1", "on_true_refs": ["attack-action--2"]},
        {"type": "attack-action", "id": "attack-action--1", "name": "First", "technique_id": "T1133",
         "tactic_id": "TA0003", "effect_refs": ["attack-condition--1"]},
        {"type": "attack-flow", "id": "attack-flow--1", "name": "Console", "description": "Open to all.",
         "start_refs": ["attack-action--1"],
         "external_references": [{"source_name": "A report", "url": "https://reports.example/1"}]},
    )  # fmt: skip
    flow = read_flow(written(tmp_path, content))
    assert (flow.name, flow.description) == ("Console", "Open to all.")
    assert [(a.name, a.technique, a.tactic) for a in flow.actions] == [
        ("First", "T1133", "persistence"),
        ("Second", "T1610", "execution"),
    ]
    assert flow.references == ("A report https://reports.example/1",)


def pattern(number: int, technique: str, phase: str) -> dict[str, Any]:
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{number}",
        "name": f"Pattern {number}",
        "external_references": [{"source_name": "mitre-attack", "external_id": technique}],
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": phase}],
    }


def test_bare_attack_patterns_are_ordered_by_tactic_and_relationships_go_before_that(tmp_path: Path) -> None:
    patterns = [
        pattern(1, "T1567.002", "exfiltration"),
        pattern(2, "T1046", "discovery"),
        pattern(3, "T1566", "initial-access"),
    ]
    flow = read_flow(written(tmp_path, bundle(*patterns, pattern(4, "T1133", "impact") | {"revoked": True})))
    assert [a.technique for a in flow.actions] == ["T1566", "T1046", "T1567.002"]
    link = {"type": "relationship", "id": "relationship--1", "relationship_type": "related-to",
            "source_ref": "attack-pattern--1", "target_ref": "attack-pattern--3"}  # fmt: skip
    flow = read_flow(written(tmp_path, bundle(*patterns, link)))
    assert [a.technique for a in flow.actions] == ["T1046", "T1567.002", "T1566"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[]", "not a JSON object"),
        ("{}", "neither an Attack Flow nor a STIX bundle"),
        ('{"type": "bundle", "objects": {}}', "neither"),
        ('{"type": "bundle", "objects": [null, 1, []]}', "no action and no attack pattern"),
        ('{"schema": "x", "objects": [' + "[" * 100_000, "nested too deep"),
        ('{"n": ' + "9" * 10_000 + "}", "no JSON"),
        ('{"schema": "x", "objects": [' + "0," * 50_000 + "0]}", "more than 50000 objects"),
        (" " * (16 * 1024 * 1024 + 1), "larger than 16 MiB"),
    ],
)
def test_what_is_no_flow_is_refused_with_place_fault_and_cure(tmp_path: Path, content: str, fault: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(InputError, match=fault) as caught:
        read_flow(file)
    (mistake,) = caught.value.mistakes
    assert mistake.place == str(file)
    assert mistake.cure


def test_more_actions_than_a_campaign_can_have_are_refused(tmp_path: Path) -> None:
    blocks = [(f"a{i}", action(f"A{i}")) for i in range(MAX_ACTIONS + 1)]
    with pytest.raises(InputError, match="201 actions are more than 200"):
        read_flow(written(tmp_path, afb_3(blocks, [])))


def test_bytes_that_are_no_text_and_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b'{"a": "\xff\xfe"}')
    os.mkfifo(tmp_path / "pipe")
    for name, fault in (
        ("bytes", "no JSON"),
        (".", "no such file"),
        ("pipe", "no such file"),
        ("gone", "no such file"),
    ):
        with pytest.raises(InputError, match=fault):
            read_flow(tmp_path / name)


def test_a_skeleton_has_a_phase_per_tactic_in_the_order_of_the_flow_and_a_step_per_action(tmp_path: Path) -> None:
    blocks = [
        ("a", action("Phones the help desk", "T1566.004", "TA0001", "Says that her phone is lost.")),
        ("b", action("Scans", "T1046", "TA0007")),
        ("c", action("Comes back", "T1566.004", "TA0001")),
        ("d", action("Who knows", None, "TA0002")),
    ]
    lines = [("a", "b"), ("b", "c"), ("c", "d")]
    campaign = parse_campaign(skeleton(read_flow(written(tmp_path, afb_3(blocks, lines))), "x.afb"))
    assert campaign.id == "a-flow"
    assert [(phase.id, [step.id for step in phase.steps]) for phase in campaign.phases] == [
        ("initial-access", ["phones-the-help-desk", "comes-back"]),
        ("discovery", ["scans"]),
    ]
    first, back, scan = (step for _, step in campaign.steps())
    assert [first.at, scan.at, back.at] == ["D1 09:00", "D1 09:30", "D1 10:00"]
    assert (scan.technique, scan.expect.escalate) == ("T1046", True)
    assert scan.alert is not None
    assert scan.alert.family == "port-scan"


def test_an_action_that_nothing_of_ours_detects_has_no_alert_and_expects_no_escalation(tmp_path: Path) -> None:
    flow = read_flow(written(tmp_path, afb_3([("a", action("Rents a server", "T1583.004", "TA0042"))], [])))
    text = skeleton(flow, "x.afb")
    ((_, step),) = parse_campaign(text).steps()
    assert step.alert is None
    assert (step.expect.truth, step.expect.escalate) == ("malicious", False)


def test_a_skeleton_says_what_it_left_out_and_what_it_changed(tmp_path: Path) -> None:
    blocks = [("a", action("Security Software Discovery", "T1063")), ("b", action("Magic", "T9999"))]
    text = skeleton(read_flow(written(tmp_path, afb_3(blocks, []))), "x.afb")
    assert "technique: T1518.001  # TODO: the flow says T1063" in text
    assert "#   Magic (T9999)" in text


def test_a_flow_without_any_known_technique_is_refused(tmp_path: Path) -> None:
    flow = read_flow(written(tmp_path, afb_3([("a", action("Magic", "T9999"))], [])))
    with pytest.raises(InputError, match=r"no action has a technique of ATT&CK 18\.1"):
        skeleton(flow, "x.afb")


def test_text_of_a_flow_can_end_no_comment_and_forge_no_key(tmp_path: Path) -> None:
    evil = 'x"\n  evil: true\r\u2028# \x1b[2J\u202e{a: b}\ud800'
    content = afb_3([("a", action(evil, "T1046", "TA0007", evil))], [])
    content["objects"][0]["properties"] = [["name", evil], ["description", evil]]
    text = skeleton(read_flow(written(tmp_path, content)), evil)
    campaign = parse_campaign(text)
    assert campaign.title == 'x" evil: true # [2J{a: b}'
    assert not [c for c in text if c in "\x1b\u202e\r\u2028"]
    assert "evil: true" not in {line.strip() for line in text.splitlines()}


@pytest.mark.parametrize("name", ["null", "123", "2024-01-01", "true", "1e5", "~", "名前", ""])
def test_a_flow_of_any_name_gets_an_id_that_is_text(tmp_path: Path, name: str) -> None:
    content = afb_3([("a", action(name or "null")), ("b", action(name or "null"))], [])
    content["objects"][0]["properties"] = [["name", name]]
    campaign = parse_campaign(skeleton(read_flow(written(tmp_path, content)), "x.afb"))
    assert isinstance(campaign.id, str)
    assert len({step.id for _, step in campaign.steps()}) == 2


@pytest.mark.parametrize("id_", ["my-own", "null", "7", "2024-01-01"])
def test_the_template_validates_as_it_is_under_any_id(id_: str) -> None:
    assert parse_campaign(template(id_)).id == id_


@pytest.mark.parametrize("id_", ["", "My Own", "a\nseed: 2", "a" * 61, "../x"])
def test_an_id_that_is_none_is_refused(id_: str) -> None:
    with pytest.raises(InputError, match="is no id"):
        template(id_)


leaves = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["T1046", "TA0007", "a", "b"])
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
keys = st.sampled_from(
    ["id", "instance", "template", "properties", "anchors", "latches", "children", "source", "target", "type", "name",
     "technique_id", "tactic_id", "effect_refs", "technique_ref", "external_references", "kill_chain_phases",
     "source_ref", "target_ref"]
)  # fmt: skip
things = st.dictionaries(keys, values | st.dictionaries(keys, values, max_size=3), max_size=6)
kinds = st.sampled_from(["attack-action", "attack-pattern", "attack-flow", "action", "flow", "relationship"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    objects=st.lists(things | st.builds(lambda t, k: t | {"type": k, "id": k}, things, kinds), max_size=6),
    stix=st.booleans(),
)
def test_any_objects_give_a_flow_that_validates_or_a_mistake(tmp_path: Path, objects: list[Any], stix: bool) -> None:
    file = written(tmp_path, {"type": "bundle", "objects": objects} if stix else {"schema": "x", "objects": objects})
    try:
        flow = read_flow(file)
        text = skeleton(flow, file.name)
    except InputError:
        return  # the only error there may be
    assert isinstance(flow, Flow)
    assert parse_campaign(text).phases


@pytest.mark.parametrize(
    ("name", "actions", "first"),
    [
        ("Uber Breach", 8, "T1586"),
        ("Tesla Kubernetes Breach", 9, None),
        ("Black Basta Ransomware", 38, "T1566.001"),
        ("SolarWinds", 33, None),
        ("MITRE NERVE", 33, "T1190"),
        ("DFIR - BumbleBee Round 2", 19, None),
    ],
)
def test_real_incidents_become_skeletons_that_validate(
    outside_alerts: Path, name: str, actions: int, first: str | None
) -> None:
    flow = read_flow(outside_alerts / "attack-flow-corpus" / f"{name}.afb")
    assert flow.name == name
    assert len(flow.actions) == actions
    assert first in (None, flow.actions[0].technique)
    campaign = parse_campaign(skeleton(flow, f"{name}.afb"))
    assert sum(action.technique is not None for action in flow.actions) == len(campaign.steps())
