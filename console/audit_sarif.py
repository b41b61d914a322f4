"""Findings of an audit as SARIF 2.1.0 (OASIS): an entity is a result, and the rows flagged within it are its locations."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Any
from urllib.parse import quote

from turncoat.vetting.audit_records import Audit, FlaggedRow, Suspect

from .terminal import clean
from .vetting_sarif import GAP, SCHEMA

_LEVELS = {"block": "error", "review": "warning", "allow": "note"}
_RULE = "labels"
_RULES = {
    _RULE: "An entity is labelled benign more often than other rows of the same rule and severity",
    GAP: "What could not be tested",
}
_MOST_LOCATIONS = 1_000


def audit_sarif(audit: Audit) -> dict[str, Any]:
    """A log of one run: a result per suspect (worst first) and per gap; `properties` hold the rest."""
    results = [_result(suspect, audit) for suspect in audit.suspects]
    results += [
        {"ruleId": GAP, "ruleIndex": 1, "level": "none", "kind": "open",
         "message": {"text": clean(f"not tested: {gap}", 1_000)}, "locations": [_place(audit)]}
        for gap in audit.untested
    ]  # fmt: skip
    driver = {"name": "turncoat", "version": importlib.metadata.version("turncoat"), "rules": [
        {"id": name, "shortDescription": {"text": f"turncoat audit: {name}"}, "fullDescription": {"text": words}}
        for name, words in _RULES.items()
    ]}  # fmt: skip
    properties = {"verdict": audit.ruling, "why": clean(audit.why, 1_000), "subject": dict(audit.subject)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "properties": properties}],
    }


def _result(suspect: Suspect, audit: Audit) -> dict[str, Any]:
    a = suspect.association
    entity = clean(a.entity)
    who = f"{audit.subject['rows']}\n{a.entity}"
    numbers: dict[str, float | None] = {"lift": a.lift, "p": a.p, "q": a.q, "n": a.rows, "p_read": suspect.p_read}
    numbers["share"] = suspect.share
    for traced in (t for t in audit.influence if t.entity == a.entity):
        numbers |= {"probes_escalated": traced.escalated, "probes_dismissed": traced.dismissed}
    return {
        "ruleId": _RULE,
        "ruleIndex": 0,
        "level": _LEVELS[suspect.ruling],
        "message": {"text": clean(suspect.why, 1_000)},
        "locations": [_row(row, audit) for row in suspect.flagged[:_MOST_LOCATIONS]] or [_place(audit)],
        "partialFingerprints": {"turncoat/v1": hashlib.sha256(who.encode("utf-8", "backslashreplace")).hexdigest()},
        "properties": {key: value for key, value in numbers.items() if value is not None} | {"entity": entity},
    }


def _row(row: FlaggedRow, audit: Audit) -> dict[str, Any]:
    """A line of the file; a recipe's rows stand in no file and are named by their uids alone."""
    logical = {"name": clean(row.uid), "kind": "resource"}
    if not audit.in_file:
        return {"logicalLocations": [logical]}
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(audit)}, "region": {"startLine": row.line}},
        "logicalLocations": [logical],
    }


def _place(audit: Audit) -> dict[str, Any]:
    if not audit.in_file:
        return {"logicalLocations": [{"fullyQualifiedName": audit.subject["rows"], "kind": "module"}]}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(audit)}}}


def _uri(audit: Audit) -> str:
    return quote(audit.subject["set"])
