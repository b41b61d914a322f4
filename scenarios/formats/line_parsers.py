"""One line of a format that has an alert a line, read by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InputError, Mistake
from .jsonl import parse_alert
from .lines import parse_line
from .ocsf import parse_finding
from .records import LabelledAlert
from .splitting import NOWHERE, Line

LINE_FORMATS: dict[str, Callable[[Any, str], LabelledAlert]] = {"jsonl": parse_alert, "ocsf": parse_finding}


def line_format(name: str) -> Callable[[Any, str], LabelledAlert]:
    """Raises InputError where a format has no alert a line."""
    if name not in LINE_FORMATS:
        cure = f"choose one of {', '.join(LINE_FORMATS)}"
        raise InputError.at("--format", f"{name!r} has no alert a line, so it cannot be followed", cure)
    return LINE_FORMATS[name]


def read_line(line: Line, source: str, format: str) -> LabelledAlert | Mistake | None:
    """The alert of one line, the mistake that stands where it could not be read, or None for a blank line.

    Args:
        line: As a source yielded it.
        source: Its name, which with the offset makes the place.
        format: A key of `LINE_FORMATS`.
    """
    place = source if line.offset == NOWHERE else f"{source}@{line.offset}"
    if line.fault:
        return Mistake(place, line.fault, "look at what was written there")
    return parse_line(line.text, place, line_format(format))
