"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """A reader sees the old content or the new, never half of it; after a power cut too. Text is written as UTF-8.

    Args:
        path: Where it goes.
        content: All of it.
        mode: Permissions, less those that the process gives nobody.

    Raises:
        OSError: The disk is full or the folder cannot be written; what was there is left as it was.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a killed run, or a link that somebody laid: never written through
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
