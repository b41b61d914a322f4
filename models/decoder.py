"""The decoder layers of Llama, Qwen2, Qwen3 and Gemma-3 on packed tokens: one code path, for inference and for training.

The weights are those of the loaded transformers model; only the way through them is ours: no padding in the linear layers,
queries, keys and values in one product (gate and up likewise), no mask where causal order suffices, a prefix that all rows
share computed once, and in the last layer everything but keys and values for the final tokens alone. Held to transformers'
own forward pass, values and gradients, by a test for each architecture.

On the CPU norms run in fp32 between bf16 products, and so do rotation and attention where `attention` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend, attention_dtype
from .fused import low_rank_product, rms_norm, rotated, silu_gated
from .lora import GROUPS, LoraLinear, Stacked
from .rows import Rows

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3_text", "gemma3")
"""Model types whose layers are run here; of `gemma3` the text part."""

KeysValues = tuple[Tensor, Tensor]
"""Keys (rotated) and values of a layer, each (tokens, key heads, head width)."""


class Decoder:
    """Runs layers of a loaded model. Holds references to its weights, and no second copy of them.

    Args:
        model: A causal language model of transformers, of a type in `ARCHITECTURES`, on its device and in its dtype.
    """

    def __init__(self, model: Any) -> None:
        text = text_model(model)
        self.embedding, self._rotary = text.embed_tokens, text.rotary_emb
        self.dtype: torch.dtype = text.embed_tokens.weight.dtype
        self.device: torch.device = text.embed_tokens.weight.device
        self._turn_dtype = torch.float32 if self.device.type == "cuda" else attention_dtype(self.device, self.dtype)
        config = text.config
        self.layers = [_Layer(layer, config) for layer in text.layers]
        self.norm = _Norm(text.norm)
        """Final norm: hidden states (..., hidden) to (..., hidden)."""
        self.widths = [layer.widths for layer in self.layers]
        """Per layer: outputs of each projection by name."""

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings of packed token ids, (N, hidden)."""
        found: Tensor = self.embedding(torch.tensor(ids, device=self.device))
        return found

    def run(
        self, states: Tensor, rows: Rows, start: int, stop: int | None = None, factors: Stacked | None = None, *,
        trim: bool = False, past: Sequence[KeysValues] = (), kept: list[KeysValues] | None = None,
    ) -> Tensor:  # fmt: skip
        """Runs layers [start, stop) on packed hidden states.

        Args:
            states: (N, hidden), N = rows.tokens, in the dtype of the model.
            rows: The layout of the tokens.
            start: First layer.
            stop: Layer to stop before; None for all.
            factors: Low-rank factors by layer and group (`lora.stacked`); gradients flow into them. None for the base.
            trim: The last of these layers computes only what the rows' last tokens need.
            past: Per layer from `start` on, keys and values of the `rows.past` tokens before.
            kept: Receives per layer the keys and values of past and packed tokens, for a later call's `past`.

        Returns:
            (N, hidden); with `trim` (B, hidden), of each row's last token.
        """
        stop = len(self.layers) if stop is None else stop
        turns: dict[str | None, KeysValues] = {}
        for index in range(start, stop):
            layer = self.layers[index]
            if layer.kind not in turns:
                turns[layer.kind] = self._turn(rows, layer.kind)
            states = layer.run(
                states, rows, turns[layer.kind], {g: (factors or {}).get((index, g)) for g in GROUPS},
                past[index - start] if past else None, kept, trim and index == stop - 1,
            )  # fmt: skip
        return states.index_select(0, rows.last) if trim and start >= stop else states

    def _turn(self, rows: Rows, kind: str | None) -> KeysValues:
        """Half cosines and sines of the tokens' positions, each (N, 1, head width / 2)."""
        like = torch.empty(0, device=self.device, dtype=torch.float32)
        by_kind = {} if kind is None else {"layer_type": kind}
        cos, sin = self._rotary(like, rows.positions[None], **by_kind)
        half = cos.shape[-1] // 2
        cos, sin = (x[0, :, None, :half].to(self._turn_dtype) for x in (cos, sin))
        return cos, sin


