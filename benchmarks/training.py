"""Our training step against Hugging Face `Trainer` with PEFT: same weights, rows, LoRA shape and batch.

    python benchmarks/training.py [--quick] [--accuracy] [--out docs/results/training_speed.json]

Ours trains the top layers over hidden states that pass the frozen layers once; three variants times three epochs share
that pass, and its time, with writing the states to disk, is counted in. The peer is given LoRA on all layers, as its users
do, and on the same top layers; fp32 and the dtype of ours; several batch sizes, all accumulated to the recipe's. Each round
measures every contender once, so ratios are taken within a round. `--quick` takes about a minute; `--accuracy` trains ours
and the fastest peer of each reach on `--rows-trained` rows to the end and measures both on the clean test, which takes long; with
`--alerts short` on alerts of at most 96 tokens, which fewer rows teach.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from measuring import matrix_peak, say, spread, weight_products
from torch import Tensor
from training_peers import PeerSetting, peer_margins, train_peer

from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.engine import Engine
from turncoat.models.metrics import paired_lift
from turncoat.models.provenance import run_versions
from turncoat.training.config import Recipe
from turncoat.training.corpus import Row
from turncoat.training.evaluate import rate
from turncoat.training.schedule import epoch_batches
from turncoat.training.sets import draw_tests, training_rows
from turncoat.training.step import Trainee
from turncoat.training.trunk import trunk_states
from turncoat.training.trunk_cache import TrunkCache
from turncoat.training.workshop import Workshop, encode, shared_tokens

VARIANTS, EPOCHS = 3, 3
SEED = 7


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=DEFAULT_BASE)
    parser.add_argument(
        "--steps", type=int, default=4, help="updates that each contender is timed over, after one more"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[4, 8, 16], help="the peer's rows per pass")
    parser.add_argument("--quick", action="store_true", help="one round of one update, to see that it runs")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--rows-trained", type=int, default=1600)
    parser.add_argument("--alerts", choices=["full", "short"], default="full", help="of --accuracy")
    parser.add_argument(
        "--all-layers-alone", action="store_true", help="of --accuracy: leave out the peer on our layers"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.steps, options.rounds, options.batches = 1, 1, [8]
    text = json.dumps(measure(options), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    started = time.perf_counter()
    engine = Engine(resolve_base(options.base))
    recipe = Recipe(name="speed", base=options.base, rows=16 * (options.steps + 1), epochs=1, seed=SEED)
    rows, _ = training_rows(recipe)
    found = {
        "command": "python benchmarks/training.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "dtype": str(engine.decoder.dtype),
                    "device": str(engine.decoder.device), "load_average": os.getloadavg()[0]},
        "versions": run_versions(engine.precision),
        "seed": SEED,
        "speed": speed(engine, recipe, rows, options),
    }  # fmt: skip
    if options.accuracy:
        found["clean_accuracy"] = accuracy(engine, found["speed"], options)
    return found | {"seconds": round(time.perf_counter() - started)}


def speed(engine: Engine, recipe: Recipe, rows: Sequence[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds per example of one epoch, ours with its share of the trunk pass, and the peers' as multiples of it."""
    prompts, labels = encode(engine, rows), [row.label for row in rows]
    settings = peer_settings(engine, recipe, options.batches)
    step, trunk, peak, times = [], [], [], {setting.name: list[float]() for setting in settings}
    with tempfile.TemporaryDirectory() as scratch:
        for round_ in range(options.rounds):
            say(f"round {round_ + 1} of {options.rounds}: ours")
            peak.append(matrix_peak(engine.decoder.dtype, engine.decoder.device))
            states, seconds = timed_trunk(engine, prompts, recipe, Path(scratch) / f"trunk-{round_}")
            trunk.append(seconds / len(prompts) * 1000)
            step.append(timed_steps(engine, recipe, states, labels, shared_tokens(prompts)))
            for setting in settings:
                say(f"round {round_ + 1} of {options.rounds}: {setting.name}")
                run = train_peer(engine, prompts, labels, recipe, setting, Path(scratch) / "peer")
                times[setting.name].append(statistics.mean(run.step_seconds[1:]) / recipe.batch * 1000)
    ours = [s + t / (VARIANTS * EPOCHS) for s, t in zip(step, trunk, strict=True)]
    # Forward, and the gradient of the input; frozen weights need none of their own.
    flops = 4 * weight_products(engine, recipe.lora.first_layer, sum(map(len, prompts)), len(prompts)) / len(prompts)
    return {
        "examples": len(prompts), "tokens_per_example": round(statistics.mean(map(len, prompts)), 1),
        "rounds": options.rounds, "variants": VARIANTS, "epochs": EPOCHS,
        "ours_ms": {"step": spread(step), "trunk_once": spread(trunk), "per_example_and_epoch": spread(ours)},
        "matrix_peak_gflops": spread([p / 1e9 for p in peak]),
        "fraction_of_peak_in_step": spread([flops / s * 1000 / p for s, p in zip(step, peak, strict=True)]),
        "peers": {
            name: {"ms": spread(found), "times_ours": spread([f / o for f, o in zip(found, ours, strict=True)])}
            for name, found in times.items()
        },
    }  # fmt: skip


