"""ATT&CK Navigator layers, format 4.5: how much of each technique of a campaign was escalated.

Source: https://github.com/mitre-attack/attack-navigator/blob/master/layers/LAYERFORMATv4_5.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from turncoat.agent.records import Outcome
from turncoat.scenarios.schema import Step

from ..past_run import PastRun
from ..terminal import clean
from .rows import deed, json_text, rows_of

RED, YELLOW, GREEN, GREY = "#d7301f", "#fecc5c", "#31a354", "#bdbdbd"
_VERSIONS = {"navigator": "4.9.0", "layer": "4.5"}
_NAMED = 20
"""Steps that a comment names."""


def navigator(run: PastRun, variants: Sequence[str], principal: str) -> str:
    """One layer, or a list of layers where several variants are asked for; Navigator opens both.

    The score of a technique is the share of its attack alerts that were escalated, in percent; forced ones are in
    neither part of that share. A technique has no score where nothing detects it or all of it was forced.
    """
    layers = [_layer(run, variant, principal) for variant in variants]
    return json_text(layers[0] if len(layers) == 1 else layers)


def _layer(run: PastRun, variant: str, principal: str) -> dict[str, Any]:
    rows: dict[str, list[Outcome]] = {}
    for row in rows_of(run, variant, principal):
        if row.step is not None:
            rows.setdefault(row.step, []).append(row)
    steps: dict[str, list[Step]] = {}
    for _, step in run.campaign.steps():
        steps.setdefault(step.technique, []).append(step)
    return {
        "name": clean(f"{run.campaign.id}: {variant} as {principal}"),
        "versions": {"attack": run.campaign.attack_version.split(".")[0], **_VERSIONS},
        "domain": "enterprise-attack",
        "description": clean(
            f"{run.campaign.title}. Seed {run.manifest.seed}. Score: percent of the attack alerts escalated, "
            "forced ones left out." + ("" if run.complete else " The run is not finished.")
        ),
        "layout": {"layout": "side", "showID": True, "showName": True, "expandedSubtechniques": "annotated"},
        "gradient": {"colors": [RED, YELLOW, GREEN], "minValue": 0, "maxValue": 100},
        "legendItems": [
            {"label": "none escalated", "color": RED},
            {"label": "some escalated", "color": YELLOW},
            {"label": "all escalated", "color": GREEN},
            {"label": "no alert to score", "color": GREY},
        ],
        "techniques": [_technique(id_, steps[id_], rows) for id_ in sorted(steps)],
    }


def _technique(id_: str, steps: Sequence[Step], rows: dict[str, list[Outcome]]) -> dict[str, Any]:
    here = [row for step in steps for row in rows.get(step.id, ())]
    done = Counter(deed(row) for row in here if row.attack)
    scored = sum(done.values()) - done["forced"]
    plain: dict[str, Any] = {"techniqueID": id_, "enabled": True, "color": GREY}
    if scored:
        plain["score"] = round(100 * done["escalate"] / scored)
        plain["color"] = GREEN if done["escalate"] == scored else YELLOW if done["escalate"] else RED
    return plain | {"comment": _comment(steps, here, done)}


def _comment(steps: Sequence[Step], here: Sequence[Outcome], done: Counter[str]) -> str:
    words = {"escalate": "escalated", "dismiss": "dismissed", "review": "to review", "forced": "forced"}
    parts = [f"attack alerts: {sum(done.values())}"]
    parts += [f"{words[name]}: {done[name]}" for name in words if done[name]]
    others = {
        "with text that talks to the model, not scored": sum(
            row.malicious and row.own and row.injected for row in here
        ),
        "in another's name, not scored": sum(row.malicious and not row.own for row in here),
        "benign, not scored": sum(not row.malicious for row in here),
    }
    parts += [f"{what}: {count}" for what, count in others.items() if count]
    parts += [f"not detected: {clean(step.title, 200)}" for step in steps[:_NAMED] if step.alert is None]
    return "; ".join(parts)
