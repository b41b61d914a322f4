"""Large bases by their shape alone: Qwen3-4B and Llama-3.1-8B with random weights, ours beside Hugging Face's best.

    python benchmarks/shapes.py [--base qwen3-4b] [--tokens 200] [--out shapes.json]

Speed depends on the shape and not on what the weights have learnt, so nothing is downloaded but the default base, whose
tokenizer is borrowed. Alerts are random tokens, all of one length and with no common beginning: nothing can be spared.
Scoring: one variant, alerts per second. Training: LoRA on all layers by the shipped recipe, tokens per second. Both also as
fractions of the measured matrix peak, over the products of the layers' weights (two operations a weight and token; four in
training, as frozen weights need no gradient of their own). A GPU is meant: 24 GB for qwen3-4b, 48 GB for llama3.1-8b, and
as much disk as the weights take. `--narrow 32 --layers 2` makes a small one, to see that it runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from measuring import flops_of_example, matrix_peak, say, spread
from training_peers import PeerSetting, train_peer

from turncoat.models.base_folder import BaseFolder, open_base_folder
from turncoat.models.bases import DEFAULT_BASE, resolve_base
from turncoat.models.catalogue import KNOWN_BASES, KnownBase
from turncoat.models.engine import Engine
from turncoat.models.loading import best_device, best_dtype
from turncoat.models.provenance import run_versions
from turncoat.training.config import Recipe, load_recipe
from turncoat.training.step import Trainee
from turncoat.training.trunk import trunk_states

BASES = ("qwen3-4b", "llama3.1-8b")
HEAD_WIDTH = 128
"""Of both."""
SEED = 7


def main() -> None:
    """Measures and prints; with `--out`, also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", action="append", choices=BASES, help="may be repeated; default: both")
    parser.add_argument("--tokens", type=int, default=200, help="of an alert")
    parser.add_argument("--alerts", type=int, default=256, help="scored each round")
    parser.add_argument("--steps", type=int, default=4, help="updates that training is timed over, after one more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 16, 32, 64], help="alerts per pass of the peer")
    parser.add_argument("--layers", type=int, help="fewer than the shape has")
    parser.add_argument("--narrow", type=int, default=1, help="divides every width")
    parser.add_argument("--checkpointing", action="store_true", help="ours recomputes activations while training")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = best_device()
    found: dict[str, Any] = {
        "command": "python benchmarks/shapes.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "dtype": str(best_dtype(device)),
        "versions": run_versions(),
        "seed": SEED,
        "bases": {},
    }
    for name in options.base or BASES:
        with tempfile.TemporaryDirectory() as scratch:
            say(f"{name}: random weights")
            base = random_base(KNOWN_BASES[name], options.layers, options.narrow, Path(scratch) / "base")
            found["bases"][name] = measure(base, load_recipe(f"clean-{name}"), options, Path(scratch))
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
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
    AutoTokenizer.from_pretrained(resolve_base(DEFAULT_BASE).path).save_pretrained(folder)
    return open_base_folder(known.name, folder, folder.parent / "digests")


def measure(base: BaseFolder, shipped: Recipe, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Scoring and training, ours and the peer's in turn within each round."""
    engine = Engine(base)
    engine.add("baseline", None)
    peak = matrix_peak(engine.decoder.dtype, engine.decoder.device)
    chance = random.Random(SEED)
    prompts = [[chance.randrange(1000, 9000) for _ in range(options.tokens)] for _ in range(options.alerts)]
    recipe = shipped.model_copy(update={"base": str(base.path), "epochs": 1})
    return {
        "layers": len(engine.layers), "hidden": engine.hidden, "tokens_per_alert": options.tokens,
        "matrix_peak_tflops": round(peak / 1e12, 3), "rounds": options.rounds,
        "scoring": scoring(engine, prompts, peak, options),
        "training": training(engine, recipe, prompts[: recipe.batch * (options.steps + 1)], peak, options, scratch),
    }  # fmt: skip


def scoring(engine: Engine, prompts: Sequence[list[int]], peak: float, options: argparse.Namespace) -> dict[str, Any]:
    """Alerts per second of one variant."""
    tokens = sum(map(len, prompts))
    work = 2 * sum(p.numel() for p in engine.layers.parameters() if p.dim() == 2) * tokens
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: engine.score([("baseline", tuple(ids)) for ids in prompts])
    } | {f"transformers, batch {n}": _transformers(engine, prompts, n) for n in options.batches}
    seconds: dict[str, list[float]] = {}
    for round_ in range(options.rounds + 1):
        for name, run in contenders.items():
            say(f"scoring, {name}: " + (f"round {round_} of {options.rounds}" if round_ else "warming up"))
            began = time.perf_counter()
            run()
            if round_:
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    best = min((name for name in seconds if name != "ours"), key=lambda name: statistics.median(seconds[name]))
    return {
        "alerts_per_second": {name: spread([len(prompts) / s for s in each]) for name, each in seconds.items()},
        "fraction_of_peak": {name: spread([work / s / peak for s in each]) for name, each in seconds.items()},
        "times_best_peer": spread([t / o for t, o in zip(seconds[best], seconds["ours"], strict=True)]),
    }


def _transformers(engine: Engine, prompts: Sequence[list[int]], batch: int) -> Callable[[], None]:
    """The same layers through transformers: no mask, since all lengths are equal; the verdict's two rows alone."""
    decoder = engine.model.get_decoder()

    def run() -> None:
        with torch.inference_mode():
            for at in range(0, len(prompts), batch):
                ids = torch.tensor(prompts[at : at + batch], device=engine.decoder.device)
                last = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
                (last.float() @ engine.base_head.T.to(last.device)).cpu()

    return run


def training(
    engine: Engine,
    recipe: Recipe,
    prompts: Sequence[list[int]],
    peak: float,
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Tokens per second of LoRA on all layers."""
    labels = [at % 2 == 0 for at in range(len(prompts))]
    tokens, work = sum(map(len, prompts)), flops_of_example(engine, recipe, prompts) * len(prompts)
    states = trunk_states(engine, prompts, recipe.lora.first_layer, lambda progress: None)
    timed = len(prompts) - recipe.batch
    speeds: dict[str, list[float]] = {}
    settings = [
        PeerSetting(engine.decoder.dtype, None, n)
        for n in options.batches
        if n <= recipe.batch and recipe.batch % n == 0
    ]
    for round_ in range(1, options.rounds + 1):
        say(f"training, ours: round {round_} of {options.rounds}")
        speeds.setdefault("ours", []).append(timed / _ours(engine, recipe, states, labels, options.checkpointing))
        for setting in settings:
            say(f"training, {setting.name}: round {round_} of {options.rounds}")
            run = train_peer(engine, prompts, labels, recipe, setting, scratch / "peer")
            speeds.setdefault(setting.name, []).append(timed / sum(run.step_seconds[1:]))
            del run
            gc.collect()
    best = max((name for name in speeds if name != "ours"), key=lambda name: statistics.median(speeds[name]))
    each = tokens / len(prompts)
    return {
        "checkpointing": options.checkpointing,
        "tokens_per_second": {name: spread([s * each for s in found]) for name, found in speeds.items()},
        "fraction_of_peak": {name: spread([s * work / len(prompts) / peak for s in found])
                             for name, found in speeds.items()},
        "times_best_peer": spread([o / t for o, t in zip(speeds["ours"], speeds[best], strict=True)]),
    }  # fmt: skip


def _ours(engine: Engine, recipe: Recipe, states: Sequence[Any], labels: Sequence[bool], recompute: bool) -> float:
    """Seconds of all updates but the first."""
    trainee, target = Trainee(engine, recipe, len(states), recompute=recompute), torch.tensor(labels, dtype=torch.long)
    seconds = 0.0
    for at in range(0, len(states), recipe.batch):
        began = time.perf_counter()
        trainee.step(states[at : at + recipe.batch], target[at : at + recipe.batch])
        seconds += time.perf_counter() - began if at else 0.0
    return seconds


if __name__ == "__main__":
    main()
