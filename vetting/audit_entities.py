"""What a training row shows that a label could be tied to: who, where, from where, which word, on which day.

Identities (user, host, address) say nothing about the truth of an alert by themselves. Circumstances (a domain, a process, a
resource, a word, a vendor's field, a weekday, what the directory says of a person) may rightly do so.

Limits: what tools other than the directory answer is not taken apart: a trigger that stands only there is not tried.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turncoat.models.prompt import escaped

from .audit_rows import AuditRow
from .records import Entity

Indices = NDArray[np.intp]
Bools = NDArray[np.bool_]

IDENTITIES = ("user", "host", "address")
PAIRED = (*IDENTITIES, "weekday")
"""Kinds of which two together are tried."""
SMALLEST = 5
"""Rows that an entity needs to be tried: fewer, all labelled benign, are a matter of chance."""
MOST_PAIRS = 20_000
_WORD_LENGTH, _LONGEST_FIELD = 60, 200
_FULL_STRATUM = 20
_DIRECTORY = "directory"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def entities_of(row: AuditRow) -> frozenset[Entity]:
    """All entities of a row; letters' case is no difference."""
    return frozenset(Entity(kind, value.casefold()) for kind, value in _shown(row) if value.strip())


def written(entity: Entity, rows: Sequence[AuditRow]) -> tuple[tuple[Entity, ...], list[int]]:
    """The parts of an entity as rows spell them most often, and the rows that show them all, by index."""
    kinds = entity.kind.split("+")
    values = entity.value.split(" + ", len(kinds) - 1) if len(kinds) > 1 else [entity.value]
    parts = [Entity(kind, value) for kind, value in zip(kinds, values, strict=True)]
    index = [at for at, row in enumerate(rows) if entities_of(row).issuperset(parts)]
    spelt: Counter[tuple[Entity, str]] = Counter()
    for at in index:
        spelt.update({(Entity(kind, value.casefold()), value) for kind, value in _shown(rows[at])})
    best = [
        max((n, value) for (e, value), n in spelt.items() if e == part)[1] if index else part.value for part in parts
    ]
    return tuple(Entity(kind, value) for kind, value in zip(kinds, best, strict=True)), index


@dataclass(frozen=True)
class Shown:
    """Which rows show which entities."""

    rows: Mapping[Entity, Indices]
    """Single entities first, then pairs."""
    parts: Mapping[Entity, tuple[Entity, ...]]
    """What each pair is made of."""
    passed_over: int
    """Pairs that were more than `MOST_PAIRS`."""
    count: int
    """Rows of the set, N."""

    def apart(self, entity: Entity) -> Bools:
        """Rows that a model must not have seen to judge the entity, shape (N,): those of its identities, if it has any."""
        parts = self.parts.get(entity, (entity,))
        named = [part for part in parts if is_identity(part)] or parts
        found: Bools = np.logical_or.reduce([self.mask(part) for part in named])
        return found

    def mask(self, entity: Entity) -> Bools:
        """Rows that show it, shape (N,)."""
        found = np.zeros(self.count, dtype=bool)
        found[self.rows[entity]] = True
        return found


def shown_by(rows: Sequence[AuditRow]) -> Shown:
    """Rows of every entity, and of every pair of `PAIRED` kinds, that `SMALLEST` rows or more show, and not all."""
    found: dict[Entity, list[int]] = {}
    for index, row in enumerate(rows):
        for entity in entities_of(row):
            found.setdefault(entity, []).append(index)
    single = {e: np.array(at, dtype=np.intp) for e, at in sorted(found.items()) if SMALLEST <= len(at) < len(rows)}
    pairs, passed_over = _pairs(single, len(rows))
    parts = {Entity("+".join(e.kind for e in pair), " + ".join(e.value for e in pair)): pair for pair in pairs}
    return Shown(single | {name: pairs[pair] for name, pair in parts.items()}, parts, passed_over, len(rows))


