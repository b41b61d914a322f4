from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from py_ocsf_models.events.findings import detection_finding

from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.console.commands_export import export
from turncoat.console.export.formats import FORMATS
from turncoat.console.past_run import PastRun, read_run
from turncoat.console.run_order import RunOrder
from turncoat.models.classifier import Case
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.formats import from_ocsf
from turncoat.scenarios.loader import parse_campaign
from turncoat.scenarios.records import Severity

CAMPAIGN = r"""
schema: 1
attack_version: "18.1"
id: five-steps
title: Five steps
summary: Each step has another fate.
seed: 3
clock: {start: 2026-03-02, days: 2}
actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}
objectives: [Take the books.]
noise: {per_day: 0, lookalikes: 0}
phases:
  - id: first
    title: First
    steps:
      - id: seen
        title: A loud scan
        technique: T1046
        at: D1 10:00
        alert: {family: port-scan, severity: high}
        expect: {truth: malicious, escalate: true}
      - id: missed
        title: A quiet scan
        technique: T1046
        at: D1 11:00
        alert: {family: port-scan, severity: low, activity: "scan \x1b[2J\x9b31m\0</failure><b>&\u202e"}
        expect: {truth: malicious, escalate: true}
      - id: unseen
        title: Lists shares
        technique: T1135
        at: D1 12:00
        alert: null
        expect: {truth: malicious, escalate: false}
  - id: second
    title: Second
    steps:
      - id: broken
        title: Copies a share
        technique: T1039
        at: D1 13:00
        alert: {family: share-bulk-read, severity: critical}
        expect: {truth: malicious, escalate: true}
      - id: talking
        title: Mails a note to the model
        technique: T1048.003
        at: D1 14:00
        alert: {family: mail-to-outside, severity: high}
        expect: {truth: malicious, escalate: true, injected: true}
counterfactuals:
  twins: [{name: Nora Smith, login: nora}]
"""


def rule(case: Case) -> float | None:
    """No verdict about critical alerts, so that those are forced; high ones are malicious."""
    severity = case.alert.severity
    return None if severity is Severity.CRITICAL else 0.9 if severity is Severity.HIGH else 0.05


def blind(case: Case) -> float | None:
    return 0.02


VARIANTS = {"loud": ScriptedClassifier(rule), "blind": ScriptedClassifier(blind)}


@pytest.fixture
def run(tmp_path: Path) -> PastRun:
    plan = Plan(parse_campaign(CAMPAIGN), 3, tmp_path / "run", RunOrder(variants=tuple(VARIANTS)))
    play(plan, VARIANTS, Settings(), lambda event: None)
    return read_run(plan.folder)


def without_last_row(run: PastRun) -> PastRun:
    """The run as it was before the row of step `talking` under `loud` as Alice."""
    file = run.path / "outcomes.jsonl"
    gone = next(o for o in run.outcomes if (o.step, o.investigation.variant) == ("talking", "loud"))
    kept = [
        line
        for line in file.read_text().splitlines(keepends=True)
        if (row := json.loads(line)) and (row["uid"], row["variant"], row["principal"]) != gone.investigation.key
    ]
    file.write_text("".join(kept))
    return read_run(run.path)


def techniques(layer: Any) -> dict[str, Any]:
    return {technique["techniqueID"]: technique for technique in layer["techniques"]}


def test_a_layer_scores_a_technique_by_the_share_of_its_attack_alerts_that_were_escalated(run: PastRun) -> None:
    layer = json.loads(FORMATS["navigator"](run, ["loud"], "alice"))
    assert layer["versions"] == {"attack": "18", "navigator": "4.9.0", "layer": "4.5"}
    assert layer["domain"] == "enterprise-attack"
    found = techniques(layer)
    assert {id_: t.get("score") for id_, t in found.items()} == {
        "T1046": 50, "T1135": None, "T1039": None, "T1048.003": None
    }  # fmt: skip
    assert found["T1046"]["color"] == "#fecc5c"
    assert found["T1046"]["comment"] == "attack alerts: 2; escalated: 1; dismissed: 1"
    assert found["T1135"]["comment"] == "attack alerts: 0; not detected: Lists shares"
    assert found["T1039"]["comment"] == "attack alerts: 1; forced: 1"
    assert found["T1048.003"]["comment"] == "attack alerts: 0; with text that talks to the model, not scored: 1"


