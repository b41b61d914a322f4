"""One line of a format that has an alert a line, read by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InputError, Mistake
from .flatten import bounded
from .jsonl import _parse as _parse_jsonl
from .lines import strict_json
from .ocsf import _parse as _parse_ocsf
from .records import LabelledAlert
from .splitting import NOWHERE, Line

LINE_FORMATS: dict[str, Callable[[Any, str], LabelledAlert]] = {"jsonl": _parse_jsonl, "ocsf": _parse_ocsf}


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
    if not line.text.strip():
        return None
    try:
        return line_format(format)(strict_json(line.text), place)
    except RecursionError:
        return Mistake(place, "nested too deeply", "flatten the object")
    except ValueError as error:
        return Mistake(place, bounded(" ".join(str(error).split()), 300), "mend the line or leave it out")
