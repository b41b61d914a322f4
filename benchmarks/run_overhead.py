"""Wall time of `turncoat run` against model load plus the bare forward passes of its distinct prompts.

    python benchmarks/run_overhead.py [--out docs/results/run_overhead.json]

Two bounds, both in batches of 8 and in the same dtype: `separate` gives every variant whole forward passes of its own
(what three loaded models would cost), `shared` sends each distinct prompt through the frozen layers once (the least that
this design can cost). The run itself is a process of its own, from its start to its end, with every file that it writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.models.engine import BATCH
from turncoat.models.finetuned import FineTunedClassifier
from turncoat.models.provenance import run_versions
from turncoat.models.variant_names import DEFAULT_VARIANTS
from turncoat.models.variants import open_variants
from turncoat.scenarios.loader import load_campaign

FLAGSHIP = "insider-departing-exfil"


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def measure(folder: Path) -> dict[str, object]:
    """Runs the flagship in a process, then times the bare work in this one."""
    started = time.perf_counter()
    command = [
        sys.executable,
        "-c",
        "from turncoat.console.cli import main; main()",
        "run",
        "--quiet",
        "--out",
        str(folder / "a"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    run_s = time.perf_counter() - started

    started = time.perf_counter()
    variants = open_variants(DEFAULT_VARIANTS)
    load_s = time.perf_counter() - started
    campaign = load_campaign(FLAGSHIP)
    play(Plan(campaign, campaign.seed, folder / "b"), variants, Settings(), 0.0, lambda event: None)
    first = variants[DEFAULT_VARIANTS[0]]
    assert isinstance(first, FineTunedClassifier)
    asked: dict[str, list[tuple[int, ...]]] = {}
    for name, ids in variants.computed():
        asked.setdefault(name, []).append(ids)

    started = time.perf_counter()
    for name, prompts in asked.items():
        first.engine.logits(prompts, [name])
    separate_s = time.perf_counter() - started
    distinct = list(dict.fromkeys(ids for prompts in asked.values() for ids in prompts))
    started = time.perf_counter()
    first.engine.logits(distinct, list(asked))
    shared_s = time.perf_counter() - started
    return {
        "command": "python benchmarks/run_overhead.py",
        "run_s": round(run_s, 1),
        "load_s": round(load_s, 1),
        "forward_separate_s": round(separate_s, 1),
        "forward_shared_s": round(shared_s, 1),
        "ratio_to_separate": round(run_s / (load_s + separate_s), 2),
        "ratio_to_shared": round(run_s / (load_s + shared_s), 2),
        "distinct_prompts": len(distinct),
        "prompts_per_variant": {name: len(prompts) for name, prompts in asked.items()},
        "batch": BATCH,
        "dtype": str(first.engine.model.dtype),
        "versions": run_versions(),
    }


if __name__ == "__main__":
    main()
