"""Writes what a command makes: to a file whole or not at all, or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.whole_file import write_whole

OWN_FILES = frozenset(
    {
        "manifest.json", "order.json", "campaign.yaml", "outcomes.jsonl", "timings.jsonl", "queue.jsonl", "opinions.jsonl",
        "checkpoints.sqlite", "spool.sqlite", "position.json", "decisions.jsonl", "events.jsonl", "exercise.json",
        "exercise.yaml", "room.json", "adapter_config.json", "adapter_model.safetensors", "head.safetensors",
    }
)  # fmt: skip
"""What a run, a follower, an exercise or an adapter cannot do without, in a folder with one of `MARKS`."""
MARKS = ("manifest.json", "position.json", "exercise.json", "adapter_config.json")


def require_place(out: str, option: str) -> None:
    """Refuses before minutes of work what could not be written after them.

    Raises:
        InputError: No folder to write to, or a folder, a link or a device in the file's place.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError.at(f"{option} {out}", "is a folder", "name a file")
    _require_file(path, f"{option} {out}")
    if not path.absolute().parent.is_dir():
        raise InputError.at(f"{option} {out}", "no such folder", "make it, or name another file")


def require_apart(written: Mapping[str, str], read: Mapping[str, str]) -> None:
    """Refuses to write one file twice, or over one that is read: a key, say.

    Args:
        written: Option -> path; those that are empty or `-` were not asked for.
        read: The same.

    Raises:
        InputError: Two options name one file.
    """
    taken = {Path(path).resolve(): option for option, path in read.items() if path}
    for option, path in written.items():
        if not path or path == "-":
            continue
        other = taken.setdefault(Path(path).resolve(), option)
        if other != option:
            raise InputError.at(f"{option} {path}", f"is the file of {other}", "name another")


def write_out(out: str, content: str, *, replace: bool = True, option: str = "--out") -> None:
    """Writes text to a file, or to standard output where no file or `-` is named.

    Args:
        out: Path; empty or `-` for standard output.
        content: The text.
        replace: Whether a regular file that is there already may be replaced.
        option: By which it was named.

    Raises:
        InputError: A link or a device lies there (never written through), or a file that must not be replaced, such as
            what a run cannot do without.
    """
    if out in ("", "-"):
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows "?" and not a traceback
        sys.stdout.write(content)
        return
    path = Path(out)
    _require_file(path, f"{option} {out}")
    if path.exists() and not replace:
        raise InputError.at(f"{option} {out}", "there is a file already", "name another, or move it away")
    write_whole(path, content)


def _require_file(path: Path, place: str) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError.at(place, "a link, or no regular file", "name another file")
    if path.name in OWN_FILES and path.exists() and any(path.with_name(mark).exists() for mark in MARKS):
        raise InputError.at(place, "belongs to a run or a model, which needs it", "name another file")
