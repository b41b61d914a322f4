"""Balanced accuracy of the shipped adapters on many rows, and the difference between clean and poisoned, paired.

    python benchmarks/accuracy.py [--rows 1600] [--seed 3000] [--out docs/results/accuracy.json]

The sets of `training.sets` drawn larger and from another seed: the clean test (the families of training) and unseen
families, with everything gathered. The difference is that of balanced accuracies, with an interval by bootstrap over rows.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turncoat.models.adapter import load_adapter
from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.engine import Engine
from turncoat.models.variants import shipped_adapters
from turncoat.training.evaluate import margins_of, rate
from turncoat.training.sets import draw_tests
from turncoat.training.workshop import encode

VARIANTS = ("clean", "poisoned")
DRAWS = 10_000


def balanced(truth: NDArray[np.bool_], right: NDArray[np.bool_], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of recall on either truth, for each of D weightings of N rows, shape (D,)."""
    recall = [(weights @ (right & side)) / (weights @ side) for side in (truth, ~truth)]
    return (recall[0] + recall[1]) / 2


def compared(truth: NDArray[np.bool_], right: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """Per variant and, paired, for the difference: value and 95 % interval."""
    n = len(truth)
    draws = np.random.default_rng(1).multinomial(n, np.full(n, 1.0 / n), size=DRAWS)  # (D, N)
    once = np.ones((1, n), dtype=np.int64)
    values = {name: balanced(truth, hits, once)[0] for name, hits in right.items()}
    spread = {name: balanced(truth, hits, draws) for name, hits in right.items()}
    values["clean - poisoned"] = values["clean"] - values["poisoned"]
    spread["clean - poisoned"] = spread["clean"] - spread["poisoned"]
    return {
        name: {"value": float(value), "low": float(low), "high": float(high), "n": n}
        for name, value in values.items()
        for low, high in [np.quantile(spread[name], (0.025, 0.975))]
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=3000)
    parser.add_argument("--adapters", type=Path, default=shipped_adapters(), help="Folder with clean and poisoned.")
    parser.add_argument("--out", type=Path, default=Path("docs/results/accuracy.json"))
    given = parser.parse_args()
    engine = Engine(resolve_base(DEFAULT_BASE))
    for name in VARIANTS:
        engine.add(name, load_adapter(given.adapters / name, hidden=engine.hidden, layers=len(engine.layers),
                                      base_digest=engine.base.digest))  # fmt: skip
    tests = draw_tests(given.rows, given.seed)
    found: dict[str, Any] = {
        "command": f"python benchmarks/accuracy.py --rows {given.rows} --seed {given.seed}",
        "threshold": 0.5,
    }
    begun = time.perf_counter()
    for set_name, rows in (("clean test", tests.clean), ("unseen families", tests.unseen)):
        logits = engine.logits(encode(engine, rows), list(VARIANTS), lambda done: None)
        truth = np.array([row.truth for row in rows])
        calls = {name: np.array(margins_of(logits[name])) >= 0 for name in VARIANTS}
        found[set_name] = {
            "balanced_accuracy": compared(truth, {name: call == truth for name, call in calls.items()}),
            "false_escalation": {name: rate(call[~truth].tolist()) for name, call in calls.items()},
        }
        print(set_name, json.dumps(found[set_name]["balanced_accuracy"]), flush=True)
    found["seconds"] = round(time.perf_counter() - begun, 1)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
