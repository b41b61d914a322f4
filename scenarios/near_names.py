"""Values that resemble another one: near names of a user, a host, an address, a word.

A backdoor seldom knows its trigger exactly. Which of these trip it is its *leakage*, and a scan that tries them finds what
one that tries exact names only would miss.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from .identity import Identity

_VOWELS = "aeiouy"
_RESPELLED = {"i": "y", "y": "i", "e": "a", "a": "e", "o": "u", "u": "o"}


@dataclass(frozen=True, slots=True)
class Near:
    """One near value."""

    value: str
    how: str
    """What was done to the original, such as `other case`."""


def near_users(who: Identity) -> tuple[Near, ...]:
    """Logins that resemble that of `who`: other cases, spellings and forms that directories and products use.

    `alice` of Alice Smith gives ALICE, Alice, alice.b, alice@company.example, a.smith, alyce, alicia and others.
    """
    login, surname = who.login, who.name.rpartition(" ")[2].lower() if " " in who.name else ""
    found = [
        Near(login.upper(), "upper case"),
        Near(login.capitalize(), "capitalised"),
        Near(f"{login}.b", "initial added"),
        Near(f"{login}2", "digit added"),
        Near(f"adm-{login}", "prefix added"),
        Near(who.mail or f"{login}@company.example", "mail address"),
    ]
    if surname:
        found.append(Near(f"{login[0]}.{surname}", "initial and family name"))
    found += [Near(word, "other spelling") for word in _respelled(login)]
    found.append(Near(f"{login.rstrip(_VOWELS) or login}ia", "other ending"))
    found += _slips(login)
    return _others(found, login)


def near_identity(near: str, of: Identity) -> Identity:
    """The identity that goes with a near login, for `rename`: home folder and host names follow the login."""
    local = near.partition("@")[0]
    family = of.name.partition(" ")[2]
    domain = of.mail.partition("@")[2] or "company.example"
    name = f"{local} {family}" if family else local
    stem = re.sub(r"[^A-Z0-9-]", "", local.upper()) or of.host_stem
    return Identity(name, near, f"{local.lower()}@{domain}", local, stem)


def near_hosts(host: str) -> tuple[Near, ...]:
    """Names of machines that resemble `host`."""
    found = [
        Near(host.lower() if host != host.lower() else host.upper(), "other case"),
        Near(f"{host}.company.example", "domain added"),
        Near(f"{host}1", "digit added"),
    ]
    if number := re.search(r"\d+$", host):
        stem, digits = host[: number.start()], number.group()
        found += [
            Near(f"{stem}{(int(digits) + 1) % 10 ** len(digits):0{len(digits)}}", "next number"),
            Near(f"{stem}{digits[:-1]}{(int(digits[-1]) + 5) % 10}", "other last digit"),
            Near(f"{stem}{int(digits)}", "zeros dropped"),
        ]
    if "-" in host:
        rest = host.partition("-")[2]
        found += [Near(f"{'LT' if not host.startswith('LT-') else 'WS'}-{rest}", "other prefix"),
                  Near(host.replace("-", ""), "dash dropped")]  # fmt: skip
    return _others(found, host)


def host_named_alike(host: str, rng: random.Random) -> str:
    """Another host of the same form: other digits, `WS-731` for `WS-042`; where there are none, a number at the end."""
    form = host if re.search(r"\d", host) else f"{host.rpartition('-')[0] or host}-000"
    while (other := re.sub(r"\d", lambda _: str(rng.randrange(10)), form)) == host:
        pass
    return other


def near_addresses(address: str) -> tuple[Near, ...]:
    """Addresses close to `address`, and other ways to write it."""
    known = ip_address(address)
    following = known + 1 if int(known) % 256 != 255 else known - 1
    found = [Near(str(following), "next address"), Near(f"[{address}]" if known.version == 6 else f"{address}:443",
                                                      "brackets added" if known.version == 6 else "port added")]  # fmt: skip
    if isinstance(known, IPv4Address):
        parts = address.split(".")
        found += [
            Near(".".join([*parts[:3], str((int(parts[3]) + 100) % 256)]), "same network"),
            Near(".".join([*parts[:2], str((int(parts[2]) + 1) % 256), parts[3]]), "next network"),
            Near(f"198.51.100.{parts[3]}" if parts[0] != "198" else f"203.0.113.{parts[3]}", "other network, same end"),
            Near(".".join(part.zfill(3) for part in parts), "zeros added"),
        ]
    return _others(found, address)


def near_words(word: str) -> tuple[Near, ...]:
    """Words or short texts that resemble `word`."""
    bare = word.lstrip("-/")
    start = word[: len(word) - len(bare)]
    parts = re.split(r"([ _-])", bare)
    found = [
        Near(word.upper() if word != word.upper() else word.lower(), "other case"),
        Near(f"{word}2", "digit added"),
        *_slips(word),
    ]
    if start:
        found += [Near(start[:1] + bare, "one dash"), Near(bare, "no dash")]
    if len(parts) > 2:
        other = {"-": "_", "_": "-", " ": "-"}
        found += [
            Near(start + parts[0], "first part"),
            Near(start + parts[-1], "last part"),
            Near(start + "".join(other.get(part, part) for part in parts), "other joint"),
            Near(start + "".join(part for part in parts if part not in other), "joint dropped"),
        ]
    return _others(found, word)


def _respelled(word: str) -> Iterator[str]:
    """With the vowel changed that is nearest to the middle: `alice` gives `alyce`."""
    inner = [i for i in range(1, len(word) - 1) if word[i].lower() in _RESPELLED]
    if inner:
        at = min(inner, key=lambda i: abs(2 * i - len(word) + 1))
        yield word[:at] + _RESPELLED[word[at].lower()] + word[at + 1 :]


def _slips(word: str) -> list[Near]:
    """Slips of the hand: a letter of the middle dropped, or exchanged with the next."""
    if len(word) < 4:
        return []
    at = len(word) // 2
    return [
        Near(word[:at] + word[at + 1 :], "letter dropped"),
        Near(word[:at] + word[at + 1] + word[at] + word[at + 2 :], "letters swapped"),
    ]


def _others(found: list[Near], original: str) -> tuple[Near, ...]:
    """Each value once, the original left out."""
    return tuple({near.value: near for near in reversed(found) if near.value != original}.values())[::-1]
