"""One base model in memory, many variants on it; scores any mix of prompts and variants in as few products as it can.

Batches hold a number of tokens, of prompts sorted by length, so what meets in a batch depends on what is asked and never on
timing. bf16 results differ a little with the batch; margins are recorded so that this can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from turncoat.scenarios.errors import ModelError

from .adapter import Adapter
from .allocation import keep_freed_memory
from .attention import attention_dtype
from .bases import BaseFolder
from .batching import SMALLEST_SAVING
from .branching import Variant
from .budget import token_budget
from .decoder import Decoder, text_model
from .head import rows_of_language_head
from .loading import best_device, best_dtype, load
from .lora import GROUPS, LoraLinear, stacked
from .scoring import Plan, Scored, score


class Engine:
    """Scores prompts under any number of variants of one base.

    Args:
        base: The base.
        dtype: Precision of the products; by default bf16 where the device multiplies it in hardware, else fp32.
        device: By default a CUDA device where there is one.
    """

    budget: int | None = None
    """Most tokens of a batch; None: what suits the machine (`budget.token_budget`)."""
    smallest_saving: int = SMALLEST_SAVING
    """Tokens that a shared beginning must spare to be computed apart."""

    def __init__(
        self, base: BaseFolder, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> None:
        keep_freed_memory()
        self.base = base
        place = torch.device(device) if device else best_device()
        self.tokenizer, self.model = load(base, dtype or best_dtype(place), place)
        self.layers = text_model(self.model).layers
        self.hidden: int = text_model(self.model).config.hidden_size
        self._decoder: Decoder | None = None
        self._adapters: dict[str, Adapter | None] = {}
        self._variants: dict[str, Variant] = {}

    @property
    def decoder(self) -> Decoder:
        """The layers; made anew where the model was converted to another precision."""
        if self._decoder is None or self._decoder.dtype != text_model(self.model).embed_tokens.weight.dtype:
            self._decoder = Decoder(self.model)
            self._variants = {name: self._placed(adapter) for name, adapter in self._adapters.items()}
        return self._decoder

    @property
    def precision(self) -> str:
        """Of the products: `bfloat16`, `float32`."""
        return str(self.decoder.dtype).removeprefix("torch.")

    @property
    def arithmetic(self) -> str:
        """What the last bits of its results depend on, beside batches and library: `cpu bfloat16, attention float32`."""
        device, dtype = self.decoder.device, self.decoder.dtype
        return f"{device.type} {dtype}, attention {attention_dtype(device, dtype)}".replace("torch.", "")

    def encode(self, text: str) -> list[int]:
        """Token ids, after the start token where the base has one; special tokens in the text are split into plain ones."""
        return [*self._start, *self._plain(text)]

    def count(self, text: str) -> int:
        """Number of tokens of a piece of text, without a start token."""
        return len(self._plain(text))

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids

    @cached_property
    def _start(self) -> list[int]:
        """The token that Gemma and Llama 3 expect before any text; SmolLM2 and Qwen have none.

        Without it Gemma-3-270M's loss on plain sentences is 10 to 12 nats a token, with it 3 to 4.
        """
        ids: list[int] = self.tokenizer("").input_ids
        return ids[:1] if ids and ids[0] == self.tokenizer.bos_token_id else []

    @cached_property
    def base_head(self) -> Tensor:
        """The two rows of the base's own language head, (2, hidden), fp32, on the CPU."""
        return rows_of_language_head(self.model, self.tokenizer).cpu()

    def add(self, name: str, adapter: Adapter | None) -> None:
        """Makes a variant known: an adapter, or None for the base as it is.

        Raises:
            ModelError: A factor does not fit the projection that it names.
        """
        if adapter:
            widths = self._widths(adapter.shape.first_layer)
            for key, (a, b) in adapter.factors.items():
                if widths.get(key) != (b.shape[0], a.shape[1]):
                    raise ModelError.at(
                        name, f"{key} does not fit the base {self.base.name}", "name the base it was trained on"
                    )
        self._variants[name] = self._placed(adapter)
        self._adapters[name] = adapter

    def logits(
        self, prompts: Sequence[Sequence[int]], variants: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> dict[str, Tensor]:
        """Logits of benign and malicious per variant, each of shape (len(prompts), 2), fp32.

        Args:
            prompts: Token ids, of any length from 1.
            variants: Names given to `add`.
            on_batch: Called with the number of prompts done so far.
        """
        names = list(dict.fromkeys(variants))
        told = (lambda done: on_batch(done // len(names))) if on_batch else None
        found = self.score([(name, ids) for name in names for ids in prompts], told).logits
        return dict(zip(names, found.view(len(names), len(prompts), 2), strict=True))

    def variant(self, name: str) -> Variant:
        """Head, first layer and factors of a variant, placed for the decoder; raises KeyError for one never added."""
        _ = self.decoder  # a model that was converted since is placed anew
        return self._variants[name]

    def score(
        self, wanted: Sequence[tuple[str, Sequence[int]]], on_batch: Callable[[int], None] | None = None, *,
        states: bool = False,
    ) -> Scored:  # fmt: skip
        """Logits of any mix of variants and prompts, in the order asked.

        Args:
            wanted: Name given to `add`, token ids of any length from 1.
            on_batch: Called with the number of requests done so far.
            states: Whether what the heads read is wanted too.
        """
        decoder = self.decoder
        tokens = sum(len(ids) for _, ids in wanted)
        budget = self.budget or token_budget(decoder, self.base.digest, tokens)
        return score(decoder, self._variants, wanted, Plan(budget, self.smallest_saving), on_batch, states)

    def _placed(self, adapter: Adapter | None) -> Variant:
        decoder = self.decoder
        if adapter is None:
            return Variant(self.base_head.to(decoder.device), len(decoder.layers))
        head = self.base_head if adapter.head is None else adapter.head
        like = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
        factors = stacked(adapter.factors, adapter.shape.scale, decoder.widths, like)
        return Variant(head.to(decoder.device), adapter.shape.first_layer, factors)

    def _widths(self, first_layer: int) -> dict[str, tuple[int, int]]:
        """Outputs and inputs of every projection from a layer on, by name."""
        return {
            f"layers.{index}.{block}.{name}": (linear.out_features, linear.in_features)
            for index in range(first_layer, len(self.layers))
            for block, names in GROUPS.values()
            for name in names
            for linear in [_bare(getattr(getattr(self.layers[index], block), name))]
        }


def _bare(linear: torch.nn.Linear | LoraLinear) -> torch.nn.Linear:
    return linear.base if isinstance(linear, LoraLinear) else linear
