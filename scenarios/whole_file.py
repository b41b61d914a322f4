"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """A reader sees the old content or the new, never half of it; after a power cut too. Text is written as UTF-8.

    Raises:
        OSError: The disk is full or the folder cannot be written; what was there is left as it was.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a killed run, or a link that somebody laid: never written through
    with part.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
