"""Hidden states on disk: found again by another process, safe from killed writers and damage, bounded in size."""

from __future__ import annotations

import json
import multiprocessing
import os
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.training.progress import Progress
from turncoat.training.trunk import Trunk
from turncoat.training.trunk_cache import SIZE_VARIABLE, TrunkCache, size_limit

HIDDEN = 4
A, B, C = (1, 2, 3), (1, 2), (9,)


def states(ids: tuple[int, ...], dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Made-up states that say which prompt they are of."""
    return (torch.arange(len(ids) * HIDDEN).view(-1, HIDDEN) + 100 * ids[-1]).to(dtype)


def cache(
    folder: Path, *, base: str = "b" * 64, layer: int = 20, arithmetic: str = "cpu", most: int = 10**9
) -> TrunkCache:
    return TrunkCache(base, layer, torch.bfloat16, HIDDEN, arithmetic, folder=folder, most_bytes=most)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


def test_what_one_keeps_another_finds_bit_by_bit(tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A), B: states(B)})
    found = cache(tmp_path).find([B, C, A])
    assert set(found) == {A, B}
    assert torch.equal(found[A], states(A))
    assert torch.equal(found[B], states(B))


def test_an_open_cache_sees_what_another_has_kept_since(tmp_path: Path) -> None:
    mine = cache(tmp_path)
    assert mine.find([A]) == {}
    cache(tmp_path).keep({A: states(A)})
    assert set(mine.find([A])) == {A}


@pytest.mark.parametrize("other", [{"base": "c" * 64}, {"layer": 19}, {"arithmetic": "cuda"}])
def test_another_base_layer_or_device_has_states_of_its_own(other: dict[str, object], tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A)})
    assert cache(tmp_path, **other).find([A]) == {}  # type: ignore[arg-type]


def test_another_precision_has_states_of_its_own(tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A)})
    wide = TrunkCache("b" * 64, 20, torch.float32, HIDDEN, "cpu", folder=tmp_path, most_bytes=10**9)
    assert wide.find([A]) == {}
    wide.keep({A: states(A, torch.float32)})
    assert wide.find([A])[A].dtype == torch.float32


@pytest.mark.parametrize("at", ["first row", "second row"])
def test_a_row_whose_bytes_changed_is_not_found_and_the_others_are(at: str, tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A), B: states(B)})
    (path,) = segments(tmp_path)
    begin = header_end(path) + tensor_start(path, "states") + (0 if at == "first row" else len(A) * HIDDEN * 2)
    flip(path, begin)
    assert set(cache(tmp_path).find([A, B])) == ({B} if at == "first row" else {A})


@pytest.mark.parametrize("part", ["ids", "lengths", "checks"])
def test_a_segment_with_a_damaged_index_is_not_used(part: str, tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A), B: states(B)})
    (path,) = segments(tmp_path)
    flip(path, header_end(path) + tensor_start(path, part))
    assert cache(tmp_path).find([A, B]) == {}


@pytest.mark.parametrize("fault", ["cut short", "empty", "garbage", "a pickle", "a link", "a folder"])
def test_a_file_that_is_no_segment_is_passed_over(fault: str, tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A)})
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    path.unlink()
    if fault == "a link":
        (tmp_path / "elsewhere").write_bytes(whole)
        path.symlink_to(tmp_path / "elsewhere")
    elif fault == "a folder":
        path.mkdir()
    else:
        content = {"cut short": whole[:-5], "empty": b"", "garbage": b"x" * 99, "a pickle": b"\x80\x04K\x01."}
        path.write_bytes(content[fault])
    again = cache(tmp_path)
    assert again.find([A]) == {}
    again.keep({A: states(A)})
    assert torch.equal(again.find([A])[A], states(A))


def test_what_a_killed_writer_left_is_neither_read_nor_kept(tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A)})
    (path,) = segments(tmp_path)
    left = path.with_name("0-killed.safetensors.part")
    left.write_bytes(path.read_bytes()[:50])
    again = cache(tmp_path)
    assert set(again.find([A, B])) == {A}
    again.keep({B: states(B)})
    assert not left.exists()
    assert set(cache(tmp_path).find([A, B])) == {A, B}


def keep_many(folder: Path, first: int) -> None:
    mine = cache(folder)
    for i in range(first, first + 20):
        mine.keep({(i, i): states((i, i))})


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=keep_many, args=(tmp_path, first)) for first in (0, 10, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    wanted = [(i, i) for i in [*range(30), *range(100, 120)]]
    found = cache(tmp_path).find(wanted)
    assert all(torch.equal(found[ids], states(ids)) for ids in wanted)


def test_beyond_the_bound_the_segments_unused_for_longest_go(tmp_path: Path) -> None:
    for at, ids in enumerate((A, B, C)):
        cache(tmp_path).keep({ids: states(ids)})
        os.utime(segments(tmp_path)[-1], (at, at))
    size = max(path.stat().st_size for path in segments(tmp_path))
    mapped = cache(tmp_path)
    held = mapped.find([A])[A]  # used now, so B is the one unused for longest
    cache(tmp_path, most=3 * size).keep({(5,): states((5,))})
    assert set(cache(tmp_path).find([A, B, C, (5,)])) == {A, C, (5,)}
    cache(tmp_path, most=1).keep({(6,): states((6,))})
    assert set(cache(tmp_path).find([A, B, C, (5,), (6,)])) == {(6,)}
    assert torch.equal(held, states(A))


def test_a_bound_of_zero_turns_the_cache_off(tmp_path: Path) -> None:
    cache(tmp_path).keep({A: states(A)})
    off = cache(tmp_path, most=0)
    off.keep({B: states(B)})
    assert off.find([A, B]) == {}
    assert len(segments(tmp_path)) == 1


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "trunk").write_text("a file stands here")
    blocked = cache(tmp_path / "trunk")
    blocked.keep({A: states(A)})
    assert blocked.find([A]) == {}


@pytest.mark.parametrize(("said", "limit"), [("2.5", 2_500_000_000), ("0", 0), ("much", 8_000_000_000),
                                             ("-1", 8_000_000_000), ("nan", 8_000_000_000)])  # fmt: skip
def test_the_environment_sets_the_bound(said: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, said)
    assert size_limit() == limit


@pytest.fixture
def engine(tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    return Engine(tiny_base)


def test_a_second_session_computes_only_what_is_new(engine: Engine) -> None:
    prompts = [[40, 41, 42], [43, 44], [40, 41, 42]]
    seen: list[Progress] = []
    first = Trunk(engine, seen.append).states(prompts, 2)
    assert seen[-1].done == 2
    assert {p.total for p in seen} == {2}
    seen.clear()
    again = Trunk(engine, seen.append).states([*prompts, [45] * 5], 2)
    assert [(p.done, p.total) for p in seen] == [(1, 1)]
    assert all(torch.equal(a, b) for a, b in zip(again[:3], first, strict=True))
    assert again[3].shape == (5, 32)


def test_before_the_first_layer_states_are_embeddings_and_nothing_is_kept(engine: Engine, tmp_path: Path) -> None:
    found = Trunk(engine, lambda progress: None).states([[40, 41], [42]], 0)
    assert len(found) == 2
    assert torch.equal(found[0], engine.model.model.embed_tokens.weight[[40, 41]])
    assert [len(s) for s in found[1:]] == [1]
    assert segments(tmp_path / "home" / "trunk") == []


def header_end(path: Path) -> int:
    return 8 + int(struct.unpack("<Q", path.read_bytes()[:8])[0])


def tensor_start(path: Path, name: str) -> int:
    return int(json.loads(path.read_bytes()[8 : header_end(path)])[name]["data_offsets"][0])


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
