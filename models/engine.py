"""One base model in memory, many variants on it: the trunk runs once per batch, the adapted top once per variant.

Right padding under causal attention needs no mask: the last real token never sees what follows it. Batches are made of
prompts sorted by length, so what meets in a batch depends on the prompts given and never on timing. bf16 results differ a
little with the batch; margins are recorded so that this can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from turncoat.scenarios.errors import ModelError

from .adapter import Adapter
from .bases import BaseFolder
from .head import rows_of_language_head
from .lora import LoraLinear, wrap

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Model types whose layers are run here one by one; held to transformers' own forward pass by a test."""

BATCH = 8
"""Prompts a batch. On the CPU 8 x 96 tokens beat 32 x 96 by a third: the activations stay in the cache."""


@dataclass(frozen=True)
class _Variant:
    head: Tensor
    first_layer: int


class Engine:
    """Scores prompts under any number of variants of one base."""

    def __init__(self, base: BaseFolder) -> None:
        self.base = base
        self.tokenizer, self.model = _load(base)
        self.hidden: int = self.model.config.hidden_size
        self.layers = self.model.model.layers
        self._wrapped: dict[str, LoraLinear] = {}
        self._variants: dict[str, _Variant] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids; text that looks like a special token is split into ordinary ones."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids

    def count(self, text: str) -> int:
        """Number of tokens."""
        return len(self.encode(text))

    @cached_property
    def base_head(self) -> Tensor:
        """The two rows of the base's own language head, (2, hidden)."""
        return rows_of_language_head(self.model, self.tokenizer)

    def add(self, name: str, adapter: Adapter | None) -> None:
        """Makes a variant known: an adapter, or None for the base as it is.

        Raises:
            ModelError: A factor does not fit the projection that it names.
        """
        for linear in self._wrapped.values():
            linear.factors.pop(name, None)  # of an earlier variant of that name
        if adapter is None:
            self._variants[name] = _Variant(self.base_head, len(self.layers))
            return
        self._wrapped |= wrap(self.layers, adapter.shape.first_layer)
        for key, (a, b) in adapter.factors.items():
            wrapped = self._wrapped.get(key)
            if wrapped is None or (b.shape[0], a.shape[1]) != tuple(wrapped.base.weight.shape):
                raise ModelError.at(
                    name, f"{key} does not fit the base {self.base.name}", "name the base it was trained on"
                )
            wrapped.factors[name] = (a, b, adapter.shape.scale)
        head = self.base_head if adapter.head is None else adapter.head
        self._variants[name] = _Variant(head, adapter.shape.first_layer)

    def select(self, name: str | None) -> None:
        """Applies the factors of one variant; None applies none."""
        for linear in self._wrapped.values():
            linear.active = name if name in linear.factors else None

    @property
    def wrapped(self) -> dict[str, LoraLinear]:
        """Projections that can carry factors, by name."""
        return self._wrapped

    def logits(
        self, prompts: Sequence[Sequence[int]], variants: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> dict[str, Tensor]:
        """Logits of benign and malicious per variant, each of shape (len(prompts), 2), fp32.

        Args:
            prompts: Token ids, of any length from 1.
            variants: Names given to `add`; those that leave the lower layers alone share one pass through them.
            on_batch: Called with the number of prompts done so far.
        """
        result = {name: torch.empty(len(prompts), 2) for name in variants}
        shared = min((self._variants[name].first_layer for name in variants), default=0)
        done = 0
        with torch.inference_mode():
            for index in batches([len(p) for p in prompts], BATCH):
                batch = [prompts[i] for i in index]
                states = self.run(self.embed(batch), 0, shared)
                last = torch.tensor([len(p) - 1 for p in batch])
                for name in variants:
                    self.select(name)
                    result[name][index] = self.read_out(self.run(states, shared, None), last, self._variants[name].head)
                self.select(None)
                done += len(index)
                if on_batch:
                    on_batch(done)
        return result

    def embed(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Embeddings of right-padded prompts, (B, T, hidden)."""
        longest = max(len(p) for p in prompts)
        ids = torch.tensor([[*p, *[0] * (longest - len(p))] for p in prompts])
        embedded: Tensor = self.model.model.embed_tokens(ids)
        return embedded

    def run(self, states: Tensor, start: int, stop: int | None) -> Tensor:
        """Runs decoder layers [start, stop) on hidden states (B, T, hidden)."""
        positions = torch.arange(states.shape[1])[None]
        rotary = self.model.model.rotary_emb(states, positions)
        for layer in self.layers[start:stop]:
            states = layer(states, attention_mask=None, position_embeddings=rotary)
        return states

    def read_out(self, states: Tensor, last: Tensor, head: Tensor) -> Tensor:
        """Two logits per prompt, (B, 2) fp32, from the hidden state at each prompt's last token."""
        final = self.model.model.norm(states[torch.arange(len(last)), last])
        return F.linear(final.float(), head)


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length; a function of the lengths and their order alone."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    for at in range(0, len(order), size):
        yield order[at : at + size]


def best_dtype() -> torch.dtype:
    """bf16 where the processor multiplies it in hardware, else fp32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else torch.float32


def _load(base: BaseFolder, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    said = logging.get_verbosity()
    logging.set_verbosity_error()  # its report on a broken checkpoint is a page of colours; ours is a line
    AttentionInterface.register("turncoat_fp32", _attention)
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base.path, dtype=dtype or best_dtype(), attn_implementation="turncoat_fp32", output_loading_info=True,
            local_files_only=True, use_safetensors=True, trust_remote_code=False,
        )  # fmt: skip
    except MemoryError:
        raise
    except Exception as fault:  # the readers document no error of their own; anything may come of a foreign folder
        reason = str(fault).splitlines()[0][:160] if str(fault) else type(fault).__name__
        raise ModelError.at(
            base.path, f"the base cannot be loaded ({reason})", "pull it again or name another"
        ) from None
    finally:
        logging.set_verbosity(said)
    model, report = loaded
    if model.config.model_type not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError.at(base.path, f"is of type {model.config.model_type!r}", f"the types understood are {known}")
    if missing := sorted(report["missing_keys"]):
        # The library would fill them with random numbers, and whatever those say would be called a verdict.
        lack = f"the base lacks {len(missing)} of its tensors ({missing[0][:80]})"
        raise ModelError.at(base.path, lack, "pull it again or name another")
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return tokenizer, model


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None = None, **_: Any
) -> tuple[Tensor, None]:
    """Causal attention in fp32: on the CPU the backward of bf16 attention takes six times as long."""
    dtype = query.dtype
    out = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), is_causal=query.shape[2] > 1, scale=scaling, enable_gqa=True
    )
    return out.transpose(1, 2).to(dtype).contiguous(), None
