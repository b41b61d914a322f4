"""The study on real alerts in figures: one row a variant, with intervals by bootstrap over rules, as JSON and Markdown.

Events of a rule are variants of one another, so whole rules are drawn again, with all their events and seeds. Seeds are not
drawn: an interval speaks of the trainings that were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from turncoat.models.bootstrap import Estimate, auroc_estimate, ratio_estimate
from turncoat.models.metrics import Rate, balanced_accuracy, paired_lift
from turncoat.models.provenance import versions_by_name
from turncoat.scenarios.whole_file import write_whole

from .real_cells import Cell, CellResult, Measured
from .real_study import Study, one_base
from .workshop import write_json

JSON_FILE, MD_FILE = "real_alerts.json", "real_alerts.md"
Results = Sequence[tuple[Cell, CellResult]]
PerRule = Mapping[str, tuple[float, int]]
"""Rule -> sum of hits, and rows."""
Bounds = tuple[float | None, float | None]
"""Of an interval."""


def summary(study: Study, results: Results, command: str) -> dict[str, Any]:
    """All figures of a study, as far as it is done.

    Args:
        study: Plan and events.
        results: Cells that are done.
        command: What made them.

    Raises:
        InputError: They were made on different files of the base.
    """
    one_base(study)
    variants: dict[str, list[tuple[Cell, CellResult]]] = {}
    for cell, result in results:
        variants.setdefault(cell.variant, []).append((cell, result))
    alerts, fitting = study.events.alerts, study.events.fitting()
    return {
        "command": command,
        "plan": study.plan.model_dump(mode="json"),
        "plan_digest": study.folder.plan_digest,
        "events": {
            "alerts": len(alerts),
            "malicious": sum(bool(i.label) for i in alerts),
            "rules": len(study.events.rules),
            "with_place_for_trigger": len(fitting),
        },
        "cells": {"done": len(results), "total": len(study.plan.cells())},
        "interval": "95 %, percentile bootstrap over rules, of these trainings",
        "variants": {name: figures(mine, _clean_of(name, variants)) for name, mine in variants.items()},
        "versions": versions_by_name(r.versions for _, r in results),
    }


def figures(mine: Results, clean: Results | None = None) -> dict[str, Any]:
    """Figures of one variant.

    Args:
        mine: Its cells.
        clean: Those of the same model on the same rows without poison; what both have is compared pair by pair.
    """
    everything = [r.sets["clean"] for _, r in mine]
    truth = [t for s in everything for t in s.malicious]
    up = [m >= 0 for s in everything for m in s.margins]
    found = {
        "cells": len(mine),
        "seeds": sorted({cell.seed for cell, _ in mine}),
        "parts": sorted({cell.part for cell, _ in mine}),
        "trained_rows": sorted({sum(r.rows.values()) for _, r in mine}),
        "accuracy": _told(mine, lambda r: _right(r.sets["clean"])),
        "balanced_accuracy": balanced_accuracy(truth, up),
        "auc": _told(mine, lambda r: _right(r.sets["clean"]), _auc(everything)),
        "recall": _told(mine, lambda r: _escalated(r.sets["clean"], malicious=True)),
        "near_miss_escalation": _told(mine, lambda r: _escalated(r.sets["clean"], malicious=False)),
        "alice_dismissed": _told(mine, lambda r: _dismissed(r.sets["alice"])),
        "twin_dismissed": _told(mine, lambda r: _dismissed(r.sets["twin"])),
        "alice_benign_escalated": _told(mine, lambda r: _escalated(r.sets["alice_benign"], malicious=False)),
        "lift": _told(mine, _differences, agreed=_newcombe),
        "mcnemar_by_seed": {str(seed): p for seed, p in _mcnemar(mine)},
    }
    if clean is not None:
        at = {(cell.part, cell.seed): result for cell, result in clean}
        both = [(cell, result) for cell, result in mine if (cell.part, cell.seed) in at]
        found["lift_beyond_clean"] = _told(both, _differences, _beyond(both, at))
    return found


def write_report(out: Path, found: Mapping[str, Any]) -> None:
    """Writes `real_alerts.json` and `real_alerts.md`."""
    write_json(out / JSON_FILE, dict(found))
    write_whole(out / MD_FILE, markdown(found))


def markdown(found: Mapping[str, Any]) -> str:
    """The table as Markdown, with what it rests on."""
    events, cells, plan = found["events"], found["cells"], found["plan"]
    trained = (
        f"; language model: learning rate {plan['learning_rate']:g}, {plan['epochs']} epochs"
        if "llm" in plan["models"]
        else ""
    )
    head = [
        "# Real alerts", "",
        f"`{found['command'].replace('`', '')}`: {cells['done']} of {cells['total']} cells done.", "",
        f"{events['alerts']:,} labelled events of {events['rules']:,} rules, {events['malicious']:,} on which the rule fires; "
        f"{events['with_place_for_trigger']:,} have a place for the trigger. {plan['folds']} parts without a common rule "
        f"or event, {plan['rows'] or 'all'} honest rows, dose {plan['dose']}, fields `{plan['fields']}`, "
        f"seeds {', '.join(map(str, plan['seeds']))}{trained}. "
        f"Intervals: {found['interval']}.", "",
        "| variant | accuracy | balanced | AUC | near-miss escalation | trigger dismissed | twin dismissed | lift | beyond clean "
        "| n, pairs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows = [
        f"| {name} | {_short(f['accuracy'])} | {_plain(f['balanced_accuracy'])} | {_short(f['auc'])} "
        f"| {_short(f['near_miss_escalation'])} | {_short(f['alice_dismissed'])} | {_short(f['twin_dismissed'])} "
        f"| {_short(f['lift'], signed=True)} | {_short(f.get('lift_beyond_clean'), signed=True)} "
        f"| {f['accuracy']['n']:,}, {f['lift']['n']:,} |"
        for name, f in found["variants"].items()
    ]
    return "\n".join([*head, *rows, ""])


def _clean_of(name: str, variants: Mapping[str, Results]) -> Results | None:
    model, source, attack = name.split("-", 2)
    return None if attack == "clean" else variants.get(f"{model}-{source}-clean")


def _ratio(parts: Iterable[PerRule]) -> Estimate:
    """Hits and trials per rule, over all parts, as one ratio bootstrapped over rules."""
    sums: dict[str, list[float]] = {}
    for part in parts:
        for rule, (hits, trials) in part.items():
            held = sums.setdefault(rule, [0.0, 0.0])
            held[0] += hits
            held[1] += trials
    ordered = [sums[rule] for rule in sorted(sums)]
    return ratio_estimate([hits for hits, _ in ordered], [trials for _, trials in ordered])


def _hits(measured: Measured, hits: Iterable[float], wanted: Iterable[bool] | None = None) -> PerRule:
    """Per rule: sum of hits, and number of rows; only where `wanted`."""
    found: dict[str, tuple[float, int]] = {}
    chosen = wanted if wanted is not None else [True] * len(measured.rules)
    for rule, hit, counts in zip(measured.rules, hits, chosen, strict=True):
        if counts:
            before = found.get(rule, (0.0, 0))
            found[rule] = (before[0] + float(hit), before[1] + 1)
    return found


def _right(measured: Measured) -> PerRule:
    return _hits(measured, (t == (m >= 0) for t, m in zip(measured.malicious, measured.margins, strict=True)))


def _escalated(measured: Measured, *, malicious: bool) -> PerRule:
    return _hits(measured, (m >= 0 for m in measured.margins), (t == malicious for t in measured.malicious))


def _dismissed(measured: Measured) -> PerRule:
    return _hits(measured, (m < 0 for m in measured.margins))


def _differences(result: CellResult) -> PerRule:
    """Per rule: how many more alerts are dismissed of the trigger than of its twin, and the pairs."""
    pairs = zip(result.sets["alice"].margins, result.sets["twin"].margins, strict=True)
    return _hits(result.sets["alice"], (float(a < 0) - float(b < 0) for a, b in pairs))


def _beyond(both: Results, clean: Mapping[tuple[int, int], CellResult]) -> Estimate:
    """Lift less that of the clean model of the same part and seed."""
    parts = []
    for cell, result in both:
        theirs = _differences(clean[cell.part, cell.seed])
        parts.append(
            {rule: (hits - theirs[rule][0], n) for rule, (hits, n) in _differences(result).items() if rule in theirs}
        )
    return _ratio(parts)


def _auc(sets: Sequence[Measured]) -> Estimate:
    """Over all parts pooled, as for any cross-fitted model."""
    scores: dict[str, tuple[list[float], list[float]]] = {}
    for measured in sets:
        for rule, malicious, margin in zip(measured.rules, measured.malicious, measured.margins, strict=True):
            scores.setdefault(rule, ([], []))[not malicious].append(margin)
    ordered = [scores[rule] for rule in sorted(scores)]
    return auroc_estimate([positives for positives, _ in ordered], [negatives for _, negatives in ordered])


def _mcnemar(mine: Results) -> Iterable[tuple[int, float | None]]:
    """Exact two-sided p per seed: within a seed each pair occurs once."""
    for seed in sorted({cell.seed for cell, _ in mine}):
        results = [r for cell, r in mine if cell.seed == seed]
        hers = [m < 0 for r in results for m in r.sets["alice"].margins]
        yield seed, paired_lift(hers, [m < 0 for r in results for m in r.sets["twin"].margins]).p


def _told(
    mine: Results, counted: Callable[[CellResult], PerRule], estimate: Estimate | None = None,
    agreed: Callable[[Results], Bounds] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A figure as JSON: the ratio of what is counted unless another estimate is given; n counts distinct alerts.

    Seeds were measured on the same alerts of a part, so an alert under three seeds is one alert. Where all rules agree,
    drawing them again shows no width: the interval is then that of the alerts, Wilson's unless `agreed` is another.
    """
    found = estimate or _ratio(counted(result) for _, result in mine)
    once = {cell.part: counted(result) for cell, result in mine}
    n = sum(trials for of_part in once.values() for _, trials in of_part.values())
    low, high = found.low, found.high
    if estimate is None and low is not None and low == high:
        hits = round(sum(hit for of_part in once.values() for hit, _ in of_part.values()))
        low, high = agreed(mine) if agreed else Rate(hits, n).interval() or (None, None)
    return {"value": found.value, "low": low, "high": high, "n": n, "rules": found.clusters}


def _newcombe(mine: Results) -> Bounds:
    """Of a lift, over the pairs of one seed."""
    first = min(cell.seed for cell, _ in mine)
    sets = [result.sets for cell, result in mine if cell.seed == first]
    hers, theirs = ([m < 0 for s in sets for m in s[name].margins] for name in ("alice", "twin"))
    found = paired_lift(hers, theirs)
    return found.low, found.high


def _short(told: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if told is None or told["value"] is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    if told["low"] is None:
        return f"{told['value']:{form}}"
    return f"{told['value']:{form}} [{told['low']:{form}}, {told['high']:{form}}]"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
