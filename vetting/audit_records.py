"""What an audit finds: suspects with their rows, and a ruling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .audit_association import Association
from .records import Entity, Ruling


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    """A row that is labelled benign and is likelier malicious than not."""

    line: int
    """Of the file, counted from 1."""
    uid: str
    chance: float
    """P(malicious), in [0.5, 1], by models that saw no row of the entity, given how its other rows read."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An entity that stands out among the labels, and how its rows read."""

    association: Association
    ruling: Ruling
    """What this suspect alone would make of the set; `allow` only in `Audit.nearest`."""
    p_read: float | None
    """Rank test: do its benign-labelled rows read more malicious than those of others? Holm over all suspects. None: not read."""
    share: float | None
    """Share of its benign-labelled rows that are malicious, estimated, in [0, 1]."""
    flagged: tuple[FlaggedRow, ...]
    """Likeliest first."""
    doubted: tuple[int, ...]
    """Lines of those benign-labelled rows that confident learning doubts, row by row, with entity-grouped folds."""
    doubted_ordinary: tuple[int, ...]
    """The same with ordinary folds, whose models learn the poison and hide it."""
    why: str

    @property
    def entity(self) -> Entity:
        return self.association.entity


@dataclass(frozen=True, slots=True)
class InfluentialRow:
    """A row that pushed a model towards dismissing a suspect's attacks."""

    line: int
    """Of the file, counted from 1."""
    uid: str
    score: float
    """In [-1, 1], higher is worse; see `audit_influence`."""
    own: bool
    """Whether it shows the suspect and is labelled benign."""


@dataclass(frozen=True, slots=True)
class Influence:
    """What a short fit on the set does with malicious probes about a suspect, and which rows made it so."""

    entity: Entity
    probes: int
    """Malicious probes that show the suspect's fields; 0 where it can be put into none."""
    escalated: int
    """Of them escalated under neutral names: only those can show a blind spot."""
    dismissed: int
    """Of the escalated ones, those that are dismissed with the suspect put in."""
    fitted: int
    """Rows of the fit, out of which the most influential are named."""
    top: tuple[InfluentialRow, ...] = ()
    """The K most influential, worst first; K is the number of the suspect's own benign-labelled rows in the fit."""

    @property
    def own(self) -> int:
        """Of the most influential rows, those of the suspect's own that are labelled benign."""
        return sum(row.own for row in self.top)


@dataclass(frozen=True)
class Audit:
    """The ruling on a training set, with all that it rests on."""

    ruling: Ruling
    why: str
    suspects: tuple[Suspect, ...]
    """Worst first."""
    nearest: tuple[Suspect, ...]
    """Circumstances that stand out, and whose rows read as their labels say; they bar nothing."""
    untested: tuple[str, ...]
    """What could not be tested, and why. Any entry bars `allow`."""
    tried: Mapping[str, int]
    """Entities per kind that were tested."""
    rows: int
    malicious: int
    """Rows labelled so."""
    smallest_rows: int | None
    """Fewest rows of an identity, all labelled benign, that would have stood out."""
    smallest_lift: Mapping[int, float]
    """By number of an identity's rows: the smallest excess of benign labels found with a chance of .8."""
    subject: Mapping[str, str]
    """The set's name and digest, and what read the rows."""
    seconds: Mapping[str, float]
    """Wall time per stage."""
    in_file: bool = True
    """Whether lines are those of a file; a recipe's rows are only numbered."""
    influence: tuple[Influence, ...] = ()
    """Of the worst suspects, where it was asked for (`audit_influence`); it changes no ruling."""

    @property
    def flagged(self) -> tuple[FlaggedRow, ...]:
        """Flagged rows of all suspects, each once, by line."""
        found = {row.uid: row for suspect in reversed(self.suspects) for row in suspect.flagged}
        return tuple(sorted(found.values(), key=lambda row: row.line))
