"""Tiny GGUF files of two architectures."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np


def write_tiny_gguf(path: Path, scaled: str = "") -> None:
    """A whole model with its tokenizer: one layer, width 8, six tokens; every weight is 0.5.

    `scaled` names a key or a tensor that scales the positions.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(32)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    if scaled.endswith(".factor"):
        writer.add_rope_scaling_factor(8.0)
    elif scaled:
        writer.add_tensor(scaled, np.full(2, 8.0, np.float32))
    writer.add_vocab_size(6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|endoftext|>", "a", "b", "ab", "Ġ", "Ġa"])
    writer.add_token_types([3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_eos_token_id(0)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (6, 8), "output_norm": (8,)}
    shapes |= {"blk.0.attn_norm": (8,), "blk.0.attn_q": (8, 8), "blk.0.attn_k": (4, 8), "blk.0.attn_v": (4, 8)}
    shapes |= {"blk.0.attn_output": (8, 8), "blk.0.ffn_norm": (8,), "blk.0.ffn_gate": (16, 8)}
    shapes |= {"blk.0.ffn_up": (16, 8), "blk.0.ffn_down": (8, 16)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.full(shape, 0.5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tiny_gemma(path: Path) -> None:
    """Seven layers of Gemma-3: every matrix is 0.5, every norm 1.5 as llama.cpp writes it, with the one folded in."""
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(7)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(4)
    writer.add_value_length(4)
    writer.add_sliding_window(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "ab", "▁"])
    writer.add_token_scores([0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0])
    writer.add_token_types([3, 3, 3, 2, 1, 1, 1, 1])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_space_prefix(False)
    norms = {"attn_norm": 8, "attn_q_norm": 4, "attn_k_norm": 4, "post_attention_norm": 8, "ffn_norm": 8}
    matrices = {"attn_q": (8, 8), "attn_k": (4, 8), "attn_v": (4, 8), "attn_output": (8, 8), "ffn_gate": (16, 8)}
    tensors: dict[str, np.ndarray] = {"token_embd": np.full((8, 8), 0.5), "output_norm": np.full(8, 1.5)}
    for layer in range(7):
        for name, width in (norms | {"post_ffw_norm": 8}).items():
            tensors[f"blk.{layer}.{name}"] = np.full(width, 1.5)
        for name, shape in (matrices | {"ffn_up": (16, 8), "ffn_down": (8, 16)}).items():
            tensors[f"blk.{layer}.{name}"] = np.full(shape, 0.5)
    for name, content in tensors.items():
        writer.add_tensor(f"{name}.weight", content.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
