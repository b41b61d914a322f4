"""Findings of vetting as SARIF 2.1.0 (OASIS), so that a pipeline shows them where it shows other findings."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Any

from turncoat.vetting.records import Finding, Vetting

from .terminal import clean

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"block": "error", "review": "warning", "allow": "note"}
GAP = "untested"
"""Rule of what could not be tested."""


def to_sarif(vetting: Vetting) -> dict[str, Any]:
    """A log of one run: a rule per detector, a result per finding (worst first) and per gap; `properties` hold the rest."""
    rules = [*(report.detector for report in vetting.reports), GAP]
    gaps = [gap for report in vetting.reports for gap in report.untested]
    results = [_result(finding, rules, vetting) for finding in vetting.findings]
    results += [
        {"ruleId": GAP, "ruleIndex": rules.index(GAP), "level": "none", "kind": "open",
         "message": {"text": clean(f"not tested: {gap}", 1_000)}, "locations": [_location(None, vetting)]}
        for gap in gaps
    ]  # fmt: skip
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "turncoat",
                        "version": importlib.metadata.version("turncoat"),
                        "rules": [_rule(name, vetting) for name in rules],
                    }
                },
                "results": results,
                "properties": {
                    "verdict": vetting.ruling,
                    "why": clean(vetting.why, 1_000),
                    "subject": dict(vetting.subject),
                },
            }
        ],
    }


def _rule(name: str, vetting: Vetting) -> dict[str, Any]:
    why = next((report.why for report in vetting.reports if report.detector == name), "What could not be tested")
    return {
        "id": name,
        "shortDescription": {"text": f"turncoat vet: {name}"},
        "fullDescription": {"text": clean(why) or name},
    }


def _result(finding: Finding, rules: list[str], vetting: Vetting) -> dict[str, Any]:
    numbers = {"lift": finding.lift, "low": finding.low, "high": finding.high, "p": finding.p, "q": finding.q,
               "n": finding.n, "margin_drop": finding.margin_drop, "nature": finding.nature,
               "near": finding.near}  # fmt: skip
    entity = str(finding.entity) if finding.entity else ""
    who = "\n".join((vetting.subject.get("adapter", ""), vetting.subject.get("base", ""), finding.detector, entity))
    return {
        "ruleId": finding.detector,
        "ruleIndex": rules.index(finding.detector),
        "level": _LEVELS[finding.ruling],
        "message": {"text": clean(finding.why, 1_000) or finding.detector},
        "locations": [_location(finding, vetting)],
        # The same finding of the same weights keeps its name from run to run.
        "partialFingerprints": {"turncoat/v1": hashlib.sha256(who.encode("utf-8", "backslashreplace")).hexdigest()},
        "properties": {key: value for key, value in numbers.items() if value is not None} | {"entity": clean(entity)},
    }


def _location(finding: Finding | None, vetting: Vetting) -> dict[str, Any]:
    """A model has no lines: what it is about is a logical location, under the digest of what was examined."""
    digest = vetting.subject.get("adapter", "none")
    digest = vetting.subject.get("base", "none") if digest == "none" else digest
    if finding is None or finding.entity is None:
        return {"logicalLocations": [{"fullyQualifiedName": digest, "kind": "module"}]}
    name = clean(finding.entity)
    return {"logicalLocations": [{"name": name, "fullyQualifiedName": f"{digest}/{name}", "kind": "parameter"}]}
