"""The one function that gives an alert, its evidence or a whole world another person's name.

Identity strings only: display name, login, mail, home folder, host names made from the login. A twin replay rests on
it, so `rename` back gives the identical thing wherever the new identity did not occur before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, cast

from .enterprise import Person

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """The strings by which one account can be recognised."""

    name: str
    """Display name, `Alice Smith`."""
    login: str
    mail: str
    home: str
    r"""Name of the home folder: `alice` in `C:\Users\alice` and `/home/alice`."""
    host_stem: str
    """Upper-case part of host names made from the login: `ALICE` in `WS-ALICE`."""

    @classmethod
    def of(cls, person: Person) -> Identity:
        """The identity of a person of the world, by its conventions."""
        return cls(person.name, person.login, person.mail, person.login, person.login.upper())

    @classmethod
    def named(cls, name: str, login: str, domain: str) -> Identity:
        """The identity that a person of that name and login would have at `domain`."""
        return cls(name, login, f"{login}@{domain}", login, login.upper())

    @property
    def first_name(self) -> str:
        """`Alice`."""
        return self.name.split()[0]


def rename(thing: T, old: Identity, new: Identity) -> T:
    """A copy of `thing` with `old` replaced by `new` in every string, keys of mappings included.

    Args:
        thing: A string, dataclass, tuple, list, set or mapping of such; anything else (numbers, times, enum members)
            comes back as it is.
        old: Identity to look for. Matches are word-bounded: `malice` is untouched.
        new: Identity to put in.

    Limits: a family name that stands alone is left, because it may belong to someone else.
    """
    pattern, replacement = _substitution(old, new)
    return cast(T, _renamed(thing, pattern, replacement))


def substitute(thing: T, old: str, new: str) -> T:
    """A copy of `thing` with the word-bounded text `old` replaced by `new` in every string, keys of mappings included.

    For values that are no identity: a host, an address, a command line.
    """
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?P<old>{re.escape(old)})(?![A-Za-z0-9])")
    return cast(T, _renamed(thing, pattern, {"old": new}))


def _renamed(thing: Any, pattern: re.Pattern[str], replacement: Mapping[str, str]) -> Any:
    if isinstance(thing, Enum):
        return thing
    if isinstance(thing, str):
        return pattern.sub(lambda match: replacement[cast(str, match.lastgroup)], thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{f.name: _renamed(getattr(thing, f.name), pattern, replacement) for f in fields(thing)})
    if isinstance(thing, Mapping):
        return {_renamed(k, pattern, replacement): _renamed(v, pattern, replacement) for k, v in thing.items()}
    if isinstance(thing, (tuple, list, set, frozenset)):
        return type(thing)(_renamed(item, pattern, replacement) for item in thing)
    return thing


@lru_cache(maxsize=64)
def _substitution(old: Identity, new: Identity) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """One pattern with a named group per form, and the text for each group. Longer forms come first."""
    forms: list[tuple[str, str, str]] = []  # (text before that must stand there, old form, new form)
    bound = r"(?<![A-Za-z0-9])"
    forms.append((bound, old.name, new.name))
    forms.append((bound, _reversed(old.name), _reversed(new.name)))
    forms.append((bound, old.mail, new.mail))
    forms.append((r"(?<=(?i:\\users\\))", old.home, new.home))
    forms.append((r"(?<=/home/)", old.home, new.home))
    forms.append((r"(?<=/Users/)", old.home, new.home))
    # Host names: the stem follows the dash of a prefix, in either case.
    forms.append((r"(?<=[A-Za-z0-9]-)", old.host_stem, new.host_stem))
    forms.append((r"(?<=[a-z0-9]-)", old.host_stem.lower(), new.host_stem.lower()))
    forms.append((bound, old.login, new.login))
    forms.append((bound, old.first_name, new.first_name))
    parts = [f"(?P<f{i}>{before}{re.escape(text)})" for i, (before, text, _) in enumerate(forms)]
    pattern = re.compile("(?:" + "|".join(parts) + ")(?![A-Za-z0-9])")
    return pattern, {f"f{i}": text for i, (_, _, text) in enumerate(forms)}


def _reversed(name: str) -> str:
    """`Smith, Alice`, as address books have it."""
    first, _, last = name.partition(" ")
    return f"{last}, {first}" if last else name
