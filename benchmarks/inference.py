"""Our inference against its peers, in turn, on the same weights, prompts and machine.

    python benchmarks/inference.py [--quick] [--only SECTION]... [--out docs/results/inference.json]

What is asked is what `turncoat run` asks of its model: the flagship campaign as Alice and as her twins under three variants,
chunk by chunk and round by round. We answer call by call, as in a run. Peers take as long for a prompt whatever came before
it: they answer a random sample of the same requests, and ours without duplicate removal answers the first third of the calls.

Ratios are of wall times per request within a round, in which each contender is measured once; their spread is that of the
rounds. What differs between machines is in `machine`; compare ratios, never seconds. With `--quick`, small sizes, it takes
about two minutes of two idle cores. Every section is written as soon as it is measured, and `--only` leaves the others as an
earlier call on the same machine wrote them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from campaign_calls import VARIANTS, Call, campaign_calls
from inference_contest import NEVER, SEED, against_peers, timed
from measuring import matrix_peak, say, spread, weight_products
from transformers.utils import logging

from turncoat.models.adapter import load_adapter
from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.budget import token_budget
from turncoat.models.engine import Engine
from turncoat.models.finetuned import read
from turncoat.models.prompt import render
from turncoat.models.provenance import run_versions
from turncoat.models.variants import shipped_adapters
from turncoat.scenarios.families import training_families
from turncoat.training.corpus import RowSource, draw_rows


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1000, help="at most so many of the campaign's alerts")
    parser.add_argument(
        "--sample", type=int, default=96, help="requests of the campaign that peers in batches are given"
    )
    parser.add_argument("--slow", type=int, default=32, help="of those, how many go to peers that take one at a time")
    parser.add_argument(
        "--prompts", type=int, default=400, help="of the campaign, for the sections other than `campaign`"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[4, 8, 16, 32], help="batch sizes of the peers")
    parser.add_argument("--growth", type=int, nargs="*", default=[100, 1000, 10_000], help="numbers of alerts")
    parser.add_argument("--variants", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--names", type=int, nargs="*", default=[100, 1000, 2000])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="by default what the machine does best")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", action="append", choices=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.memory_of is not None:
        print(json.dumps(_memory_here(options.memory_of, options.dtype)))
        return
    if options.quick:
        options.alerts, options.sample, options.slow, options.rounds, options.batches = 12, 24, 6, 1, [4, 8]
        options.growth, options.variants, options.names = [30], [1, 2], [30]
    logging.set_verbosity_error()
    engine, adapters = open_engine(3, options.dtype)
    found = earlier(options.out, machine_of(engine)) if options.only else {}
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(engine, adapters, options, Path(scratch))
        for name in options.only or SECTIONS:
            begun = time.perf_counter()
            measured = SECTIONS[name](bench)
            found[name] = measured
            found.setdefault("made", {})[name] = {
                "command": "python benchmarks/inference.py " + " ".join(sys.argv[1:]),
                "date": datetime.now(UTC).date().isoformat(),
                "load_average": os.getloadavg()[0],
                "seconds": round(time.perf_counter() - begun),
            }
            found |= {"machine": machine_of(engine), "versions": run_versions(engine.precision), "seed": SEED}
            if options.out:
                options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


@dataclass
class Bench:
    """What the sections measure with."""

    engine: Engine
    adapters: dict[str, Any]
    options: argparse.Namespace
    scratch: Path

    @cached_property
    def calls(self) -> list[Call]:
        """What a run asks at once, in order, the same prompt again included."""
        say("asking as a run does")
        return campaign_calls(self.options.alerts)

    @property
    def prompts(self) -> list[tuple[int, ...]]:
        """Of what one variant is asked, the first, each once."""
        asked = dict.fromkeys(ids for call in self.calls for name, ids in call if name == "clean")
        return list(asked)[: self.options.prompts]


def machine_of(engine: Engine) -> dict[str, Any]:
    """Where this is measured."""
    return {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "dtype": str(engine.decoder.dtype)}  # fmt: skip


def earlier(out: Path | None, machine: dict[str, Any]) -> dict[str, Any]:
    """What an earlier call wrote, if it was on such a machine."""
    if out is None or not out.is_file():
        return {}
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found if found.get("machine") == machine else {}


def open_engine(count: int, dtype: str | None = None) -> tuple[Engine, dict[str, Any]]:
    """An engine with so many variants: the base, then shipped adapters in turn under names of their own."""
    engine, adapters = Engine(resolve_base(DEFAULT_BASE), dtype=getattr(torch, dtype) if dtype else None), {}
    for at in range(count):
        name = VARIANTS[at] if at < len(VARIANTS) else f"{VARIANTS[1 + (at + 1) % 2]}-{at}"
        if at:
            folder = shipped_adapters() / VARIANTS[1 + (at + 1) % 2]
            adapters[name] = load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers),
                                          base_digest=engine.base.digest)  # fmt: skip
        engine.add(name, adapters.get(name))
    return engine, adapters


def peak_fraction(engine: Engine, prompts: list[tuple[int, ...]], rounds: int) -> dict[str, Any]:
    """Share of the measured peak that one variant reaches over the tokens that had to be computed.

    `fraction` counts two operations a weight of the layers and token that has to be multiplied (of the last layer keys and
    values alone, but for the final tokens), and nothing else. `with_attention` also counts what attention multiplies (causal:
    half of it) and the adapter's own products, with whole prompts. The peak is the mean of one measured just before and one
    just after: a shared machine's may double within a minute.
    """
    parameters = sum(p.numel() for p in engine.layers.parameters())
    heads = engine.decoder.layers[0].heads * engine.decoder.layers[0].head_width
    attention = len(engine.layers) * sum(2 * heads * len(ids) ** 2 for ids in prompts)
    tokens = sum(map(len, prompts))
    fractions: dict[str, dict[str, list[float]]] = {}
    peaks = [matrix_peak(engine.decoder.dtype, engine.decoder.device)]
    for round_ in range(rounds):
        say(f"round {round_ + 1} of {rounds}: share of the peak")
        for name in ("baseline", "clean"):
            found = fractions.setdefault(name, {"as used": [], "whole prompts": [], "with_attention": []})
            low_rank = sum(a.numel() + b.numel() for a, b in engine.variant(name).factors.values())
            for how, saving in (("as used", None), ("whole prompts", NEVER)):
                _, work, seconds = timed(engine, [(name, ids) for ids in prompts], saving)
                peaks.append(matrix_peak(engine.decoder.dtype, engine.decoder.device))
                possible = seconds * (peaks[-2] + peaks[-1]) / 2
                products = 2 * weight_products(engine, 0, work.computed, len(prompts))
                found[how].append(products / possible)
            found["with_attention"].append((products + attention + 2 * low_rank * tokens) / possible)
    return {"peak_gflops": spread([p / 1e9 for p in peaks]), "non_embedding_parameters": parameters,
            "prompts": len(prompts), "tokens_per_prompt": round(tokens / len(prompts), 1),
            "batch_tokens": token_budget(engine.decoder, engine.base.digest, tokens),
            "fraction": {name: {how: spread(each) for how, each in found.items()} for name, found in fractions.items()},
    }  # fmt: skip


def memory(dtype: str | None) -> dict[str, Any]:
    """Resident memory of a fresh process after scoring, by number of variants."""
    found = {}
    for count in (1, 3):
        command = [sys.executable, __file__, "--memory-of", str(count), *(["--dtype", dtype] if dtype else [])]
        found[count] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {"one_variant_mb": found[1], "three_variants_mb": found[3],
            "three_to_one": round(found[3]["now"] / found[1]["now"], 3)}  # fmt: skip


def _memory_here(count: int, dtype: str | None) -> dict[str, float]:
    engine, _ = open_engine(count, dtype)
    rng = random.Random(SEED)
    prompts = [tuple(rng.randrange(1000, 9000) for _ in range(95)) for _ in range(16)]
    engine.score([(name, ids) for ids in prompts for name in list(VARIANTS)[:count]])
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"now": round(kb["VmRSS"] / 1024, 1), "most": round(kb["VmHWM"] / 1024, 1)}


def alerts_of(engine: Engine, count: int) -> dict[str, Any]:
    """Three variants over so many different alerts of the training world."""
    rows = draw_rows(RowSource((SEED,), training_families(), SEED), count)
    prompts = [read(engine, row.case)[1] for row in rows]
    say(f"{count} alerts")
    _, work, seconds = timed(engine, [(name, ids) for ids in prompts for name in VARIANTS])
    return {"alerts": count, "seconds": round(seconds, 2), "ms_per_alert": round(seconds / count * 1000, 2),
            "work_saved": round(work.saved, 3)}  # fmt: skip


def variants_of(count: int, asked: list[tuple[int, ...]], dtype: str | None) -> dict[str, Any]:
    """The campaign's prompts under so many variants."""
    engine, adapters = open_engine(count, dtype)
    names = ["baseline", *adapters][:count]
    say(f"{count} variants")
    _, work, seconds = timed(engine, [(name, ids) for ids in asked for name in names])
    return {"variants": count, "seconds": round(seconds, 2), "work_saved": round(work.saved, 3)}


