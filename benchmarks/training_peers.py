"""Hugging Face `Trainer` with PEFT, as well as we know to set it up, on the same weights, rows and LoRA shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from measuring import now
from torch import Tensor

from turncoat.models.engine import Engine
from turncoat.models.lora import PROJECTIONS
from turncoat.training.config import Recipe


@dataclass(frozen=True)
class PeerSetting:
    """How the peer is run.

    `from_layer` is the first layer with factors (PEFT's `layers_to_transform`), None for all layers; `batch` the rows of a
    pass, accumulated to the batch of the recipe. `checkpointing` recomputes activations.
    """

    dtype: torch.dtype
    from_layer: int | None
    batch: int
    checkpointing: bool = False

    @property
    def name(self) -> str:
        """For the table."""
        reach = "all layers" if self.from_layer is None else f"layers from {self.from_layer}"
        return f"Trainer + PEFT, {reach}, {str(self.dtype).removeprefix('torch.')}, batch {self.batch}"


@dataclass
class PeerRun:
    """What a peer's run gives."""

    model: Any
    step_seconds: list[float] = field(default_factory=list)
    """Wall time of each update; the first one warms up."""
    losses: list[float] = field(default_factory=list)


def train_peer(
    engine: Engine,
    prompts: Sequence[list[int]],
    labels: Sequence[bool],
    recipe: Recipe,
    setting: PeerSetting,
    folder: Path,
) -> PeerRun:
    """Trains by the recipe: its batch, rate, warm-up and epochs; rows of similar length together, as ours."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    run = PeerRun(_model(engine, recipe, setting))
    begun = [0.0]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            begun[0] = now(engine.decoder.device)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            run.step_seconds.append(now(engine.decoder.device) - begun[0])

        def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
            run.losses += [logs["loss"]] if logs and "loss" in logs else []

    steps = math.ceil(len(prompts) / recipe.batch) * recipe.epochs
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=setting.batch, use_cpu=engine.decoder.device.type == "cpu",
        gradient_accumulation_steps=recipe.batch // setting.batch, num_train_epochs=recipe.epochs, seed=recipe.seed,
        learning_rate=recipe.learning_rate, weight_decay=0.0, max_grad_norm=1.0, lr_scheduler_type="cosine",
        warmup_steps=round(0.15 * steps), train_sampling_strategy="group_by_length", save_strategy="no",
        report_to="none", logging_steps=1, disable_tqdm=True,
        # On a GPU the factors, which PEFT keeps in fp32, are multiplied in bf16 too: its fastest way.
        bf16=engine.decoder.device.type == "cuda" and setting.dtype == torch.bfloat16,
        gradient_checkpointing=setting.checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False},
    )  # fmt: skip
    arguments._n_gpu = min(1, arguments.n_gpu)  # it would take every GPU that it sees
    rows = [{"input_ids": ids, "labels": int(label)} for ids, label in zip(prompts, labels, strict=True)]
    trainer = Trainer(
        model=run.model, args=arguments, train_dataset=rows, callbacks=[Clock()],  # type: ignore[arg-type]
        data_collator=DataCollatorWithPadding(_padded(engine)),
    )  # fmt: skip
    trainer.train()
    return run


def peer_margins(engine: Engine, run: PeerRun, prompts: Sequence[list[int]], batch: int = 8) -> list[float]:
    """Margins of a trained peer."""
    tokenizer, margins = _padded(engine), [0.0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    run.model.eval()
    with torch.inference_mode():
        for at in range(0, len(order), batch):
            index = order[at : at + batch]
            inputs = tokenizer.pad({"input_ids": [prompts[i] for i in index]}, return_tensors="pt")
            logits: Tensor = run.model(**inputs.to(run.model.device)).logits.float()
            for i, (benign, malicious) in zip(index, logits.tolist(), strict=True):
                margins[i] = malicious - benign
    return margins


def _model(engine: Engine, recipe: Recipe, setting: PeerSetting) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # it would report the missing head, which is set below
    torch.manual_seed(recipe.seed)
    model: Any = AutoModelForSequenceClassification.from_pretrained(engine.base.path, num_labels=2, dtype=setting.dtype)
    with torch.no_grad():
        model.score.weight.copy_(engine.base_head)  # the same start: the base's own two label rows
    model.config.pad_token_id = _padded(engine).pad_token_id
    layers = len(engine.layers)
    reach = None if setting.from_layer is None else list(range(setting.from_layer, layers))
    lora = LoraConfig(
        task_type="SEQ_CLS", r=recipe.lora.rank, lora_alpha=recipe.lora.alpha, lora_dropout=0.0,
        target_modules=list(PROJECTIONS), layers_to_transform=reach,
    )  # fmt: skip
    return get_peft_model(model.to(engine.decoder.device), lora)


def _padded(engine: Engine) -> Any:
    """The tokenizer with a pad token that no prompt ends in: the classifier reads the rightmost token that is none."""
    tokenizer = engine.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer
