"""Reads JSON lines that a stranger wrote: bounded, strict, and one mistake per bad line instead of an end to it all."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError, Mistake
from .flatten import bounded
from .records import LabelledAlert

MAX_LINE_BYTES = 16 << 20
_MEND = "mend the line or leave it out"


class _Refused(ValueError):
    """A construct of JSON that we do not take, such as NaN."""


def read_lines(path: Path, parse: Callable[[Any, str], LabelledAlert]) -> Iterator[LabelledAlert | Mistake]:
    """One alert, or one mistake at `file:line`, for each line that is not blank.

    Args:
        path: A file of JSON lines, UTF-8.
        parse: Makes an alert from a line's JSON and its place; raises `ValueError` where it cannot.
    """
    for number, line in _bounded_lines(path):
        place = f"{path}:{number}"
        if line is None:
            yield Mistake(
                place, f"the line is longer than {MAX_LINE_BYTES >> 20} MiB", "cut the fields that make it so"
            )
            continue
        item = parse_line(line, place, parse)
        if item is not None:
            yield item


def parse_line(line: bytes, place: str, parse: Callable[[Any, str], LabelledAlert]) -> LabelledAlert | Mistake | None:
    """The alert of one line, the mistake that stands where it could not be read, or None for a blank line."""
    line = line.removeprefix(codecs.BOM_UTF8)  # Windows tools write it before the first line
    if not line.strip():
        return None
    try:
        return parse(strict_json(line), place)
    except RecursionError:
        return Mistake(place, "nested too deeply", "flatten the object")
    except ValueError as error:
        # An array, or one object over many lines: what exports and pretty-printers write.
        spread_out = line.lstrip()[:1] == b"[" or line.strip() == b"{"
        cure = "write one object a line, as `jq -c` does (of an array, `jq -c .[]`)" if spread_out else _MEND
        return Mistake(place, bounded(" ".join(str(error).split()), 300), cure)


def strict_json(text: bytes) -> Any:
    """JSON without NaN, infinities, or a key given twice (which of the two would be the alert?).

    Raises:
        ValueError: Not such JSON, or not UTF-8.
    """
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON at column {error.colno} ({error.msg})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None


def text_of(value: Any, default: str = "") -> str:
    """A scalar as bounded text; `default` for what is missing."""
    return default if value is None or isinstance(value, dict | list) else bounded(value)


def _bounded_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Line numbers from 1 with the line, or None for one that is too long (it is passed over without being held)."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
                    yield number, line
                    continue
                while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
    except OSError as error:
        raise InputError.at(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from None


def _refuse_constant(word: str) -> Any:
    raise _Refused(f"{word} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Refused("a key is given twice")
    return found
