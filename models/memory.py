"""How much memory a base needs, from its shape alone.

Inference: the weights, 2 bytes each in bf16 (4 in fp32; 9/16 byte for what 4-bit quantisation packs: half a byte and a scale
of 4 bytes for 64), the widest intermediate results of one batch, and a fixed part for Python and its libraries.
Training adds what the backward pass keeps of each trained layer, and the adapter's own numbers, 16 bytes each (value,
gradient and two moments in fp32).

Limits: a planning figure. Fragmentation and a GPU's kernels come on top; the caching of frozen layers is on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Shape

BATCH_TOKENS = 2048
"""Tokens of one batch, inference and training alike: 16 alerts of 128 tokens."""
PROCESS_BYTES = 600_000_000
"""Python, torch and transformers, once loaded."""
FORMULA = (
    "run = 2 bytes x parameters + one batch of 2,048 tokens + 0.6 GB; "
    "train = run + what the backward pass keeps of the trained layers (bf16) + 16 bytes x adapter numbers"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    inference: int
    inference_4bit: int
    training: int
    """LoRA, without checkpointing."""
    training_4bit: int


def memory_of(shape: Shape, *, first_layer: int = 0, rank: int = 8) -> Memory:
    """Memory for scoring alerts and for training an adapter.

    Args:
        shape: Of the base.
        first_layer: Layers below are frozen.
        rank: Of the adapter.
    """
    packed = shape.layers * shape.per_layer
    plain = 2 * shape.parameters
    quantised = 2 * (shape.parameters - packed) + packed * 9 // 16
    batch = BATCH_TOKENS * 2 * (2 * shape.hidden + 3 * shape.intermediate)
    trained = shape.layers - first_layer
    kept = trained * BATCH_TOKENS * kept_per_token(shape) + 16 * adapter_numbers(shape, trained, rank)
    run, run_4bit = plain + batch + PROCESS_BYTES, quantised + batch + PROCESS_BYTES
    return Memory(run, run_4bit, run + kept, run_4bit + kept)


def kept_per_token(shape: Shape) -> int:
    """Bytes that the backward pass keeps per token and layer, bf16.

    Two norms' inputs and outputs (4 hidden), queries twice, keys and values twice, attention's result, gate, up, their
    product and the activation (4 intermediate).
    """
    return 2 * (4 * shape.hidden + 3 * shape.query_width + 4 * shape.key_width + 4 * shape.intermediate)


def adapter_numbers(shape: Shape, layers: int, rank: int) -> int:
    """Numbers in the low-rank factors of all seven projections of `layers` layers."""
    h, f, q, k = shape.hidden, shape.intermediate, shape.query_width, shape.key_width
    return layers * rank * (2 * (h + q) + 2 * (h + k) + 3 * (h + f))
