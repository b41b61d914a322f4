"""The known bases: parameter counts that others publish, memory by hand, and names that everything agrees on."""

from __future__ import annotations

import pytest

from turncoat.models.catalogue import DEFAULT_BASE, KNOWN_BASES, HubSource, Shape, WheelSource
from turncoat.models.memory import BATCH_TOKENS, PROCESS_BYTES, adapter_numbers, kept_per_token, memory_of

SMALL = Shape(layers=2, hidden=4, intermediate=8, query_width=4, key_width=2, vocabulary=10)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("smollm2-135m", 134_515_008),
        ("gemma3-270m", 268_098_176),
        ("qwen3-4b", 4_022_468_096),
        ("llama3.1-8b", 8_030_261_248),
    ],
)
def test_the_shapes_give_the_published_parameter_counts(name: str, parameters: int) -> None:
    assert KNOWN_BASES[name].shape.parameters == parameters


def test_the_pins_are_the_published_ones() -> None:
    pins = {n: b.source.sha256 for n, b in KNOWN_BASES.items() if isinstance(b.source, WheelSource)}
    assert pins == {
        DEFAULT_BASE: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "gemma3-270m": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    }
    assert KNOWN_BASES["gemma3-270m"].download_bytes == 253_113_024


def test_the_papers_bases_come_from_the_hub_and_one_is_gated() -> None:
    found = {n: b.source for n, b in KNOWN_BASES.items() if isinstance(b.source, HubSource)}
    assert found == {
        "qwen3-4b": HubSource("Qwen/Qwen3-4B"),
        "llama3.1-8b": HubSource("meta-llama/Llama-3.1-8B-Instruct", gated=True),
    }


def test_a_small_shape_is_counted_by_hand() -> None:
    # A layer: q and o 4x4 each, k and v 4x2 each, three matrices 4x8, two norms of 4.
    assert SMALL.per_layer == 32 + 16 + 96 + 8
    assert SMALL.parameters == 40 + 2 * 152 + 4
    # Factors: (4+4) + (4+4) for q and o, (4+2) + (4+2) for k and v, three of (4+8).
    assert adapter_numbers(SMALL, layers=1, rank=3) == 3 * (16 + 12 + 36)
    assert kept_per_token(SMALL) == 2 * (16 + 12 + 8 + 32)


def test_memory_follows_its_formula() -> None:
    memory = memory_of(SMALL, first_layer=1, rank=3)
    batch = BATCH_TOKENS * 2 * (8 + 24)
    assert memory.inference == 2 * 348 + batch + PROCESS_BYTES
    assert memory.inference_4bit == 2 * 44 + 304 * 9 // 16 + batch + PROCESS_BYTES
    assert memory.training - memory.inference == BATCH_TOKENS * 136 + 16 * 192
    assert memory.training_4bit - memory.inference_4bit == memory.training - memory.inference
