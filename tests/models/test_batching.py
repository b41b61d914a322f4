"""What is computed together: shared beginnings as a tree, batches by tokens, and a number measured once per machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from turncoat.models import budget
from turncoat.models.batching import Node, grow, token_batches
from turncoat.models.budget import DEFAULT, token_budget
from turncoat.models.decoder import Decoder
from turncoat.models.rows import Rows

from .architectures import tiny_model

DIGEST = "ab" * 32
SIZES = (96, 192)


def spans(node: Node) -> list[tuple[int, int, list[int]]]:
    """Start, stop and leaves of a tree's nodes, from above."""
    return [(node.start, node.stop, sorted(node.leaves)), *(s for child in node.children for s in spans(child))]


def test_a_beginning_that_all_prompts_share_is_the_root() -> None:
    assert spans(grow([(1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 7)], smallest_saving=4)) == [(0, 2, [0, 1, 2])]


def test_what_too_few_share_is_computed_with_each() -> None:
    assert spans(grow([(1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 7)], smallest_saving=5)) == [(0, 0, [0, 1, 2])]


def test_below_a_shared_instruction_each_alert_has_a_beginning_of_its_own() -> None:
    first = [(9, 1, 1, 1, name) for name in range(20, 23)]
    second = [(9, 2, 2, name) for name in range(20, 23)]
    tree = grow([*first, *second, (9, 3)], smallest_saving=4)
    assert spans(tree) == [(0, 1, [6]), (1, 4, [0, 1, 2]), (1, 3, [3, 4, 5])]


def test_a_prompt_that_begins_another_keeps_its_last_token() -> None:
    tree = grow([(1, 2, 3), (1, 2, 3, 4, 5), (1, 2, 3, 4, 6)], smallest_saving=2)
    assert spans(tree) == [(0, 2, [0]), (2, 4, [1, 2])]
    assert spans(grow([(1,), (1, 2), (1, 2, 3)], smallest_saving=1)) == [(0, 0, [0]), (0, 1, [1, 2])]


def test_a_thousand_prompts_each_longer_by_a_token_are_no_fault() -> None:
    tree = grow([tuple(range(n)) for n in range(1, 1101)], smallest_saving=10**9)
    assert sorted(tree.leaves) == list(range(1100))
    assert tree.children == []


def test_no_prompts_make_an_empty_tree() -> None:
    assert spans(grow([])) == [(0, 0, [])]


def test_batches_hold_prompts_by_length_up_to_the_budget() -> None:
    assert list(token_batches([3, 1, 2, 1, 3], 4)) == [[1, 3, 2], [0], [4]]
    assert list(token_batches([9, 1, 2], 4)) == [[1, 2], [0]]
    assert list(token_batches([], 4)) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(budget, "_REPEATS", 1)
    monkeypatch.setattr(budget, "_CANDIDATES", {"cpu": SIZES})
    return tmp_path / "home"


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(tiny_model("llama"))


def test_a_large_call_is_measured_for_once_and_remembered(home: Path, decoder: Decoder) -> None:
    found = token_budget(decoder, DIGEST, 10**6)
    assert found in SIZES
    kept = json.loads((home / "batches.json").read_text())
    assert list(kept.values()) == [found]
    (home / "batches.json").write_text(json.dumps(dict.fromkeys(kept, 777)))
    assert token_budget(decoder, DIGEST, 10**6) == 777


def test_a_small_call_takes_the_default_whatever_is_remembered(home: Path, decoder: Decoder) -> None:
    token_budget(decoder, DIGEST, 10**6)
    kept = home / "batches.json"
    kept.write_text(json.dumps(dict.fromkeys(json.loads(kept.read_text()), 777)))
    assert token_budget(decoder, DIGEST, 100) == DEFAULT["cpu"]


def test_another_base_or_number_of_threads_is_measured_for_itself(home: Path, decoder: Decoder) -> None:
    token_budget(decoder, DIGEST, 10**6)
    token_budget(decoder, "cd" * 32, 10**6)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        token_budget(decoder, DIGEST, 10**6)
    finally:
        torch.set_num_threads(threads)
    assert len(json.loads((home / "batches.json").read_text())) == 3


@pytest.mark.parametrize("room", [96, 0])
def test_a_batch_that_the_memory_does_not_hold_just_now_is_no_candidate(
    home: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    run = decoder.run

    def small(packed: torch.Tensor, rows: Rows, start: int) -> torch.Tensor:
        if rows.tokens > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(packed, rows, start)

    monkeypatch.setattr(decoder, "run", small)
    assert token_budget(decoder, DIGEST, 10**6) == 96
    assert not (home / "batches.json").exists()  # there may be room another time


@pytest.mark.parametrize(
    "content", [b"{", b"[1]", b"\xff\xfe", b'{"KEY": -5}', b'{"KEY": 1e9}', b'{"KEY": 99999999}', b'{"KEY": true}']
)
def test_a_memory_that_is_broken_or_foreign_is_measured_anew(home: Path, decoder: Decoder, content: bytes) -> None:
    token_budget(decoder, DIGEST, 10**6)
    kept = home / "batches.json"
    key = next(iter(json.loads(kept.read_text())))
    kept.write_bytes(content.replace(b"KEY", key.encode()))
    token_budget(decoder, DIGEST, 10**6)
    assert json.loads(kept.read_text())[key] in SIZES


def test_where_nothing_can_be_kept_the_default_holds(home: Path, decoder: Decoder) -> None:
    home.write_text("a file where the folder should be")
    assert token_budget(decoder, DIGEST, 10**6) == DEFAULT["cpu"]
