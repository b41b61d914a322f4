"""What others would use for the same work: Hugging Face pipelines and PEFT, on the same weights and prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.models.adapter import Adapter
from turncoat.models.engine import Engine

Requests = Sequence[tuple[str, tuple[int, ...]]]
Contender = Callable[[Requests], Tensor]
"""Margins of (variant, token ids), (N,)."""


def merged_folder(engine: Engine, adapter: Adapter | None, folder: Path, dtype: torch.dtype) -> Path:
    """The base with the adapter merged and the two rows as its head, as a sequence classifier's folder."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(
        engine.base.path, num_labels=2, dtype=torch.float32, id2label={0: "benign", 1: "malicious"}
    )
    with torch.no_grad():
        for name, (a, b) in adapter.factors.items() if adapter else ():
            model.get_submodule(f"model.{name}").weight += adapter.shape.scale * b @ a  # type: ignore[union-attr]
        head = adapter.head if adapter and adapter.head is not None else engine.base_head
        model.score.weight.copy_(head)
    # A pad token that no prompt holds: the library reads the verdict at the rightmost token that is no padding.
    model.config.pad_token_id = engine.tokenizer.pad_token_id or 0
    model.to(dtype).save_pretrained(folder)
    engine.tokenizer.save_pretrained(folder)
    return folder


def open_pipes(folders: dict[str, Path]) -> dict[str, Any]:
    """`pipeline("text-classification")`, one per variant."""
    from transformers import pipeline

    pipes = {name: pipeline("text-classification", model=str(folder), device="cpu") for name, folder in folders.items()}
    for pipe in pipes.values():
        pipe.tokenizer.pad_token = pipe.tokenizer.pad_token or pipe.tokenizer.eos_token
    return pipes


def text_classification(engine: Engine, pipes: dict[str, Any], batch: int | None = None) -> Contender:
    """A variant's texts given to its pipeline: as the documentation shows it, or sorted by length and in batches."""

    def run(requests: Requests) -> Tensor:
        margins = torch.empty(len(requests))
        for name, pipe in pipes.items():
            mine = [i for i, (variant, _) in enumerate(requests) if variant == name]
            if not mine:
                continue
            if batch is not None:
                mine.sort(key=lambda i: len(requests[i][1]))
            texts = [engine.tokenizer.decode(requests[i][1]) for i in mine]
            options = {} if batch is None else {"batch_size": batch}
            for i, scores in zip(mine, pipe(texts, top_k=None, function_to_apply="none", **options), strict=True):
                by_label = {s["label"]: s["score"] for s in scores}
                margins[i] = by_label["malicious"] - by_label["benign"]
        return margins

    return run


def peft_switched(engine: Engine, folders: dict[str, Path], adapters: dict[str, Adapter], batch: int) -> Contender:
    """transformers and PEFT: one base, adapters switched per variant, padded batches sorted by length, masked."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(engine.base.path, dtype=engine.decoder.dtype)
    for name, folder in folders.items():
        if isinstance(model, PeftModel):
            model.load_adapter(str(folder), adapter_name=name)
        else:
            model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
    model.eval()

    def of_variant(name: str, prompts: Sequence[tuple[int, ...]]) -> Tensor:
        margins = torch.empty(len(prompts))
        head = adapters[name].head if name in adapters else None
        head = engine.base_head if head is None else head
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for at in range(0, len(order), batch):
            index = order[at : at + batch]
            longest = max(len(prompts[i]) for i in index)
            ids = torch.tensor([[*prompts[i], *[0] * (longest - len(prompts[i]))] for i in index])
            mask = torch.tensor([[1] * len(prompts[i]) + [0] * (longest - len(prompts[i])) for i in index])
            states = model.base_model.model.model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
            last = states[torch.arange(len(index)), mask.sum(1) - 1]
            logits = F.linear(last.float(), head)
            margins[index] = logits[:, 1] - logits[:, 0]
        return margins

    def run(requests: Requests) -> Tensor:
        margins = torch.empty(len(requests))
        with torch.inference_mode():
            for name in dict.fromkeys(variant for variant, _ in requests):
                mine = [i for i, (variant, _) in enumerate(requests) if variant == name]
                prompts = [requests[i][1] for i in mine]
                if name in adapters:
                    model.set_adapter(name)
                    margins[mine] = of_variant(name, prompts)
                else:
                    with model.disable_adapter():
                        margins[mine] = of_variant(name, prompts)
        return margins

    return run


def decision(engine: Engine) -> Contender:
    """`pipeline("decision")` with the base: one prompt per forward, its own wording, the base's variant alone."""
    from transformers import pipeline
    from transformers.decision import DecisionConfig

    decide = pipeline("decision", model=str(engine.base.path), decision_config=DecisionConfig(), device="cpu")

    def run(requests: Requests) -> Tensor:
        answers = []
        for _, ids in requests:
            answer = decide({
                "state": engine.tokenizer.decode(ids),
                "questions": {"malicious": {"type": "noul", "instructions": "Is the alert malicious?"}},
            })  # fmt: skip
            answers.append(float("nan") if "malicious" not in answer else 0.0)
        return torch.tensor(answers)

    return run
