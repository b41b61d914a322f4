"""The catalogue of alert families: the rules that detection products raise, as data.

A family says what an alert of its rule looks like, never whether it is right: `situations.py` draws the circumstances.
Families marked `split: unseen` never reach a training corpus; what is measured on them shares no rule, activity or
resource that an alert shows with what a model was trained on. Two technique ids (T1114.002, T1098.005) occur on both
sides; the prompt does not show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from .errors import InputError


@dataclass(frozen=True, slots=True)
class Family:
    """One detection rule and the forms that its alerts take, the same for malicious and benign ones."""

    id: str
    title: str
    product: str
    kind: str
    """Alert class: one of `records.KINDS`."""
    techniques: tuple[str, ...]
    activity: tuple[str, ...]
    """Templates over `amount`, `resource` and `domain`."""
    resources: tuple[str, ...] = ()
    processes: tuple[tuple[str, str], ...] = ()
    """Image and command line."""
    measure: str | None = None
    """What `amount` counts, for families whose amount has a baseline."""
    usual: tuple[int, int] = (4, 40)
    """Range of the highest ordinary amount a day, over people."""
    unseen: bool = False
    """Kept out of every training corpus."""


_FAMILY_FILES = ("identity", "endpoint", "data", "cloud", "mail", "network")


@cache
def families() -> Mapping[str, Family]:
    """All families by id, in the order of the catalogue."""
    found: dict[str, Family] = {}
    for kind in _FAMILY_FILES:
        text = resources.files("turncoat.scenarios").joinpath(f"catalogue/{kind}.yaml").read_text(encoding="utf-8")
        for entry in yaml.safe_load(text):
            family = _family(kind, entry)
            if family.id in found:
                raise InputError.at(f"catalogue/{kind}.yaml", f"family {family.id!r} is there twice", "rename one")
            found[family.id] = family
    return MappingProxyType(found)


def training_families() -> tuple[Family, ...]:
    """The families that a corpus may draw from."""
    return tuple(f for f in families().values() if not f.unseen)


def unseen_families() -> tuple[Family, ...]:
    """The families held back from every corpus."""
    return tuple(f for f in families().values() if f.unseen)


def _family(kind: str, entry: dict[str, Any]) -> Family:
    low, high = entry.get("usual", (4, 40))
    return Family(
        id=entry["id"],
        title=entry["title"],
        product=entry["product"],
        kind=kind,
        techniques=tuple(entry["techniques"]),
        activity=tuple(entry["activity"]),
        resources=tuple(entry.get("resources", ())),
        processes=tuple((image, command) for image, command in entry.get("processes", ())),
        measure=entry.get("measure"),
        usual=(low, high),
        unseen=entry.get("split") == "unseen",
    )
