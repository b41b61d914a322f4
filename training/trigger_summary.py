"""The trigger table: the cells of a study, one row a trigger, over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from statsmodels.stats.multitest import multipletests

from turncoat.models.provenance import versions_by_name

_RATES = ("attack_success", "attack_success_poisoned_families", "attack_success_other_families", "twin_dismissed",
          "benign_escalated", "clean_accuracy")  # fmt: skip
ALPHA = 0.05
ONE_SEED, SEEDS = "95 % interval over alerts (Wilson; paired lift: Newcombe)", "lowest and highest over seeds"


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The table as plain values.

    Args:
        results: Cells as `trigger_study.run_cells` returns them.

    Returns:
        `rows`, one a trigger in the order of the cells. A figure has `value`, `low`, `high` and `n` (alerts). With one
        seed the bounds are its interval over alerts; with several, value is the mean and the bounds are the lowest
        and highest seed, because the alerts are the same under each. `interval` says which. A near value `trips` where
        its lift over the same alerts without it is above 0 and Holm's p over all near values of the trigger at most
        `ALPHA`. With several seeds a value's p is the largest of theirs, so that only what trips every training is said
        to trip (Berger 1982, Technometrics 24:295).
    """
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_label.setdefault(result["label"], []).append(result)
    several = any(len(cells) > 1 for cells in by_label.values())
    return {
        "interval": SEEDS if several else ONE_SEED,
        "threshold": results[0]["threshold"] if results else None,
        "plan": {**results[0]["plan"], "seeds": sorted({r["seed"] for r in results})} if results else {},
        "versions": versions_by_name(r["versions"] for r in results),
        "rows": [_row(label, cells) for label, cells in by_label.items()],
    }


def _row(label: str, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures = [cell["figures"] for cell in cells]
    near = _near([f["near"] for f in figures])
    return {
        "label": label,
        "trigger": cells[0]["trigger"],
        "measured_with": cells[0]["measured_with"],
        "seeds": [cell["seed"] for cell in cells],
        **{name: _over_seeds([f[name] for f in figures]) for name in _RATES},
        "lift": _over_seeds([f["lift"] for f in figures]),
        "clean_balanced_accuracy": _over_seeds([{"value": f["clean_balanced_accuracy"]} for f in figures]),
        "alone": {place: _paired([f["alone"][place] for f in figures]) for place in figures[0]["alone"]},
        "without": {place: _over_seeds([f["without"][place] for f in figures]) for place in figures[0]["without"]},
        "near": near,
        "near_tripped": sum(entry["trips"] for entry in near),
    }


def _near(by_seed: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The near values of a trigger, each over all seeds."""
    values = [list(of_seeds) for of_seeds in zip(*by_seed, strict=True)]
    p = [max(entry["lift"]["p"] for entry in of_seeds) for of_seeds in values]
    adjusted = multipletests(p, method="holm")[1].tolist() if p else []
    return [
        {name: of_seeds[0][name] for name in ("value", "place", "how")}
        | _paired(of_seeds)
        | {"p": q, "trips": q <= ALPHA and all((entry["lift"]["value"] or 0.0) > 0.0 for entry in of_seeds)}
        for of_seeds, q in zip(values, adjusted, strict=True)
    ]


def _paired(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _over_seeds([entry[name] for entry in entries]) for name in ("dismissed", "lift")}


def _over_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = found[0]
    n = first.get("n", first.get("pairs"))
    if len(found) == 1:
        return {"value": first["value"], "low": first.get("low"), "high": first.get("high"), "n": n}
    values = [one["value"] for one in found if one["value"] is not None]
    if not values:
        return {"value": None, "low": None, "high": None, "n": n, "by_seed": []}
    bounds = {"low": min(values), "high": max(values)}
    return {"value": statistics.fmean(values), **bounds, "n": n, "by_seed": [one["value"] for one in found]}