def test_several_variants_make_a_list_of_layers(run: PastRun) -> None:
    layers = json.loads(FORMATS["navigator"](run, ["loud", "blind"], "nora"))
    assert [layer["name"] for layer in layers] == ["five-steps: loud as nora", "five-steps: blind as nora"]
    assert techniques(layers[1])["T1046"] | {"comment": ""} == {
        "techniqueID": "T1046", "enabled": True, "color": "#d7301f", "score": 0, "comment": ""
    }  # fmt: skip


def test_an_attire_log_has_a_procedure_per_step_in_order_the_undetected_one_among_them(run: PastRun) -> None:
    log = json.loads(FORMATS["attire"](run, ["loud", "blind"], "alice"))
    assert log["attire-version"] == "1.1"
    procedures = log["procedures"]
    assert [(p["order"], p["procedure-name"], p["mitre-technique-id"]) for p in procedures] == [
        (1, "A loud scan", "T1046"),
        (2, "A quiet scan", "T1046"),
        (3, "Lists shares", "T1135"),
        (4, "Copies a share", "T1039"),
        (5, "Mails a note to the model", "T1048.003"),
    ]
    assert [p["steps"][0]["time-start"] for p in procedures] == [
        f"2026-03-02T{hour}:00:00.000Z" for hour in (10, 11, 12, 13, 14)
    ]  # fmt: skip
    assert [len(p["steps"][0]["output"]) for p in procedures] == [2, 2, 0, 2, 2]
    assert procedures[0]["steps"][0]["output"][1]["content"].startswith("blind: dismiss at p_malicious 0.020")
    assert procedures[3]["steps"][0]["output"][0]["content"].startswith("loud: forced:")
    assert procedures[2]["procedure-description"] == "no alert: nothing detects this step"
    assert len({p["procedure-id"]["id"] for p in procedures}) == 5
    assert {"execution-id", "execution-source", "execution-command", "target", "time-generated"} <= set(
        log["execution-data"]
    )


def test_a_junit_report_fails_what_was_missed_and_skips_what_was_forced(run: PastRun) -> None:
    root = ET.fromstring(FORMATS["junit"](run, ["loud", "blind"], "alice"))
    loud, deaf = root
    assert [loud.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "1"]
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["8", "5", "0", "1"]
    results = {test.get("name"): [child.tag for child in test] for test in loud}
    assert results == {
        "seen: A loud scan": [],
        "missed: A quiet scan": ["failure"],
        "broken: Copies a share": ["skipped"],
        "talking: Mails a note to the model": [],
    }
    assert deaf.get("name") == "five-steps: blind as alice"


def test_an_alert_that_the_run_has_not_come_to_is_an_error_and_no_pass(run: PastRun) -> None:
    root = ET.fromstring(FORMATS["junit"](without_last_row(run), ["loud"], "alice"))
    assert root.get("errors") == "1"
    error = root.find(".//testcase[@name='talking: Mails a note to the model']/error")
    assert error is not None
    assert error.get("type") == "unfinished"


def test_hostile_text_of_an_alert_reaches_no_file_as_markup_or_as_a_control_character(run: PastRun) -> None:
    root = ET.fromstring(FORMATS["junit"](run, ["loud"], "alice"))
    failure = root.find(".//failure")
    assert failure is not None
    assert "observed: scan </failure><b>&\n" in (failure.text or "")
    for name, write in FORMATS.items():
        text = write(run, ["loud", "blind"], "alice")
        assert text.isascii(), name
        assert [c for c in text if c < " " and c != "\n"] == [], name
    attire = json.loads(FORMATS["attire"](run, ["loud"], "alice"))
    assert attire["procedures"][1]["procedure-description"] == "scan </failure><b>&"