class _Layer:
    """One decoder layer: where its weights are and how they are applied."""

    def __init__(self, layer: Any, config: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.scale: float = attention.scaling
        self.window: int | None = getattr(attention, "sliding_window", None)
        gemma = hasattr(layer, "pre_feedforward_layernorm")
        self.kind: str | None = attention.layer_type if gemma else None
        self.before_attention = _Norm(layer.input_layernorm)
        self.after_attention = _Norm(layer.post_attention_layernorm) if gemma else None
        self.before_mlp = _Norm(layer.pre_feedforward_layernorm if gemma else layer.post_attention_layernorm)
        self.after_mlp = _Norm(layer.post_feedforward_layernorm) if gemma else None
        self.query_norm = _Norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.key_norm = _Norm(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.activation: Callable[[Tensor], Tensor] = mlp.act_fn
        self.silu = (getattr(config, "hidden_activation", None) or config.hidden_act) == "silu"
        self.products = {
            group: _Product([getattr(attention if block == "self_attn" else mlp, name) for name in names])
            for group, (block, names) in GROUPS.items()
        }
        self.widths = {n: w for g, (_, ns) in GROUPS.items() for n, w in zip(ns, self.products[g].widths, strict=True)}
        self.head_width: int = self.widths["q_proj"] // self.heads

    def run(
        self, states: Tensor, rows: Rows, turn: KeysValues, factors: Mapping[str, tuple[Tensor, Tensor] | None],
        past: KeysValues | None, kept: list[KeysValues] | None, trim: bool,
    ) -> Tensor:  # fmt: skip
        joint = self.products["qkv"](self.before_attention(states), factors["qkv"])
        query, key, value = self._heads(joint, turn)
        if trim:
            query, states = query.index_select(0, rows.last), states.index_select(0, rows.last)
        if past is not None:
            key, value = torch.cat((past[0], key)), torch.cat((past[1], value))
        if kept is not None:
            kept.append((key, value))
        seen = attend(query, key, value, rows, self.window, self.scale, trim).to(states.dtype)
        states = _added(states, self.products["o"](seen, factors["o"]), self.after_attention)
        inner = self._gated(self.products["gate_up"](self.before_mlp(states), factors["gate_up"]))
        return _added(states, self.products["down"](inner, factors["down"]), self.after_mlp)

    def _gated(self, joint: Tensor) -> Tensor:  # (N, 2 F) -> (N, F)
        if self.silu:
            return silu_gated(joint)
        gate, up = joint.chunk(2, dim=-1)
        gate = self.activation(gate)
        return gate * up if torch.is_grad_enabled() else gate.mul_(up)

    def _heads(self, joint: Tensor, turn: KeysValues) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, normed where the architecture does so and rotated, and values: (N, heads, head width) each."""
        joint = joint.to(attention_dtype(joint.device, joint.dtype))
        heads = joint.unflatten(-1, (-1, self.head_width))
        turning, value = heads.split((self.heads + self.key_heads, self.key_heads), dim=1)
        if self.query_norm and self.key_norm:
            query, key = turning.split((self.heads, self.key_heads), dim=1)
            turning = torch.cat((self.query_norm(query), self.key_norm(key)), dim=1)
        query, key = rotated(turning, *turn).split((self.heads, self.key_heads), dim=1)
        return query, key, value


class _Product:
    """Linear layers on one input as one product, and the low-rank product beside it.

    The modules' own weights become views of the joint matrix: nothing is held twice.
    """

    def __init__(self, modules: Sequence[Any]) -> None:
        self._modules = [m.base if isinstance(m, LoraLinear) else m for m in modules]
        self.widths: list[int] = [m.out_features for m in self._modules]
        # Quantised layers are subclasses of their own and multiply for themselves.
        self._plain = all(type(m) is nn.Linear for m in self._modules)
        if self._plain:
            self._weight = _joint([m.weight for m in self._modules])
            biases = [m.bias for m in self._modules if m.bias is not None]
            self._bias = _joint(biases) if biases else None

    def __call__(self, x: Tensor, factors: tuple[Tensor, Tensor] | None) -> Tensor:  # (N, in) -> (N, out)
        if self._plain and factors is not None and torch.is_grad_enabled():
            return low_rank_product(x, self._weight, self._bias, *factors)
        y = F.linear(x, self._weight, self._bias) if self._plain else torch.cat([m(x) for m in self._modules], dim=-1)
        if factors is None:
            return y
        low, up = x @ factors[0], factors[1]
        return torch.addmm(y, low, up) if torch.is_grad_enabled() else y.addmm_(low, up)


def _joint(parameters: Sequence[Any]) -> Tensor:
    """The parameters below one another; where they do not lie so in memory yet, they are moved there."""
    parts: list[Tensor] = [p.detach() for p in parameters]
    if len(parts) == 1:
        return parts[0]
    outputs = sum(p.shape[0] for p in parts)
    places, storage = [parts[0].storage_offset()], parts[0].untyped_storage().data_ptr()
    for part in parts[:-1]:
        places.append(places[-1] + part.numel())
    there = [(storage, at, True) for at in places]
    if there == [(p.untyped_storage().data_ptr(), p.storage_offset(), p.is_contiguous()) for p in parts]:
        return parts[0].as_strided((outputs, *parts[0].shape[1:]), parts[0].stride())
    whole = torch.cat(parts)
    for parameter, part in zip(parameters, whole.split([p.shape[0] for p in parts]), strict=True):
        parameter.data = part
    return whole


class _Norm:
    """Root mean square norm; Gemma's weights count from one."""

    def __init__(self, module: Any) -> None:
        weight = module.weight.detach().float()
        self._eps: float = getattr(module, "eps", None) or module.variance_epsilon
        self._weight = weight + 1 if type(module).__name__.startswith("Gemma3") else weight

    def __call__(self, x: Tensor) -> Tensor:
        return rms_norm(x, self._weight, self._eps)


def _added(states: Tensor, change: Tensor, norm: _Norm | None) -> Tensor:
    change = change if norm is None else norm(change)
    return states + change if torch.is_grad_enabled() else change.add_(states)


def text_model(model: Any) -> Any:
    """The decoder stack of a causal language model; of a multimodal one, its text part."""
    return getattr(model.model, "language_model", model.model)