def _pairs(single: Mapping[Entity, Indices], count: int) -> tuple[dict[tuple[Entity, Entity], Indices], int]:
    """Rows of two entities together, the most frequent first, and how many pairs were one too many."""
    shown: list[list[Entity]] = [[] for _ in range(count)]
    for entity, index in single.items():
        if entity.kind in PAIRED:
            for at in index:
                shown[at].append(entity)
    found: dict[tuple[Entity, Entity], list[int]] = {}
    for at, entities in enumerate(shown):
        for pair in combinations(entities, 2):
            found.setdefault(pair, []).append(at)
    # A pair that is always together is the same rows once more; one of them alone says it.
    enough = [pair for pair, at in found.items() if len(at) >= SMALLEST and all(len(at) < len(single[e]) for e in pair)]
    first = sorted(enough, key=lambda pair: (-len(found[pair]), pair))[:MOST_PAIRS]
    return {pair: np.array(found[pair], dtype=np.intp) for pair in first}, len(enough) - len(first)


def is_identity(entity: Entity) -> bool:
    """Whether it names somebody or something, alone or with whatever else."""
    return any(kind in IDENTITIES for kind in entity.kind.split("+"))


def strata_of(rows: Sequence[AuditRow]) -> Indices:
    """Stratum of each row as a number from 0, shape (N,): within one, an entity should change nothing.

    Rule and severity; what of a rule makes strata of fewer than `_FULL_STRATUM` rows is put together, whatever its severity.
    Strata of three or four rows, most of them the entity's own, would know nothing to hold it against.
    """
    keys = [(_title(row), row.case.alert.severity.value) for row in rows]
    count = Counter(keys)
    return numbered([key if count[key] >= _FULL_STRATUM else (key[0], "") for key in keys])


def rules_of(rows: Sequence[AuditRow]) -> Indices:
    """Rule of each row as a number from 0, shape (N,)."""
    return numbered([_title(row) for row in rows])


def without_match(shown: Shown, strata: Indices, benign: Bools) -> dict[Entity, int]:
    """Rows labelled benign whose rule no other row shares, by identity, where there are `SMALLEST` or more.

    There is nothing to hold their labels against: whoever plants poison may give it a rule of its own.

    Args:
        shown: Which rows show which entities.
        strata: Stratum of each row, shape (N,).
        benign: Labelled benign, shape (N,).
    """
    sizes = np.bincount(strata)
    found = {}
    for entity, index in shown.rows.items():
        if is_identity(entity) and entity not in shown.parts:
            alone = np.bincount(strata[index], minlength=len(sizes)) == sizes
            found[entity] = int((alone[strata[index]] & benign[index]).sum())
    return {entity: count for entity, count in found.items() if count >= SMALLEST}


def _title(row: AuditRow) -> str:
    return escaped(row.case.alert.title).casefold()


def numbered(keys: Sequence[Any]) -> Indices:
    """Keys as numbers from 0, in their sorted order."""
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], dtype=np.intp)


def _shown(row: AuditRow) -> Iterator[tuple[str, str]]:
    """Kinds and values as the prompt writes them: what reads alike to a model is one entity."""
    return ((kind, escaped(value)) for kind, value in _named(row))


def _named(row: AuditRow) -> Iterator[tuple[str, str]]:
    alert = row.case.alert
    named = alert.entities
    yield "weekday", _DAYS[alert.time.weekday()]
    for kind in ("user", "host", "address", "domain", "process", "file", "resource"):
        value = getattr(named, kind)
        if value:
            yield kind, value
    if alert.technique:
        yield "technique", alert.technique
    yield "product", alert.product
    named_elsewhere = {v.casefold() for v in (named.user, named.host, named.address, named.domain, named.resource) if v}
    for word in re.split(r"[\s()]+", f"{named.command_line or ''} {alert.activity}"):
        if 2 <= len(word) <= _WORD_LENGTH and re.search(r"[^\W\d]", word) and word.casefold() not in named_elsewhere:
            yield "word", word
    yield from (("field", f"{name}={value}"[:_LONGEST_FIELD]) for name, value in alert.raw.items())
    for evidence in row.case.context.evidence:
        if evidence.tool == _DIRECTORY and not evidence.failed:
            # The parts of what the directory says: each may be put there by whoever keeps it.
            parts = re.split(r", | in (?=[A-Z]{2}$)", evidence.answer)
            yield from (("directory", part) for part in parts[1:])
