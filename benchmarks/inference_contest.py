"""The same requests to ours and to what others would use, in turn; see `inference.py`."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from campaign_calls import VARIANTS, Call
from inference_peers import Contender, Requests, decision, merged_folder, open_pipes, peft_switched, text_classification
from measuring import say, spread

from turncoat.models.branching import Work
from turncoat.models.engine import Engine
from turncoat.models.variants import shipped_adapters

NEVER = 1 << 60
"""A saving that no shared beginning makes."""
SEED = 7
Entry = tuple[Contender, Sequence[Requests]]
"""A contender, and the calls in which it is asked."""


def against_peers(
    engine: Engine, adapters: dict[str, Any], calls: Sequence[Call], options: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    """Milliseconds per (alert, variant), and how many times longer each contender takes than ours in the same round."""
    whole: Requests = [request for call in calls for request in call]
    part = random.Random(SEED).sample(whole, min(options.sample, len(whole)))
    few = part[: options.slow]
    first = calls[: (len(calls) + 2) // 3]
    runs = _ourselves(engine, calls, first) | _peers(engine, adapters, part, few, options, scratch)
    failed: dict[str, str] = {}
    try:
        decide = decision(engine)
        decide([("baseline", few[0][1])])
        runs["decision, base alone"] = (decide, [[("baseline", ids) for _, ids in few]])
    except Exception as fault:  # a peer that does not run here is a finding, with its own words
        failed["decision"] = f"{type(fault).__name__}: {fault}"[:300]
    agreement = _agreement(runs, few)  # warms up, too
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(1, options.rounds + 1):
        for name, (run, asked) in runs.items():
            say(f"round {round_} of {options.rounds}: {name}")
            started = time.perf_counter()
            for call in asked:
                run(call)
            times[name].append((time.perf_counter() - started) / sum(map(len, asked)) * 1000)
    ours = times["ours"]
    return {
        "requests": len(whole), "distinct_requests": len(set(whole)), "calls": len(calls),
        "requests_of": {"peers in batches": len(part), "peers one at a time": len(few),
                        "ours without duplicate removal": sum(map(len, first))},
        "tokens_per_prompt": round(statistics.mean(len(ids) for _, ids in whole), 1),
        "tokens_per_prompt_of_peers": round(statistics.mean(len(ids) for _, ids in part), 1),
        "work_saved": round(_work(engine, calls).saved, 3),
        "rounds": options.rounds, "failed": failed,
        "contenders": {
            name: {"ms_per_request": spread(found), "times_ours": spread([t / o for t, o in zip(found, ours, strict=True)]),
                   "largest_margin_difference_from_fp32": agreement.get(name)}
            for name, found in times.items()
        },
    }  # fmt: skip


def timed(engine: Engine, requests: Requests, saving: int | None = None) -> tuple[torch.Tensor, Work, float]:
    """Logits, work and seconds of requests, with another least saving of a shared beginning than the engine's."""
    engine.smallest_saving = Engine.smallest_saving if saving is None else saving
    started = time.perf_counter()
    scored = engine.score(requests)
    seconds = time.perf_counter() - started
    engine.smallest_saving = Engine.smallest_saving
    return scored.logits, scored.work, seconds


def _ourselves(engine: Engine, calls: Sequence[Call], first: Sequence[Call]) -> dict[str, Entry]:
    one = [[request for request in call if request[0] == "clean"] for call in calls]
    return {
        "ours": (_ours(engine), calls),
        "ours without duplicate removal": (_ours(engine, once=False), first),
        "ours without shared beginnings": (_ours(engine, saving=NEVER), calls),
        "ours without either": (_ours(engine, once=False, saving=NEVER), first),
        "ours, everything in one call": (_ours(engine), [[request for call in calls for request in call]]),
        "ours, one variant": (_ours(engine), [call for call in one if call]),
    }


_EXACT = "text-classification as documented, fp32"


def _peers(
    engine: Engine, adapters: dict[str, Any], part: Requests, few: Requests, options: argparse.Namespace, scratch: Path
) -> dict[str, Entry]:
    saved = {
        dtype: {n: merged_folder(engine, adapters.get(n), scratch / f"{n}-{dtype}", dtype) for n in VARIANTS}
        for dtype in (torch.float32, engine.decoder.dtype)
    }
    peft = {name: shipped_adapters() / name for name in VARIANTS[1:]}
    exact, same = open_pipes(saved[torch.float32]), open_pipes(saved[engine.decoder.dtype])
    return {
        _EXACT: (text_classification(engine, exact), [few]),
        "text-classification as documented, our dtype": (text_classification(engine, same), [few]),
        **{f"text-classification, sorted, batch {n}, our dtype": (text_classification(engine, same, n), [part])
           for n in options.batches},
        **{f"PEFT switched, sorted, batch {n}": (peft_switched(engine, peft, adapters, n), [part])
           for n in options.batches},
    }  # fmt: skip


def _agreement(runs: dict[str, Entry], few: Requests) -> dict[str, float]:
    """Largest difference of each contender's margins from those of the pipeline in fp32; none for what gives no margins."""
    reference = runs[_EXACT][0](few)
    return {name: round(float((run(few) - reference).abs().max()), 4)
            for name, (run, _) in runs.items() if not name.startswith("decision")}  # fmt: skip


def _work(engine: Engine, calls: Sequence[Requests]) -> Work:
    total = Work()
    for call in calls:
        work = engine.score(call).work
        total.computed, total.full = total.computed + work.computed, total.full + work.full
    return total


def _ours(engine: Engine, *, once: bool = True, saving: int | None = None) -> Contender:
    def run(requests: Requests) -> torch.Tensor:
        margins = torch.empty(len(requests))
        for turn in [list(range(len(requests)))] if once else _without_duplicates(requests):
            logits = timed(engine, [requests[i] for i in turn], saving)[0]
            margins[turn] = logits[:, 1] - logits[:, 0]
        return margins

    return run


def _without_duplicates(requests: Requests) -> list[list[int]]:
    """The requests in turns, in none of which the same is asked twice: the engine then finds no duplicate to spare."""
    turns: list[list[int]] = []
    asked: dict[tuple[str, tuple[int, ...]], int] = {}
    for i, request in enumerate(requests):
        turn = asked[request] = asked.get(request, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(i)
    return turns
