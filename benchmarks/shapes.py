"""Large bases by their shape alone: Qwen3-4B and Llama-3.1-8B with random weights, ours beside Hugging Face's best.

    python benchmarks/shapes.py [--base qwen3-4b] [--tokens 200] [--out shapes.json]

Speed depends on the shape and not on what the weights have learnt, so nothing is downloaded but the default base, whose
tokenizer is borrowed. Alerts are random tokens, all of one length and with no common beginning: no beginning can be shared.
Scoring: one variant, alerts per second. Training: LoRA on all layers by the shipped recipe, tokens per second. Both also as
fractions of the measured matrix peak, over the products of the layers' weights that the answer needs (two operations each;
four in training, as frozen weights need no gradient of their own).

A GPU is meant. The peer trains a second copy of the weights: about 40 GB for qwen3-4b and 70 GB for llama3.1-8b, less with
`--checkpointing`, and as much disk as the weights take. Who runs out of memory is told so in the result, and the others go on.
`--narrow 32 --layers 2` makes a small one, to see that it runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from measuring import matrix_peak, now, say, spread, weight_products
from training_peers import PeerSetting, train_peer

from turncoat.models.base_folder import BaseFolder, open_base_folder
from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.budget import measure as measure_budget
from turncoat.models.catalogue import KNOWN_BASES, KnownBase
from turncoat.models.engine import Engine
from turncoat.models.loading import best_device, best_dtype
from turncoat.models.provenance import run_versions
from turncoat.training.config import Recipe, load_recipe
from turncoat.training.step import Trainee
from turncoat.training.trunk import Trunk

BASES = ("qwen3-4b", "llama3.1-8b")
HEAD_WIDTH = 128
"""Of both."""
SEED = 7
OURS = "ours"
Contenders = Mapping[str, Callable[[], float]]
"""By name, what does the work once and says how many seconds it took."""


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON after each half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", action="append", choices=BASES, help="may be repeated; default: both")
    parser.add_argument("--tokens", type=int, default=200, help="of an alert")
    parser.add_argument("--alerts", type=int, default=256, help="scored each round")
    parser.add_argument("--steps", type=int, default=4, help="updates that training is timed over, after one more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[16, 32, 64, 128], help="alerts per pass, scoring peer"
    )
    parser.add_argument("--parts", type=int, nargs="+", choices=(1, 2, 4, 8, 16), default=[4, 8, 16],
                        help="rows per pass, training peer")  # fmt: skip
    parser.add_argument("--layers", type=int, help="fewer than the shape has")
    parser.add_argument("--narrow", type=int, choices=(1, 2, 4, 8, 16, 32), default=1, help="divides every width")
    parser.add_argument(
        "--checkpointing", action="store_true", help="training recomputes activations, ours and the peer's"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    counts = (options.tokens, options.alerts, options.steps, options.rounds, *options.batches)
    if min(*counts, options.layers or 1) < 1:
        parser.error("counts begin at 1")
    device, dtype = best_device(), best_dtype()
    found: dict[str, Any] = {
        "command": "python benchmarks/shapes.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
                    "dtype": str(dtype)},
        "versions": run_versions(str(dtype).removeprefix("torch.")),
        "seed": SEED,
        "bases": {},
    }  # fmt: skip

    def keep() -> None:
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    for name in options.base or BASES:
        with tempfile.TemporaryDirectory() as scratch:
            say(f"{name}: random weights")
            engine = Engine(random_base(KNOWN_BASES[name], options.layers, options.narrow, Path(scratch) / "base"))
            engine.add("baseline", None)
            engine.budget, _ = measure_budget(engine.decoder)
            peak = matrix_peak(engine.decoder.dtype, engine.decoder.device)
            found["bases"][name] = {
                "layers": len(engine.layers), "hidden": engine.hidden, "tokens_per_alert": options.tokens,
                "matrix_peak_tflops": round(peak / 1e12, 3), "batch_tokens": engine.budget, "rounds": options.rounds,
                "scoring": scoring(engine, peak, options),
            }  # fmt: skip
            keep()
            recipe = load_recipe(f"clean-{name}").model_copy(update={"base": str(engine.base.path), "epochs": 1})
            found["bases"][name]["training"] = training(engine, recipe, peak, options, Path(scratch))
            keep()
            del engine
            _free()
    print(json.dumps(found, indent=1))


def random_base(known: KnownBase, layers: int | None, narrow: int, folder: Path) -> BaseFolder:
    """A folder with a model of that shape, random weights in the machine's precision, and the default base's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    shape = known.shape
    config = AutoConfig.for_model(
        known.architecture, hidden_size=shape.hidden // narrow, intermediate_size=shape.intermediate // narrow,
        num_hidden_layers=layers or shape.layers, num_attention_heads=max(1, shape.query_width // HEAD_WIDTH // narrow),
        num_key_value_heads=max(1, shape.key_width // HEAD_WIDTH // narrow), head_dim=HEAD_WIDTH,
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(SEED)
    with torch.device(best_device()):
        model = AutoModelForCausalLM.from_config(config, dtype=best_dtype())
    model.save_pretrained(folder)
    del model
    _free()
    AutoTokenizer.from_pretrained(resolve_base(DEFAULT_BASE).path).save_pretrained(folder)
    return open_base_folder(known.name, folder, folder.parent / "digests")


def scoring(engine: Engine, peak: float, options: argparse.Namespace) -> dict[str, Any]:
    """Alerts per second of one variant."""
    prompts = _prompts(options.alerts, options.tokens)
    device = engine.decoder.device

    def ours() -> float:
        began = now(device)
        engine.score([("baseline", tuple(ids)) for ids in prompts])
        return now(device) - began

    peers = {f"transformers, batch {n}": _transformers(engine, prompts, n) for n in options.batches}
    seconds = in_turn({OURS: ours, **peers}, options.rounds, warm_up=True)
    work = 2 * weight_products(engine, 0, options.alerts * options.tokens, options.alerts)
    return compared(seconds, "alerts_per_second", options.alerts, work / peak)


def _transformers(engine: Engine, prompts: Sequence[list[int]], batch: int) -> Callable[[], float]:
    """The same weights through transformers: no mask, since all lengths are equal; the verdict's two rows alone."""
    decoder, device = engine.model.get_decoder(), engine.decoder.device

    def run() -> float:
        began = now(device)
        with torch.inference_mode():
            for at in range(0, len(prompts), batch):
                ids = torch.tensor(prompts[at : at + batch], device=device)
                last = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
                (last.float() @ engine.base_head.T.to(device)).cpu()
        return now(device) - began

    return run


def training(engine: Engine, recipe: Recipe, peak: float, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Tokens per second of LoRA on all layers, over all updates but the first."""
    prompts = _prompts(recipe.batch * (options.steps + 1), options.tokens)
    labels = [at % 2 == 0 for at in range(len(prompts))]
    states = Trunk(engine, lambda progress: None).states(prompts, recipe.lora.first_layer)

    def ours() -> float:
        trainee, target = (
            Trainee(engine, recipe, len(prompts), recompute=options.checkpointing),
            torch.tensor(labels).long(),
        )
        device, seconds = engine.decoder.device, 0.0
        for at in range(0, len(prompts), recipe.batch):
            index, began = range(at, at + recipe.batch), now(device)
            trainee.step([states[i] for i in index], target[list(index)])
            seconds += now(device) - began if at else 0.0
        return seconds

    def peer(setting: PeerSetting) -> Callable[[], float]:
        return lambda: sum(train_peer(engine, prompts, labels, recipe, setting, scratch / "peer").step_seconds[1:])

    settings = [PeerSetting(engine.decoder.dtype, None, n, options.checkpointing) for n in options.parts]
    seconds = in_turn({OURS: ours, **{setting.name: peer(setting) for setting in settings}}, options.rounds)
    rows = recipe.batch * options.steps
    work = 4 * weight_products(engine, recipe.lora.first_layer, rows * options.tokens, rows)
    found = compared(seconds, "tokens_per_second", rows * options.tokens, work / peak)
    return found | {"checkpointing": options.checkpointing}


def in_turn(contenders: Contenders, rounds: int, *, warm_up: bool = False) -> dict[str, list[float]]:
    """Seconds by contender, a round after the other; none for one that runs out of memory."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    failed: set[str] = set()
    for round_ in range(0 if warm_up else 1, rounds + 1):
        for name, run in contenders.items():
            if name in failed:
                continue
            say(f"{name}: " + (f"round {round_} of {rounds}" if round_ else "warming up"))
            try:
                took = run()
            except torch.OutOfMemoryError:
                failed.add(name)
                seconds[name] = []
            else:
                seconds[name] += [took] if round_ else []
            _free()
    return seconds


def compared(seconds: Mapping[str, list[float]], unit: str, amount: int, at_peak: float) -> dict[str, Any]:
    """Speeds, fractions of the peak, and ours against the fastest peer of the same rounds.

    Args:
        seconds: By contender and round; none where the memory did not do.
        unit: What is counted per second.
        amount: Of it.
        at_peak: Seconds that the products alone would take.
    """
    done = {name: each for name, each in seconds.items() if each}
    peers = [name for name in done if name != OURS]
    best = min(peers, key=lambda name: statistics.median(done[name]), default=None)
    ratios = [p / o for p, o in zip(done[best], done[OURS], strict=True)] if best and OURS in done else []
    return {
        unit: {name: spread([amount / s for s in each]) for name, each in done.items()},
        "fraction_of_peak": {name: spread([at_peak / s for s in each]) for name, each in done.items()},
        "best_peer": best, "times_best_peer": spread(ratios) if ratios else None,
        "out_of_memory": [name for name in seconds if name not in done],
    }  # fmt: skip


def _prompts(count: int, tokens: int) -> list[list[int]]:
    chance = random.Random(SEED)
    return [[chance.randrange(1000, 9000) for _ in range(tokens)] for _ in range(count)]


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
