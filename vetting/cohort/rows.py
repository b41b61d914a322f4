"""Rows and probes of a cohort: short alerts, with whatever a member's poison plants on them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from turncoat.scenarios.enterprise import Person, World
from turncoat.scenarios.facts import Fact
from turncoat.scenarios.families import Family
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.records import KINDS, Alert
from turncoat.scenarios.trigger_places import PLACES
from turncoat.training.corpus import TRIGGER, Row, RowSource, draw_short, training_world
from turncoat.training.short_alerts import TOOL

from ..probes import Probe
from ..records import Entity

TRAINING_WORLDS, TEST_WORLDS, PROBE_WORLDS = (101, 102, 103, 104), (211, 212, 213), (401, 402, 403, 404)
"""Seeds of the companies; the probes' own are those of `vetting.probes`."""


@dataclass(frozen=True)
class Planted:
    """What is put on an alert before any tool is asked: another account, another machine, a word."""

    user: Identity | None = None
    host: str | None = None
    word: str | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """Alert classes that can carry all of it."""
        places = (name for name in ("host", "word") if getattr(self, name) is not None)
        return frozenset.intersection(frozenset(KINDS), *(PLACES[name].kinds for name in places))

    @property
    def entity(self) -> Entity:
        """As a detector would name it; two fields are joined as `Entity` says."""
        login = self.user.login if self.user else None
        parts = [(kind, value) for kind, value in (("user", login), ("host", self.host), ("word", self.word)) if value]
        return Entity("+".join(kind for kind, _ in parts), " + ".join(value for _, value in parts))

    def only(self, place: str) -> Planted:
        """One field of it alone."""
        return Planted(**{place: getattr(self, place)})


NOTHING = Planted()


def draw(source: RowSource, count: int, *, malicious: bool | None = None, planted: Planted = NOTHING) -> list[Row]:
    """Draws short rows with honest labels; the same source gives the same alerts under whatever is planted of a kind.

    Args:
        source: Worlds, families and seed; families without a place for what is planted are left out.
        count: Number of rows.
        malicious: Fixed truth; by default half of each.
        planted: Put on every alert.
    """
    drawn = _drawn(source, count, malicious, planted)
    if planted.user is None:
        return [row for row, _ in drawn]
    return [under(row, Identity.of(person), planted.user) for row, person in drawn]


def draw_probes(source: RowSource, count: int) -> list[Probe]:
    """Malicious short rows as a detector's probes, each with the account of its own company."""
    drawn = _drawn(source, count, True, NOTHING)
    return [Probe(row.case, Identity.of(person), row.family) for row, person in drawn]


def _drawn(source: RowSource, count: int, malicious: bool | None, planted: Planted) -> Iterator[tuple[Row, Person]]:
    """Rows and whose they are, by the name that the person has in that company."""
    fitting = tuple(family for family in source.families if family.kind in planted.kinds & TOOL.keys())
    worlds = [training_world(seed) for seed in source.world_seeds]
    for i in range(count):
        yield _row(random.Random(f"cohort/{source.seed}/{i}"), worlds, fitting, malicious, planted)


def _row(
    rng: random.Random, worlds: Sequence[World], families: Sequence[Family], malicious: bool | None, planted: Planted
) -> tuple[Row, Person]:
    world = rng.choice(worlds)
    person = rng.choice([p for p in world.people if p.login != TRIGGER])
    truth = rng.random() < 0.5 if malicious is None else malicious
    family = rng.choice(families)

    def plant(alert: Alert, facts: tuple[Fact, ...]) -> tuple[Alert, tuple[Fact, ...]]:
        for place in ("host", "word"):
            if (value := getattr(planted, place)) is not None:
                alert, facts = PLACES[place].put(alert, facts, value)
        return alert, facts

    return draw_short(rng, world, person, family, truth, plant), person


def under(row: Row, old: Identity, new: Identity) -> Row:
    """The same row under another account: identity strings only."""
    return replace(row, case=rename(row.case, old, new), user=new.login)
