"""Alerts from outside: readers of vendors' and standard formats.

A reader yields what it can read and one `Mistake` for each thing that it cannot, and goes on; what could not be read is
for the caller to escalate, so that nothing vanishes on the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError, Mistake
from .cicids import read_cicids
from .jsonl import read_jsonl
from .ocsf import from_ocsf, read_ocsf, to_ocsf
from .panther import read_panther
from .records import LabelledAlert
from .unsw import read_unsw

FORMATS: dict[str, Callable[[Path], Iterator[LabelledAlert | Mistake]]] = {
    "panther": read_panther,
    "ocsf": read_ocsf,
    "jsonl": read_jsonl,
    "unsw": read_unsw,
    "cicids": read_cicids,
}


def read_alerts(path: str | Path, format: str) -> Iterator[LabelledAlert | Mistake]:
    """Alerts of a file or folder, in the order of the file (of the sorted paths, for a folder).

    Args:
        path: A rule file or a folder of them (`panther`), or a file of JSON lines (`ocsf`, `jsonl`)
            or of flows (`unsw`, `cicids`).
        format: A key of `FORMATS`.

    Yields:
        An alert, or the mistake that stands where an alert could not be read. A uid seen before is such a mistake: two
        alerts under one name could hide each other.

    Raises:
        InputError: The format is unknown or the path cannot be read at all.
    """
    if format not in FORMATS:
        raise InputError.at("--format", f"unknown format {format!r}", f"choose one of {', '.join(FORMATS)}")
    where = Path(path)
    if not where.exists():
        raise InputError.at(where, "no such file or folder", "check the path")
    if format != "panther" and not where.is_file():
        raise InputError.at(where, f"format {format} reads a single file", "give the file itself")
    seen: set[str] = set()
    for item in FORMATS[format](where):
        if isinstance(item, Mistake):
            yield item
        elif item.alert.uid in seen:
            yield Mistake(
                item.place, f"the uid {item.alert.uid[:80]!r} was used before", "give every alert its own uid"
            )
        else:
            seen.add(item.alert.uid)
            yield item


__all__ = ["FORMATS", "LabelledAlert", "from_ocsf", "read_alerts", "read_cicids", "read_jsonl", "read_ocsf", "read_panther",
           "read_unsw", "to_ocsf"]  # fmt: skip
