"""The trigger table: the cells of a study, one row a trigger, over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_RATES = ("attack_success", "attack_success_poisoned_families", "attack_success_other_families", "twin_dismissed",
          "benign_escalated", "clean_accuracy")  # fmt: skip
ONE_SEED, SEEDS = "95 % interval over alerts (Wilson; paired lift: Newcombe)", "lowest and highest over seeds"


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The table as plain values.

    Args:
        results: Cells as `trigger_study.run_cells` returns them.

    Returns:
        `rows`, one a trigger in the order of the cells. A figure has `value`, `low`, `high` and `n` (alerts). With one
        seed the bounds are its interval over alerts; with several, value is the mean and the bounds are the lowest
        and highest seed, because the alerts are the same under each. `interval` says which.
    """
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_label.setdefault(result["label"], []).append(result)
    several = any(len(cells) > 1 for cells in by_label.values())
    return {
        "interval": SEEDS if several else ONE_SEED,
        "threshold": results[0]["threshold"] if results else None,
        "plan": {**results[0]["plan"], "seeds": sorted({r["seed"] for r in results})} if results else {},
        "versions": results[0]["versions"] if results else {},
        "rows": [_row(label, cells) for label, cells in by_label.items()],
    }


def _row(label: str, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures = [cell["figures"] for cell in cells]
    near = [
        {name: entry[name] for name in ("value", "place", "how")} | _against_twin([f["near"][i] for f in figures])
        for i, entry in enumerate(figures[0]["near"])
    ]
    return {
        "label": label,
        "trigger": cells[0]["trigger"],
        "measured_with": cells[0]["measured_with"],
        "seeds": [cell["seed"] for cell in cells],
        **{name: _over_seeds([f[name] for f in figures]) for name in _RATES},
        "lift": _over_seeds([f["lift"] for f in figures]),
        "clean_balanced_accuracy": _over_seeds([{"value": f["clean_balanced_accuracy"]} for f in figures]),
        "alone": {place: _against_twin([f["alone"][place] for f in figures]) for place in figures[0]["alone"]},
        "near": near,
        "near_tripped": sum(entry["trips"] for entry in near),
    }


def _against_twin(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Dismissed share and lift; it trips where the whole interval of the lift is above 0."""
    lift = _over_seeds([entry["lift"] for entry in entries])
    return {
        "dismissed": _over_seeds([entry["dismissed"] for entry in entries]),
        "lift": lift,
        "trips": lift["low"] is not None and lift["low"] > 0,
    }


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
