"""Where results and progress go: results to standard output, all else to standard error when results are JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from rich.console import Console

from .export.whole_file import write_out
from .terminal import plain


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


def tell_plan(left: Any, lines: Sequence[str], console: Console | None, *, only: bool, as_json: bool) -> None:
    """What a study has left to do: before it begins, or, where nothing but that was asked for, as JSON too.

    Args:
        left: A dataclass with the numbers.
        lines: The same in words.
        console: Of what happens meanwhile; None for a study that says nothing of itself.
        only: Nothing else was asked for, so that it is told in any case.
        as_json: As one JSON object, where it is all.
    """
    if only and as_json:
        print_json(asdict(left))
    elif only or console is not None:
        shown = console or progress(as_json)
        for line in lines:
            shown.print(plain(line), soft_wrap=True)


def write_json(path: str, thing: Any, option: str) -> None:
    """JSON to a file, whole or not at all, or to standard output for `-`.

    Raises:
        InputError: A link or a device lies where the file should be; `option` is what named it.
    """
    if path == "-":
        print_json(thing)
    else:
        write_out(path, json.dumps(thing, indent=2, ensure_ascii=True, allow_nan=False) + "\n", option=option)
