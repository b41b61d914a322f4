"""What was read from a pipe survives a disk that becomes full; on a small file system of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from turncoat.agent.pending import Pending
from turncoat.scenarios.formats.splitting import CHUNK_BYTES, Spot


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_the_chunk_in_hand_is_kept_on_a_full_disk(small_disk: Path) -> None:
    pending = Pending(small_disk / "pending")
    pending.begin(Spot(), b"")
    read = bytearray()

    def fill() -> None:
        for number in range(100):
            chunk = bytes([number]) * CHUNK_BYTES
            read.extend(chunk)
            pending.keep(chunk)

    with pytest.raises(OSError, match="No space left"):
        fill()
    pending.close()
    assert 0 < len(read) < 512 * 1024
    assert Pending(small_disk / "pending").leftover(Spot()) == read


def test_nothing_is_begun_without_room_for_a_chunk(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(480 * 1024))
    with pytest.raises(OSError, match="No space left"):
        Pending(small_disk / "pending").begin(Spot(), b"")


def test_compaction_keeps_what_is_beyond_the_place(tmp_path: Path) -> None:
    pending = Pending(tmp_path / "pending")
    pending.begin(Spot(), b"")
    chunks = [bytes([number]) * CHUNK_BYTES for number in range(20)]
    for chunk in chunks:
        pending.keep(chunk)
    place = Spot(offset=17 * CHUNK_BYTES + 5)
    pending.pass_over(place)
    pending.close()
    assert (tmp_path / "pending").stat().st_size < 3 * CHUNK_BYTES + 100
    assert Pending(tmp_path / "pending").leftover(place) == b"".join(chunks)[place.offset :]
    assert sorted(os.listdir(tmp_path)) == ["pending", "pending.room"]
