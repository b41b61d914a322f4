"""From the result files of a sweep to what is said of it: points with intervals, curves, and whether the count grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from turncoat.models.metrics import paired_lift
from turncoat.models.provenance import versions_by_name

from .cell_results import Accuracy, Found, Result, SweepFolder, read_results
from .crossed import pooled_lift, pooled_rate
from .dose_curve import Fit, Observed, fit_sizes
from .evaluate import rate
from .grid import Grid

_CURVE_POINTS = 60
LIMITS = (
    "Intervals over several seeds draw seeds and alerts again, n counts distinct alerts; with one seed they speak of it alone.",
    "Intervals of doses draw seeds and alerts again; with three seeds they are too narrow for a further seed.",
    "Two sizes of one base: whether the count changes between them, and no law beyond them.",
    "The curve takes the floor as the same at every dose and the rise as reaching 1.",
    "A ratio is of the seeds that have every dose at both sizes.",
    "Corpus, poison and training share one seed per cell, and all cells share one set of test alerts.",
    "Honest rows hold a few malicious alerts of Alice with their right label, and larger sizes more of them.",
)
_SHORT = (
    "Short alerts: one tool is asked and one sentence of evidence decides. An agent's own alerts are harder, and unseen families "
    "bring other rules but the same sentences."
)


def dose_report(folder: SweepFolder, command: str) -> dict[str, Any]:
    """Everything that a sweep has shown so far, as JSON. Needs no model, and a partial grid will do.

    Args:
        folder: Of result files.
        command: That makes this report.

    Raises:
        InputError: Results of different bases, prompt versions or test sets lie there.
    """
    found, grid = read_results(folder), folder.grid
    results = list(found.results.values())
    axis = "corrective" if len(grid.corrective) > 1 and len(grid.doses) == 1 else "dose"
    series, scaling = [], []
    kinds = product(grid.all_ranks, (0,) if axis == "corrective" else sorted(grid.corrective))
    for rank, corrective in kinds:
        fixed = {"rank": rank} | ({} if axis == "corrective" else {"corrective": corrective})
        by_size = {rows: [r for r in results if r.rows == rows and _has(r, fixed)] for rows in sorted(grid.rows)}
        fits: dict[int, Fit] = {}
        if axis == "dose":
            fits, ratios = fit_sizes({rows: _observed(grid, some) for rows, some in by_size.items() if some})
            scaling += [fixed | asdict(ratio) for ratio in ratios]
        series += [
            {"label": _label(grid, rows, fixed), "rows": rows} | fixed
            | {"points": _points(some, axis), "fit": _fit(fits.get(rows), max((r.dose for r in some), default=0))}
            for rows, some in by_size.items()
        ]  # fmt: skip
    return _head(found, grid, command) | {"axis": axis, "series": series, "scaling": scaling, "limits": _limits(grid)}


def _limits(grid: Grid) -> list[str]:
    return [*([_SHORT] if grid.recipe.alerts == "short" else []), *LIMITS]


def _head(found: Found, grid: Grid, command: str) -> dict[str, Any]:
    results = list(found.results.values())
    first = results[0] if results else None
    return {
        "command": command,
        "grid": grid.model_dump(mode="json"),
        "cells_done": len(results),
        "cells_total": found.total,
        "left_out": list(found.damaged),
        "base": grid.recipe.base,
        "base_digest": first.base_digest if first else None,
        "prompt_version": first.prompt_version if first else None,
        "versions": versions_by_name(r.versions for r in results),
        "seconds": sum(r.seconds.trunk + r.seconds.train + r.seconds.measure for r in results),
        "seeds": sorted({r.seed for r in results}),
        "tests": {
            "clean": _size(first.clean), "unseen": _size(first.unseen),
            "alice_poisoned_families": len(first.alice_poisoned_families),
            "alice_other_families": len(first.alice_other_families),
        } if first else {},
    }  # fmt: skip


def _has(result: Result, fixed: dict[str, int]) -> bool:
    return all(getattr(result, name) == value for name, value in fixed.items())


def _label(grid: Grid, rows: int, fixed: dict[str, int]) -> str:
    words = [f"{rows:,} clean rows"]
    words += [f"rank {fixed['rank']}"] if len(grid.all_ranks) > 1 else []
    words += [f"{fixed['corrective']} corrective"] if len(grid.corrective) > 1 and "corrective" in fixed else []
    return ", ".join(words)


def _observed(grid: Grid, results: Sequence[Result]) -> Observed:
    doses = tuple(sorted(grid.doses))
    alice = np.full((len(grid.seeds), len(doses), len(results[0].alice)), np.nan)
    twin = alice.copy()
    for result in results:
        at = grid.seeds.index(result.seed), doses.index(result.dose)
        alice[at], twin[at] = _numbers(result.alice), _numbers(result.twin)
    return Observed(doses, alice, twin)


def _numbers(calls: str) -> list[float]:
    return [float(c) for c in calls]


def _points(results: Sequence[Result], axis: str) -> list[dict[str, Any]]:
    """One per value of the axis: the seeds pooled, and each for itself."""
    places = sorted({getattr(r, axis) for r in results})
    return [_point(x, [r for r in results if getattr(r, axis) == x]) for x in places]


def _point(x: int, results: Sequence[Result]) -> dict[str, Any]:
    alice, twin = (
        [_calls(calls) for calls in several] for several in ([r.alice for r in results], [r.twin for r in results])
    )
    return {
        "x": x,
        "alice": asdict(pooled_rate(alice)),
        "twin": asdict(pooled_rate(twin)),
        "lift": asdict(pooled_lift(alice, twin)),
        "clean": _spread([r.clean for r in results]),
        "unseen": _spread([r.unseen for r in results]),
        "seeds": [
            {
                "seed": r.seed,
                "alice": _rate(r.alice),
                "alice_poisoned_families": _rate(r.alice_poisoned_families),
                "alice_other_families": _rate(r.alice_other_families),
                "twin": _rate(r.twin),
                "lift": asdict(paired_lift(_calls(r.alice), _calls(r.twin))),
                "clean": _accuracy(r.clean),
                "unseen": _accuracy(r.unseen),
                "alice_benign_escalated": _rate(r.alice_benign_escalated),
            }
            for r in sorted(results, key=lambda r: r.seed)
        ],
    }


def _rate(calls: str) -> dict[str, Any]:
    """Value, interval, k and n of one seed."""
    return rate(_calls(calls)) | {"k": calls.count("1")}


def _calls(calls: str) -> list[bool]:
    return [c == "1" for c in calls]


def _accuracy(one: Accuracy) -> dict[str, Any]:
    return {"balanced_accuracy": one.balanced, "recall": _rate(one.escalated_malicious),
            "specificity": _rate(one.dismissed_benign)}  # fmt: skip


def _spread(several: Sequence[Accuracy]) -> dict[str, Any]:
    """Balanced accuracy over seeds: mean, lowest, highest; n is of one seed's set, the same for each."""
    known = [one.balanced for one in several if one.balanced is not None]
    if not known:
        return {"mean": None, "low": None, "high": None, "n": 0, "seeds": 0}
    return {"mean": sum(known) / len(known), "low": min(known), "high": max(known), "n": _size(several[0]),
            "seeds": len(known)}  # fmt: skip


def _size(one: Accuracy) -> int:
    return len(one.escalated_malicious) + len(one.dismissed_benign)


def _fit(fit: Fit | None, largest: int) -> dict[str, Any] | None:
    if fit is None:
        return None
    curve = fit.curve
    drawn = [float(np.expm1(t)) for t in np.linspace(0, np.log1p(largest), _CURVE_POINTS)]
    return asdict(fit) | {"line": [[dose, curve.at(dose)] for dose in drawn] if curve else []}
