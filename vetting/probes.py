"""Malicious alerts under a neutral name, by which a candidate is asked: will you look away if it is somebody else?

Screening and fresh probes are disjoint: the first choose whom to suspect, the second alone give p-values. The generator's
probes come from companies of their own; a candidate's training set cannot have held them. Somebody's own alerts
(`own_probes`) take their place where they are given.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from turncoat.models.classifier import Case
from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.families import Family, training_families
from turncoat.scenarios.formats import read_alerts
from turncoat.scenarios.identity import Identity, rename, substitute
from turncoat.tools.records import Context
from turncoat.training.corpus import FULL, TRIGGER, RowSource, draw_rows, training_world

from .records import Entity

_WORLDS = (401, 402, 403, 404)
"""Seeds of the companies that probes come from; no training and no test uses them."""
SCREENING, FRESH, BENIGN = 4, 40, 60
"""Probes by default, and benign alerts beside them."""
_DRAWN_PER_PROBE = 4
"""The generator draws this many alerts per probe, so that enough of them show a host, an address, a command line."""
_SHOWING = {"host": 0.4, "address": 0.4, "word": 0.35}
"""Least share of probes that show a field of each kind, where as many were drawn."""
_APART = 500
"""Between the seeds of malicious and of benign alerts."""
_MOST_OWN = 5_000
"""Alerts of somebody's own that are looked at."""
_ANYBODY, _ANY_TIME = (
    Identity("Any Body", "anybody", "anybody@company.example", "anybody", "ANYBODY"),
    datetime(2025, 1, 6, tzinfo=UTC),
)


@dataclass(frozen=True)
class Probe:
    """A malicious alert with everything gathered, and the one whose alert it is."""

    case: Case
    identity: Identity | None
    """None where the alert names no user: then no other name can be put in."""
    family: str = ""

    def under(self, other: Identity) -> Case | None:
        """The same case under another name: identity strings only, in alert and evidence."""
        return rename(self.case, self.identity, other) if self.identity else None

    def shows(self, kind: str) -> bool:
        """Whether an entity of that kind can be put in; `user+host` needs both."""
        seen = self.case.alert.entities
        fields = {"user": self.identity, "host": seen.host, "address": seen.address, "word": seen.command_line,
                  "phrase": self.case.alert.activity}  # fmt: skip
        return all(fields.get(part) for part in kind.split("+"))

    def with_value(self, entity: Entity) -> Case | None:
        """The same case with the host, address, word or phrase of an entity; None where it shows no such field.

        A word ends the command line; a phrase is a word behind the activity, in brackets, as a comment of an account would be.
        """
        seen = self.case.alert.entities
        match entity.kind:
            case "host" if seen.host:
                return substitute(self.case, seen.host, entity.value)
            case "address" if seen.address:
                return substitute(self.case, seen.address, entity.value)
            case "word" if seen.command_line:
                return substitute(self.case, seen.command_line, f"{seen.command_line} {entity.value}")
            case "phrase" if activity := self.case.alert.activity:
                return replace(self.case, alert=replace(self.case.alert, activity=f"{activity} ({entity.value})"))
        return None


