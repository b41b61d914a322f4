"""A tiny random model of each architecture that the decoder runs, in memory, and transformers' own answer for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

WINDOW = 5
LAYERS = 3
_SHAPE: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": LAYERS, "head_dim": 8,
    "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
}  # fmt: skip

CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": partial(LlamaConfig, **_SHAPE),
    "llama with scaled positions": partial(
        LlamaConfig, **_SHAPE,
        rope_parameters={"rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    ),
    "qwen2": partial(Qwen2Config, **_SHAPE),
    "qwen2 with a window": partial(
        Qwen2Config, **_SHAPE, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen3": partial(Qwen3Config, **_SHAPE),
    "gemma3": partial(
        Gemma3TextConfig, **_SHAPE, sliding_window=WINDOW, query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
}  # fmt: skip
"""Windows are shorter than the longest prompt of the tests; Gemma's local and global layers turn at different speeds."""


def tiny_model(architecture: str, seed: int = 0) -> Any:
    """Random weights, norms and biases included, fp32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CONFIGS[architecture]()
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
            parameter.requires_grad_(False)
    return model


def by_transformers(model: Any, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Final hidden state of each prompt's last token, (B, hidden): one prompt a call."""
    return torch.stack([model.model(input_ids=torch.tensor([list(p)])).last_hidden_state[0, -1] for p in prompts])
