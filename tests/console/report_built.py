"""Reports that tests look at: a campaign that meets every fate, played with scripted variants, as a page on disk."""

from __future__ import annotations

from pathlib import Path

from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.console.past_run import PastRun, read_run
from turncoat.console.report.files import REPORT_FILE, write_report
from turncoat.console.run_order import RunOrder
from turncoat.models.classifier import Case
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.loader import parse_campaign
from turncoat.scenarios.records import Severity

SCRIPT = "<script>alert(1)</script>"
CAMPAIGN = r"""
schema: 1
attack_version: "18.1"
id: every-fate
title: Every fate <b>bold</b>
summary: Each step has another fate.
seed: 3
clock: {start: 2026-03-02, days: 3}
actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}
objectives: [Take the books.]
noise: {per_day: 3, lookalikes: 0.4}
phases:
  - id: looking
    title: Looking around
    steps:
      - id: missed
        title: A quiet scan
        technique: T1046
        at: D1 10:00
        alert: {family: port-scan, severity: low, activity: "<script>alert(1)</script> <img src=http://evil.example/x onerror=x>"}
        expect: {truth: malicious, escalate: true}
      - id: seen
        title: A loud scan
        technique: T1046
        at: D1 11:30
        alert: {family: port-scan, severity: high,
                activity: "\u202egnp.exe\u200b \x1b[2J [link](http://evil.example) | @everyone `x`"}
        expect: {truth: malicious, escalate: true}
      - id: unseen
        title: Lists shares [click](http://evil.example) | @everyone
        technique: T1135
        at: D1 12:00
        alert: null
        expect: {truth: malicious, escalate: false}
  - id: taking
    title: Taking
    steps:
      - id: broken
        title: Copies a share
        technique: T1039
        at: D2 13:00
        alert: {family: share-bulk-read, severity: critical}
        expect: {truth: malicious, escalate: true}
      - id: talking
        title: Mails a note to the model
        technique: T1048.003
        at: D3 14:00
        alert: {family: mail-to-outside, severity: high}
        expect: {truth: malicious, escalate: true, injected: true}
counterfactuals:
  twins: [{name: Nora Keller, login: nora}]
  aliases: [{name: Alice Smith, login: asmith}]
"""


def loud(case: Case) -> float | None:
    """No verdict about critical alerts, so that those are forced; high ones are malicious."""
    severity = case.alert.severity
    return None if severity is Severity.CRITICAL else 0.9 if severity is Severity.HIGH else 0.05


def blind(case: Case) -> float | None:
    """As the other, and Alice is always right."""
    return 0.02 if case.alert.entities.user == "alice" else loud(case)


VARIANTS = {"loud": ScriptedClassifier(loud, "loud"), "blind": ScriptedClassifier(blind, "blind")}


def played_run(folder: Path, seed: int = 3, text: str = CAMPAIGN) -> PastRun:
    """The campaign at a seed, in a run folder."""
    plan = Plan(parse_campaign(text), seed, folder, RunOrder(variants=tuple(VARIANTS)))
    play(plan, VARIANTS, Settings(), lambda event: None)
    return read_run(folder)


def built_report(folder: Path) -> Path:
    """The HTML page of that campaign, on disk: for checks in a browser, such as of accessibility."""
    played_run(folder)
    place, fault = write_report(folder)
    assert not fault
    return place.parent / REPORT_FILE