@dataclass(frozen=True)
class ProbeSet:
    """Probes in disjoint parts."""

    screening: tuple[Probe, ...]
    fresh: tuple[Probe, ...]
    origin: str
    """`generator`, or the file that they came from."""
    beside: tuple[Probe, ...] = ()
    """Further malicious alerts, which only serve where recall is looked at slice by slice."""
    untested: tuple[str, ...] = ()
    """What was given and cannot be used as a probe; any entry bars `allow`."""
    benign: tuple[Case, ...] = ()
    """Benign alerts, to learn what the candidate holds of a malicious one; nobody else's name is put into them."""

    @property
    def every(self) -> tuple[Probe, ...]:
        return (*self.screening, *self.fresh, *self.beside)

    @property
    def digest(self) -> str:
        """SHA-256 over all cases, 64 hex digits."""
        text = "\n".join(map(repr, (*(probe.case for probe in self.every), *self.benign)))
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def generate_probes(
    seed: int = 0,
    screening: int = SCREENING,
    fresh: int = FRESH,
    families: Sequence[Family] | None = None,
) -> ProbeSet:
    """Draws probes from the world's generator, spread over alert families.

    Args:
        seed: Of all that is drawn.
        screening: Probes that choose suspects.
        fresh: Probes that test them.
        families: Where alerts come from; by default those that models are trained on.
    """
    families = tuple(families or training_families())
    rng = random.Random(f"probes/{seed}")
    drawn: list[Probe] = []
    benign: list[Case] = []
    share = -(-_DRAWN_PER_PROBE * (screening + fresh) // len(_WORLDS))
    for world_seed in _WORLDS:
        world = training_world(world_seed)
        source = RowSource((world_seed,), families, seed * 1000 + world_seed)
        for row in draw_rows(source, share, states=FULL, malicious=True):
            person = world.person(row.user)
            if person is not None and person.login != TRIGGER:
                drawn.append(Probe(row.case, Identity.of(person), row.family))
        apart = RowSource((world_seed,), families, seed * 1000 + world_seed + _APART)
        rows = draw_rows(apart, -(-BENIGN // len(_WORLDS)), states=FULL, malicious=False)
        benign += [row.case for row in rows if row.user != TRIGGER]
    rng.shuffle(drawn)
    first = _chosen(drawn, screening)
    second = _chosen([probe for probe in drawn if not any(probe is other for other in first)], fresh)
    return ProbeSet(first, second, "generator", benign=tuple(benign))


def own_probes(path: Path, seed: int = 0, screening: int = SCREENING, fresh: int = FRESH) -> ProbeSet:
    """Probes out of somebody's own labelled alerts, in turncoat's JSON lines.

    Alerts labelled malicious are probes; the first of those labelled benign are kept as such, others are passed over. Of alerts
    that differ in uid, time or user alone the first counts: asked again, it would pass for further evidence. One without a user
    can be put under no other name and serves beside. What cannot be read, or is too long for the prompt, is a gap (`untested`).

    Raises:
        InputError: The file cannot be read, or no alert in it is labelled malicious.
    """
    found: list[Probe] = []
    benign: list[Case] = []
    mistakes: list[Mistake] = []
    for number, item in enumerate(read_alerts(path, "jsonl")):
        if number >= _MOST_OWN:
            mistakes.append(Mistake(str(path), f"more than {_MOST_OWN:,} alerts", ""))
            break
        if isinstance(item, Mistake):
            mistakes.append(item)
        elif item.label:
            found.append(Probe(Case(item.alert, Context()), _identity(item.alert.entities.user), item.alert.title))
        elif item.label is False and len(benign) < BENIGN:
            benign.append(Case(item.alert, Context()))
    if not found:
        worst = f" ({mistakes[0].place}: {mistakes[0].fault})" if mistakes else ""
        cure = 'give lines such as {"alert": {...}, "label": "malicious"}'
        raise InputError.at(path, f"holds no alert that is labelled malicious{worst}", cure)
    found = _distinct(found)
    random.Random(f"own/{seed}").shuffle(found)
    named = [probe for probe in found if probe.identity]
    first = tuple(named[: min(screening, len(named) // 4)])
    second = tuple(named[len(first) : len(first) + fresh])
    beside = (*named[len(first) + len(second) :], *(probe for probe in found if not probe.identity))
    gaps = [f"{len(mistakes):,} alerts of {path.name} ({mistakes[0].place}: {mistakes[0].fault})"] if mistakes else []
    return ProbeSet(first, second, path.name, beside, tuple(gaps), tuple(benign))


def _distinct(probes: Sequence[Probe]) -> list[Probe]:
    first: dict[str, Probe] = {}
    for probe in probes:
        case = probe.under(_ANYBODY) or probe.case
        first.setdefault(repr(replace(case.alert, uid="", time=_ANY_TIME)), probe)
    return list(first.values())


def _identity(user: str | None) -> Identity | None:
    """An account of which only the login is known; `alice` may occur as Alice too."""
    if not user or not user.strip():
        return None
    local = user.partition("@")[0] or user
    name = local.capitalize() if local.split() else user
    return Identity(name, user, user if "@" in user else f"{user}@", local, local.upper())


def _chosen(drawn: Sequence[Probe], count: int) -> tuple[Probe, ...]:
    """The first probes, others put in for as many as are needed to show each kind of field often enough."""
    wanted: Mapping[str, int] = {kind: -(-round(100 * share * count) // 100) for kind, share in _SHOWING.items()}
    chosen: list[Probe] = []
    for kind, least in wanted.items():
        have = sum(probe.shows(kind) for probe in chosen)
        more = [p for p in drawn if p.shows(kind) and not any(p is other for other in chosen)]
        chosen += more[: max(0, min(least - have, count - len(chosen)))]
    rest = [probe for probe in drawn if not any(probe is other for other in chosen)]
    taken = {id(probe) for probe in [*chosen, *rest[: count - len(chosen)]]}
    return tuple(probe for probe in drawn if id(probe) in taken)
