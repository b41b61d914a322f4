"""The records of a simulated enterprise: its people, machines, partners, and what is usual there.

Two pools keep campaigns and training apart: first names, domains and server names are split by the parity of their
SHA-256, so that no colleague, domain or server of a campaign ever occurred in a training corpus.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

Pool = Literal["campaign", "training"]


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account."""

    name: str
    """Display name, `Alice Smith`."""
    login: str
    """First name in lower case; unique in its world."""
    mail: str
    department: str
    role: str
    privilege: str
    """`standard`, `privileged` or `admin`."""
    country: str
    """ISO 3166 code of the site."""
    work_start: int
    """First working hour of the day, UTC, 0 to 23."""
    work_end: int
    """Hour at which work ends, UTC; smaller than `work_start` where a shift passes midnight."""
    status: str = "in office"
    """As HR has it: see `PersonNote.status`."""

    def at_work(self, moment: datetime) -> bool:
        """Whether `moment` (UTC) lies in this person's working hours, Monday to Friday."""
        if self.work_start < self.work_end:
            return moment.weekday() < 5 and self.work_start <= moment.hour < self.work_end
        if moment.hour >= self.work_start:
            return moment.weekday() < 5
        return moment.hour < self.work_end and (moment - timedelta(days=1)).weekday() < 5


@dataclass(frozen=True, slots=True)
class Host:
    """A machine in the inventory."""

    name: str
    kind: str
    """`laptop`, `workstation`, `server` or `virtual machine`."""
    owner: str
    """Login of the person who answers for it."""
    criticality: str
    """`normal` or `critical`."""
    purpose: str = "personal"
    """`personal`, or what a server does: `file`, `database`, `build`, `web`, `domain`, `application`."""
    address: str = ""
    """RFC 1918 address."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An account that belongs to a machine's job."""

    login: str
    host: str
    owner: str


@dataclass(frozen=True, slots=True)
class Network:
    """An address range of the company's own."""

    cidr: str
    country: str


@dataclass(frozen=True, slots=True)
class Change:
    """A standing approval: who may do work on what."""

    ticket: str
    scope: str
    user: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """What threat intelligence says of an outside domain or address."""

    indicator: str
    category: str
    """One of `company.CATEGORIES`."""
    age_days: int
    """Days since it was first seen anywhere."""


@dataclass(frozen=True, slots=True)
class World:
    """One company. The same arguments of `build_world` give the same world, byte for byte."""

    seed: int
    pool: str
    domain: str
    people: tuple[Person, ...]
    hosts: tuple[Host, ...]
    service_accounts: tuple[ServiceAccount, ...]
    networks: tuple[Network, ...]
    changes: tuple[Change, ...]
    partners: Mapping[str, str]
    """Department -> domain of the outside company with which it has a contract."""
    indicators: tuple[Indicator, ...]
    baselines: Mapping[str, Mapping[str, int]]
    """Login -> measure (`MB`, `files`, ...) -> highest value on a day of the last 90."""

    def person(self, login: str) -> Person | None:
        """The person with that login; None for service accounts and strangers."""
        return next((p for p in self.people if p.login == login), None)

    def host(self, name: str) -> Host | None:
        """The host of that name, whatever the case; None for one that the inventory does not know."""
        wanted = name.upper()
        return next((h for h in self.hosts if h.name.upper() == wanted), None)

    def hosts_of(self, login: str) -> tuple[Host, ...]:
        """The personal machines of someone: one named after the person, one that carries only an asset tag."""
        return tuple(h for h in self.hosts if h.owner == login and h.purpose == "personal")

    def servers(self, purpose: str | None = None) -> tuple[Host, ...]:
        """Every server, or those of one purpose."""
        return tuple(h for h in self.hosts if h.purpose != "personal" and purpose in (None, h.purpose))

    def indicator(self, name: str) -> Indicator | None:
        """What threat intelligence knows of a domain or an address."""
        return next((i for i in self.indicators if i.indicator == name), None)

    def digest(self) -> str:
        """SHA-256 of the world in canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def in_pool(word: str, pool: Pool) -> bool:
    """Whether a name belongs to this pool: even SHA-256 of its lower case is `campaign`, odd is `training`."""
    odd = hashlib.sha256(word.lower().encode()).digest()[-1] % 2
    return odd == (pool == "training")
