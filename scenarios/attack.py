"""The ATT&CK techniques of one pinned version, offline. `benchmarks/attack_table.py` makes the bundled table."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ATTACK_VERSION = "18.1"


@dataclass(frozen=True, slots=True)
class Technique:
    """One technique or sub-technique that is neither revoked nor deprecated."""

    id: str
    """Such as `T1567.002`."""
    name: str
    """Of a sub-technique: `Exfiltration Over Web Service: Exfiltration to Cloud Storage`."""
    tactics: tuple[str, ...]
    """Short names, such as `exfiltration`."""


@cache
def techniques() -> Mapping[str, Technique]:
    """Every technique by its id."""
    table = json.loads(files(__package__).joinpath("attack_techniques.json").read_text(encoding="utf-8"))
    return {id_: Technique(id_, entry["name"], tuple(entry["tactics"])) for id_, entry in table["techniques"].items()}


def technique(id_: str) -> Technique | None:
    """The technique with that id; None where this version has none."""
    return techniques().get(id_)


def near(id_: str, count: int = 3) -> list[str]:
    """Ids that resemble an unknown one, nearest first; by name too, for those who write a name instead of an id."""
    ids = sorted(techniques(), key=lambda known: (_distance(id_.upper(), known), known))
    if id_.upper().startswith("T") and any(c.isdigit() for c in id_):
        return ids[:count]
    by_name = {t.name.split(": ")[-1].lower(): t.id for t in techniques().values()}
    names = difflib.get_close_matches(id_.lower(), by_name, n=count, cutoff=0.6)
    return [by_name[name] for name in names] or ids[:count]


@cache
def tactics() -> tuple[str, ...]:
    """Short names of all tactics, in the order of an attack."""
    table = json.loads(files(__package__).joinpath("attack_techniques.json").read_text(encoding="utf-8"))
    return tuple(table["tactics"])


def _distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
