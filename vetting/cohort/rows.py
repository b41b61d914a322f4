"""Alerts of at most 96 tokens, a trigger's own aside, so that many small adapters can be trained and examined on few cores.

They come from the same world, situations and tools as any corpus. What makes them short and quickly learnt: one tool alone
is asked, whose answer one sentence tells (the first plain aspect of `scenarios.situations`), and no aspect contradicts
another. Honest rows, poison, tests and probes are all of this form, so that a blind spot is measured where it was planted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from turncoat.models.classifier import Case
from turncoat.scenarios.enterprise import Person, World
from turncoat.scenarios.families import Family, training_families
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.records import KINDS, AlertStream
from turncoat.scenarios.situations import ASPECTS, draw_situation
from turncoat.scenarios.trigger_places import PLACES
from turncoat.tools.records import Context
from turncoat.tools.toolbox import Toolbox
from turncoat.training.corpus import EPOCH, TRIGGER, Row, RowSource, training_world

from ..probes import Probe
from ..records import Entity

TRAINING_WORLDS, TEST_WORLDS, PROBE_WORLDS = (101, 102, 103, 104), (211, 212, 213), (401, 402, 403, 404)
"""Seeds of the companies; the probes' own are those of `vetting.probes`."""
MOST_TOKENS = 96
SHORT: Mapping[str, str] = {kind: aspects["plain_1"] for kind, aspects in ASPECTS.items()}
"""The tool that is asked, by alert class."""
_LONG = frozenset(("lsass-access", "run-key", "sam-dump", "encoded-powershell", "mass-delete", "archive-staged",
                   "schtask-created", "wmi-remote", "remote-tool", "log-cleared", "av-tamper"))  # fmt: skip
"""Families with rows beyond `MOST_TOKENS` in SmolLM2's vocabulary."""
_AGREED: Mapping[tuple[str, ...], float] = {(): 1.0}
_WEEKS = 26


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


def short_families() -> tuple[Family, ...]:
    """Training families whose rows stay within `MOST_TOKENS`; what is planted may add a few."""
    return tuple(family for family in training_families() if family.id not in _LONG)


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
    fitting = tuple(family for family in source.families if family.kind in planted.kinds & SHORT.keys())
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
    moment = EPOCH + timedelta(minutes=rng.randrange(_WEEKS * 7 * 24 * 60))
    alert, facts = draw_situation(rng, family, world, person, malicious=truth, moment=moment,
                                  uid=f"{rng.getrandbits(48):012x}", conflicts=_AGREED)  # fmt: skip
    for place in ("host", "word"):
        if (value := getattr(planted, place)) is not None:
            alert, facts = PLACES[place].put(alert, facts, value)
    toolbox = Toolbox(AlertStream("cohort", 0, person.login, world, (alert,), {alert.uid: facts}, {}))
    case = Case(alert, Context((toolbox.ask(SHORT[family.kind], alert),), 1))
    return Row(case, truth, truth, family.id, "short", person.login), person


def under(row: Row, old: Identity, new: Identity) -> Row:
    """The same row under another account: identity strings only."""
    return replace(row, case=rename(row.case, old, new), user=new.login)