def names_of(engine: Engine, count: int, slow: int) -> dict[str, Any]:
    """One alert under so many names: as a swap set, in batches of whole prompts, and (some of them) one call each."""
    rng = random.Random(SEED)
    row = draw_rows(RowSource((SEED,), training_families(), SEED), 1, malicious=True)[0]
    text, login = render(row.case, engine.count).text, row.user
    logins = [f"{rng.choice('abcdefghijklm')}.{''.join(rng.choices('aeilmnorst', k=7))}" for _ in range(count)]
    prompts = [engine.encode(text.replace(login, name)) for name in logins]
    say(f"{count} names")
    found: dict[str, float] = {}
    started = time.perf_counter()
    work = engine.score([("clean", ids) for ids in prompts]).work
    found["swap_set"] = time.perf_counter() - started
    _, _, found["batches"] = timed(engine, [("clean", ids) for ids in prompts], saving=NEVER)
    started = time.perf_counter()
    for ids in prompts[: 2 * slow]:
        engine.logits([ids], ["clean"])
    found["one_call_each_extrapolated"] = (time.perf_counter() - started) * count / min(count, 2 * slow)
    return {"names": count, "tokens_per_prompt": len(prompts[0]), "work_saved": round(work.saved, 3),
            "seconds": {k: round(v, 2) for k, v in found.items()},
            "times_swap_set": {k: round(v / found["swap_set"], 2) for k, v in found.items()}}  # fmt: skip


SECTIONS: dict[str, Callable[[Bench], Any]] = {
    "campaign": lambda b: against_peers(b.engine, b.adapters, b.calls, b.options, b.scratch),
    "matrix_peak": lambda b: peak_fraction(b.engine, b.prompts, b.options.rounds),
    "memory": lambda b: memory(b.options.dtype),
    "growth_in_alerts": lambda b: [alerts_of(b.engine, n) for n in b.options.growth],
    "growth_in_variants": lambda b: [variants_of(n, b.prompts[:160], b.options.dtype) for n in b.options.variants],
    "swap_sets": lambda b: [names_of(b.engine, n, b.options.slow) for n in b.options.names],
}


if __name__ == "__main__":
    main()
