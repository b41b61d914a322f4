"""Writes what a command makes: to a file whole or not at all, or to standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from turncoat.scenarios.errors import InputError


def write_out(out: str, content: str, *, replace: bool = True) -> None:
    """Writes text to a file, or to standard output where no file is named.

    Args:
        out: Path, or empty for standard output.
        content: The text.
        replace: Whether a regular file that is there already may be replaced.

    Raises:
        InputError: A link or a device lies there (never written through), or a file that must not be replaced.
    """
    if not out:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows "?" and not a traceback
        sys.stdout.write(content)
        return
    path = Path(out)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError.at(f"--out {out}", "a link, or no regular file", "name another file")
    if path.exists() and not replace:
        raise InputError.at(f"--out {out}", "there is a file already", "name another, or move it away")
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a killed run, or a link that somebody laid
    with part.open("x", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
