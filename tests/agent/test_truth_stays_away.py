"""Every `expect` of the flagship turned into its opposite: no prompt, verdict or decision may notice."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.records import Settings
from turncoat.agent.replay import replay
from turncoat.agent.scoring import score
from turncoat.models.scripted import ScriptedClassifier
from turncoat.models.variants import VariantSet
from turncoat.scenarios.emit import emit
from turncoat.scenarios.loader import parse_campaign

OPPOSITE = {"malicious": "benign", "benign": "malicious", "true": "false", "false": "true"}


def flipped(text: str) -> str:
    """The campaign file with truth and expected escalation of every step turned round, evidence to cite dropped."""
    text = re.sub(r"truth: (\w+)", lambda m: f"truth: {OPPOSITE[m[1]]}", text)
    text = re.sub(r"escalate: (\w+)", lambda m: f"escalate: {OPPOSITE[m[1]]}", text)
    return re.sub(r", must_cite: \[[^]]*\]", "", text)


def outcome_bytes(text: str, folder: Path) -> tuple[bytes, list[bool]]:
    """Rows of a replay by a classifier that reacts to every character, and the truths of the same alerts."""
    campaign = parse_campaign(text, "flagship.yaml")
    stream, truths = emit(campaign, campaign.seed)
    variants = VariantSet({"hash": ScriptedClassifier("scripted-hash")})
    streams = {stream.principal: stream}
    run = RunFolder.start(folder, Manifest.of(streams, variants, Settings()))
    rows = list(replay(streams, variants, Settings(), run))
    scored = score(rows, truths, streams)
    return run.outcomes.read_bytes(), [outcome.malicious for outcome in scored]


@pytest.mark.parametrize("name", ["insider-departing-exfil", "benign-control"])
def test_opposite_expectations_change_truths_and_no_decision(name: str, tmp_path: Path) -> None:
    text = resources.files("turncoat.scenarios").joinpath(f"campaigns/{name}.yaml").read_text(encoding="utf-8")
    rows, truths = outcome_bytes(text, tmp_path / "as-written")
    turned_rows, turned_truths = outcome_bytes(flipped(text), tmp_path / "turned")
    assert turned_rows == rows
    steps = text.count("alert: {")
    assert sum(a != b for a, b in zip(truths, turned_truths, strict=True)) == steps