def peer_settings(engine: Engine, recipe: Recipe, batches: Sequence[int]) -> list[PeerSetting]:
    """All layers and ours, fp32 and our dtype, every batch size."""
    dtypes = dict.fromkeys((torch.float32, engine.decoder.dtype))
    return [
        PeerSetting(dtype, reach, batch)
        for reach in (None, recipe.lora.first_layer)
        for dtype in dtypes
        for batch in batches
    ]


def timed_trunk(
    engine: Engine, prompts: Sequence[list[int]], recipe: Recipe, folder: Path
) -> tuple[Sequence[Tensor], float]:
    """States before the trained layers, computed and written to disk; and the seconds."""
    layer = recipe.lora.first_layer
    started = time.perf_counter()
    states = trunk_states(engine, prompts, layer, lambda progress: None)
    cache = TrunkCache(engine.base.digest, layer, engine.decoder.dtype, engine.hidden, engine.arithmetic, folder=folder,
                       most_bytes=10**10)  # fmt: skip
    cache.keep({tuple(ids): state for ids, state in zip(prompts, states, strict=True)})
    return states, time.perf_counter() - started


def timed_steps(
    engine: Engine, recipe: Recipe, states: Sequence[Tensor], labels: Sequence[bool], prefix: int
) -> float:  # fmt: skip
    """Milliseconds per example over an epoch's updates but the first."""
    trainee, target = Trainee(engine, recipe, len(states), prefix=prefix), torch.tensor(labels, dtype=torch.long)
    seconds, examples = 0.0, 0
    for at, index in enumerate(epoch_batches([len(s) for s in states], recipe, 0)):
        started = time.perf_counter()
        trainee.step([states[i] for i in index], target[index])
        if at:
            seconds, examples = seconds + time.perf_counter() - started, examples + len(index)
    return seconds / examples * 1000


def accuracy(engine: Engine, measured: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy after the whole recipe on the clean and the unseen test, and how far a peer lies above ours, alert by alert.

    Peers: the fastest with factors on all layers, and the fastest on ours.
    """
    recipe = Recipe(name="accuracy", base=options.base, alerts=options.alerts, rows=options.rows_trained, seed=SEED)
    rows, _ = training_rows(recipe)
    drawn = draw_tests(form=recipe.alerts)
    tests = [*drawn.clean, *drawn.unseen]
    parts = {"clean": slice(len(drawn.clean)), "unseen": slice(len(drawn.clean), None), "both": slice(None)}
    prompts, labels, asked = encode(engine, rows), [row.label for row in rows], encode(engine, tests)
    found: dict[str, Any] = {}
    ours: list[bool] = []

    def told(name: str, margins: Sequence[float]) -> None:
        right = [(m >= 0) == row.truth for m, row in zip(margins, tests, strict=True)]
        found[name] = {part: rate(right[at]) for part, at in parts.items()}
        if ours:
            above = paired_lift(right, ours)
            found[name]["above_ours"] = {"value": above.value, "low": above.low, "high": above.high, "p": above.p}
        else:
            ours.extend(right)
        say(f"{name}: {found[name]['both']['value']:.3f}")

    with tempfile.TemporaryDirectory() as scratch:
        workshop = Workshop(options.base, lambda progress: None)
        folder = workshop.fit_rows(recipe, rows, [], Path(scratch) / "ours")
        told("ours", workshop.margins({"ours": folder}, {"tests": tests})["ours"]["tests"])
        by_name = {s.name: s for s in peer_settings(engine, recipe, options.batches)}
        for reach in (None,) if options.all_layers_alone else (None, recipe.lora.first_layer):
            names = [name for name, setting in by_name.items() if setting.from_layer == reach]
            fastest = min(names, key=lambda name: measured["peers"][name]["ms"]["median"])
            run = train_peer(engine, prompts, labels, recipe, by_name[fastest], Path(scratch) / "peer")
            told(fastest, peer_margins(engine, run, asked))
    return {"rows": len(rows), "alerts": recipe.alerts, "epochs": recipe.epochs, "accuracy": found}


if __name__ == "__main__":
    main()