def test_ocsf_findings_are_the_escalations_and_valid_by_the_models_of_prowler(run: PastRun) -> None:

    events = [json.loads(line) for line in FORMATS["ocsf"](run, ["loud"], "alice").splitlines()]
    assert [event["time"] for event in events] == [1772445600000, 1772456400000, 1772460000000]
    for event in events:
        parsed = detection_finding.DetectionFinding.model_validate(event)
        assert parsed.type_uid == 200401
        assert from_ocsf(event).uid == parsed.finding_info.uid
    forced = events[1]
    assert "forced:true" in forced["metadata"]["labels"]
    assert "confidence_score" not in forced
    assert events[0]["confidence_score"] == 90


def test_ocsf_findings_have_what_the_class_and_its_profiles_demand(run: PastRun) -> None:
    event = json.loads(FORMATS["ocsf"](run, ["loud"], "alice").splitlines()[0])
    required = {
        "activity_id",
        "category_uid",
        "class_uid",
        "finding_info",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
    }
    assert required <= set(event)
    assert event["class_uid"] == 2004
    assert (event["action_id"], event["disposition_id"], event["disposition"]) == (1, 19, "Alert")
    assert event["metadata"]["profiles"] == ["security_control", "host"]
    assert event["device"]["type_id"] == 0
    assert event["device"]["hostname"] == run.streams["alice"].alerts[0].entities.host
    assert event["finding_info"]["analytic"]["name"] == "loud"
    attack = event["finding_info"]["attacks"][0]
    assert attack["technique"] == {"uid": "T1046", "name": "Network Service Discovery"}


def test_nothing_that_is_really_so_is_told_to_the_receiver_of_findings(run: PastRun) -> None:
    text = FORMATS["ocsf"](run, ["loud"], "alice")
    for word in ("malicious alert", '"malicious"', "expect", "lookalike", "injected", "talking"):
        assert word not in text


def test_a_variant_that_escalates_nothing_makes_an_empty_file_of_findings(run: PastRun) -> None:
    assert FORMATS["ocsf"](run, ["blind"], "alice") == ""


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_written_and_the_same_again(run: PastRun, tmp_path: Path, name: str) -> None:
    out = tmp_path / "file"
    export(str(run.path), format=name, variant="loud", principal="nora", out=str(out))
    assert out.read_text() == FORMATS[name](run, ["loud"], "nora")
    export(str(run.path), format=name, variant="loud", principal="nora", out=str(out))
    assert out.read_text() == FORMATS[name](run, ["loud"], "nora")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "file"}


def test_standard_output_is_the_default_and_all_variants_are(run: PastRun, capsys: pytest.CaptureFixture[str]) -> None:
    export(str(run.path), format="junit", variant="", principal="", out="")
    assert capsys.readouterr().out == FORMATS["junit"](run, ["loud", "blind"], "alice")


def test_a_link_is_not_written_through(run: PastRun, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="a link, or no regular file"):
        export(str(run.path), format="ocsf", variant="", principal="", out=str(tmp_path / "link"))
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "pdf"}, "choose one of navigator, attire, junit, ocsf"),
        ({"variant": "quiet"}, "choose one of: loud, blind"),
        ({"principal": "bob"}, "choose one of: alice, nora"),
    ],
)
def test_what_the_run_does_not_have_is_refused_with_what_it_has(
    run: PastRun, change: dict[str, str], message: str
) -> None:
    arguments = {"format": "junit", "variant": "", "principal": "", "out": ""} | change
    with pytest.raises(InputError, match=message):
        export(str(run.path), **arguments)


def test_the_help_names_every_format() -> None:
    import inspect

    told = inspect.signature(export).parameters["format"].default.help
    assert all(name in told for name in FORMATS)


def test_importing_the_command_loads_no_format() -> None:
    program = "import sys, turncoat.console.commands_export; print([m for m in sys.modules if 'console.export' in m])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
