"""Where results and progress go: results to standard output, all else to standard error when results are JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import IO, Any

from rich.console import Console

from .export.whole_file import write_out


class _Console(Console):
    """Leaves a closed pipe to the command line's frame, which knows the exit code for it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def results() -> Console:
    """The console for results. Without a terminal it draws 80 columns wide, and without colours or controls."""
    return _console(sys.stdout)


def progress(as_json: bool = False) -> Console:
    """The console for what happens meanwhile; standard error if standard output holds JSON."""
    return _console(sys.stderr if as_json else sys.stdout)


def _console(stream: IO[str]) -> Console:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?" and not a traceback
    width = None if stream.isatty() else _columns(os.environ.get("COLUMNS", ""))
    return _Console(file=stream, highlight=False, emoji=False, width=width, soft_wrap=False)


def _columns(words: str) -> int:
    return int(words) if words.isdigit() and int(words) >= 40 else 80


def print_json(thing: Any) -> None:
    """One JSON value on standard output, ASCII only: what is in it can control no terminal."""
    sys.stdout.write(json.dumps(thing, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def print_json_line(thing: Any) -> None:
    """One JSON value on a line of its own, at once: several make JSON lines."""
    sys.stdout.write(json.dumps(thing, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def write_json(path: str, thing: Any, option: str) -> None:
    """JSON to a file, whole or not at all, or to standard output for `-`.

    Raises:
        InputError: A link or a device lies where the file should be; `option` is what named it.
    """
    if path == "-":
        print_json(thing)
    else:
        write_out(path, json.dumps(thing, indent=2, ensure_ascii=True, allow_nan=False) + "\n", option=option)
