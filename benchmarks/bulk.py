"""A thousand alerts in bulk and through the graph: time in the model, time outside it, and their ratio.

    python benchmarks/bulk.py [--alerts 1000] [--rounds 3] [--out docs/results/bulk.json]

Campaign alerts, of all campaigns and then of further seeds, until there are enough; chunks as in `turncoat run`, so that both
paths ask for the same batches. The graph writes what a run writes: rows, queue and SQLite checkpoints. Each path has a
fresh memo of verdicts, and a round measures one after the other. Compare ratios, never seconds. The scripted classifier
takes next to no time, so its row shows what is not the model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from turncoat.agent.bulk import investigate_together, seat_of
from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Investigation, Settings
from turncoat.agent.replay import replay
from turncoat.agent.triage import NoCloud
from turncoat.models.classifier import AlertClassifier
from turncoat.models.engine import Engine
from turncoat.models.finetuned import FineTunedClassifier
from turncoat.models.provenance import run_versions
from turncoat.models.scoring import Scored
from turncoat.models.variants import VariantSet, open_variants
from turncoat.scenarios.emit import emit
from turncoat.scenarios.loader import list_campaigns, load_campaign
from turncoat.scenarios.records import AlertStream
from turncoat.tools.toolbox import Toolbox

SETTINGS = Settings()
SCRIPT = "scripted-hash"
Walk = Callable[[Sequence[AlertStream], Mapping[str, AlertClassifier]], list[Investigation]]


class Timed:
    """Stands before an engine's `score` and adds up what it takes."""

    def __init__(self, engine: Engine) -> None:
        self.seconds, self._score = 0.0, engine.score
        engine.score = self.score  # type: ignore[method-assign]

    def score(
        self, wanted: Sequence[tuple[str, Sequence[int]]], on_batch: Callable[[int], None] | None = None
    ) -> Scored:
        begun = time.perf_counter()
        try:
            return self._score(wanted, on_batch)
        finally:
            self.seconds += time.perf_counter() - begun


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", nargs="*", default=["clean"], help="of the model; each judges every alert")
    parser.add_argument("--scripted-only", action="store_true", help="leave the model out")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = json.dumps(measure(options), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    load = os.getloadavg()[0]
    streams = list(enough(options.alerts))
    figures, versions = {"scripted": compared(streams, open_variants([SCRIPT]), options.rounds)}, run_versions()
    if not options.scripted_only:
        variants = open_variants(options.variants)
        figures["model"] = compared(streams, variants, options.rounds)
        versions |= {"arithmetic": variants.arithmetic}
    given = [f"--alerts {options.alerts}", f"--rounds {options.rounds}", *(["--scripted-only"] * options.scripted_only)]
    return {
        "command": f"python benchmarks/bulk.py {' '.join(given)} --variants {' '.join(options.variants)}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                    "threads": torch.get_num_threads(), "load_average_before": load},
        "versions": versions,
        "alerts": sum(len(stream.alerts) for stream in streams),
        "streams": [[stream.campaign, stream.seed, len(stream.alerts)] for stream in streams],
        "chunk": SETTINGS.chunk,
        **figures,
    }  # fmt: skip


def enough(count: int) -> Iterator[AlertStream]:
    """Days of all campaigns under their actors, seed by seed; the last one cut short."""
    further = 0
    while True:
        for name in list_campaigns():
            campaign = load_campaign(name)
            stream, _ = emit(campaign, campaign.seed + further)
            yield replace(stream, alerts=stream.alerts[:count])
            count -= len(stream.alerts)
            if count <= 0:
                return
        further += 1


def in_bulk(streams: Sequence[AlertStream], variants: Mapping[str, AlertClassifier]) -> list[Investigation]:
    rows: list[Investigation] = []
    for stream in streams:
        toolbox = Toolbox(stream)
        seats = [seat_of(name, c, toolbox, ThresholdPolicy(), NoCloud(), SETTINGS) for name, c in variants.items()]
        for first in range(0, len(stream.alerts), SETTINGS.chunk):
            chunk = stream.alerts[first : first + SETTINGS.chunk]
            found = investigate_together(variants, seats, [chunk] * len(seats))
            rows += [row for of_one in zip(*found, strict=True) for row in of_one]
    return rows


def by_graph(streams: Sequence[AlertStream], variants: Mapping[str, AlertClassifier]) -> list[Investigation]:
    rows: list[Investigation] = []
    for stream in streams:
        with tempfile.TemporaryDirectory() as scratch:
            named = {stream.principal: stream}
            folder = RunFolder.start(Path(scratch) / "run", Manifest.of(named, variants, SETTINGS))
            rows += replay(named, variants, SETTINGS, folder)
    return rows


def compared(streams: Sequence[AlertStream], variants: VariantSet, rounds: int) -> dict[str, Any]:
    """Both paths in turn, after a short warming up that counts for neither; the rows of both must be the same."""
    engines = {id(c.engine): c.engine for c in variants.values() if isinstance(c, FineTunedClassifier)}
    clocks = [Timed(engine) for engine in engines.values()]
    few = [replace(streams[0], alerts=streams[0].alerts[:8])]
    alerts = sum(len(stream.alerts) for stream in streams)
    timed: dict[str, list[tuple[float, float]]] = {"bulk": [], "graph": []}
    paths: dict[str, Walk] = {"bulk": in_bulk, "graph": by_graph}
    for path in paths.values():
        path(few, variants)
    for number in range(rounds):
        # Who goes first alternates: neither always follows the other's heat.
        order = sorted(paths, reverse=bool(number % 2))
        rows = {}
        for name in order:
            variants.forget()
            before, begun = sum(clock.seconds for clock in clocks), time.perf_counter()
            rows[name] = paths[name](streams, variants)
            wall = time.perf_counter() - begun
            timed[name].append((wall, sum(clock.seconds for clock in clocks) - before))
        if rows["bulk"] != rows["graph"]:
            raise SystemExit("the two paths decide differently: that is a fault, not a figure")
    found: dict[str, Any] = {name: _path_figures(each, alerts) for name, each in timed.items()}
    ratios = [graph / bulk for (bulk, _), (graph, _) in zip(timed["bulk"], timed["graph"], strict=True)]
    return {"variants": list(variants), "verdicts": len(rows["bulk"]), **found, "graph_over_bulk": _spread(ratios)}


def _path_figures(timed: Sequence[tuple[float, float]], alerts: int) -> dict[str, Any]:
    return {
        "wall_s": _spread([wall for wall, _ in timed]),
        "model_s": _spread([model for _, model in timed]),
        "outside_share": _spread([1 - model / wall for wall, model in timed]),
        "outside_ms_per_alert": _spread([(wall - model) * 1e3 / alerts for wall, model in timed]),
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    shown = [round(value, 4) for value in values]
    return {"median": round(statistics.median(values), 4), "rounds": shown}


if __name__ == "__main__":
    main()
