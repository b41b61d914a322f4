"""Wall time of `turncoat run` against model load plus the bare forward passes of its distinct prompts.

    python benchmarks/run_overhead.py [--out docs/results/run_overhead.json]

Two bounds in the same dtype: `bare` is transformers' own forward pass of every distinct prompt under every variant that
was asked, in padded batches of 8 of similar length, as a loop over loaded models would do it (without the adapters' own cost);
`engine` is our engine given all those at once, the least that this design can cost. The run itself is a process of its own,
from its start to its end, with every file that it writes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.models.decoder import text_model
from turncoat.models.finetuned import FineTunedClassifier
from turncoat.models.provenance import run_versions
from turncoat.models.variant_names import DEFAULT_VARIANTS
from turncoat.models.variants import open_variants
from turncoat.scenarios.loader import load_campaign

FLAGSHIP = "insider-departing-exfil"
BATCH = 8


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
    play(Plan(campaign, campaign.seed, folder / "b"), variants, Settings(), lambda event: None)
    first = variants[DEFAULT_VARIANTS[0]]
    assert isinstance(first, FineTunedClassifier)
    engine, asked = first.engine, variants.computed()

    started = time.perf_counter()
    bare_passes(text_model(engine.model), [ids for _, ids in asked])
    bare_s = time.perf_counter() - started
    started = time.perf_counter()
    engine.score(asked)
    engine_s = time.perf_counter() - started
    return {
        "command": "python benchmarks/run_overhead.py",
        "run_s": round(run_s, 1),
        "load_s": round(load_s, 1),
        "forward_bare_s": round(bare_s, 1),
        "forward_engine_s": round(engine_s, 1),
        "ratio_to_bare": round(run_s / (load_s + bare_s), 2),
        "ratio_to_engine": round(run_s / (load_s + engine_s), 2),
        "distinct_requests": len(asked),
        "distinct_prompts": len({ids for _, ids in asked}),
        "batch": BATCH,
        "dtype": str(engine.model.dtype),
        "load_average": os.getloadavg()[0],
        "versions": run_versions(engine.precision),
    }


@torch.inference_mode()
def bare_passes(stack: torch.nn.Module, prompts: list[tuple[int, ...]]) -> None:
    """Hidden states of all prompts by transformers' own decoder stack, eight at a time, padded to the longest."""
    ordered = sorted(prompts, key=len)
    for start in range(0, len(ordered), BATCH):
        some = ordered[start : start + BATCH]
        ids = torch.zeros(len(some), len(some[-1]), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(some):
            ids[row, : len(prompt)] = torch.tensor(prompt)
            mask[row, : len(prompt)] = 1
        stack(input_ids=ids, attention_mask=mask, use_cache=False)


if __name__ == "__main__":
    main()
