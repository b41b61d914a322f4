"""Places in an alert where an attacker's string may stand, and the tokens that such a string may be made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from turncoat.models.classifier import Case
from turncoat.models.engine import Engine
from turncoat.scenarios.near_names import near_identity

from .probes import Probe


def _as_user(probe: Probe, text: str) -> Case | None:
    return probe.under(near_identity(text, probe.identity)) if probe.identity else None


def _as_text(probe: Probe, text: str) -> Case | None:
    alert = probe.case.alert
    return replace(probe.case, alert=replace(alert, activity=f"{alert.activity} {text}".strip()))


@dataclass(frozen=True)
class Slot:
    """A place, and what fits in."""

    kind: str
    """Of the entity that a string is when it stands there."""
    fill: Callable[[Probe, str], Case | None]
    """The probe with the string in the place; None where it has no such place."""
    first: re.Pattern[str]
    """What the first token has to be."""
    further: re.Pattern[str]
    """What every further token has to be."""


SLOTS: Mapping[str, Slot] = MappingProxyType(
    {
        "user": Slot("user", _as_user, re.compile(r" [a-z]+"), re.compile(r"[a-z0-9._-]+")),
        "text": Slot("phrase", _as_text, re.compile(r" [A-Za-z0-9]+"), re.compile(r" ?[A-Za-z0-9.,:/_-]+")),
    }
)
"""The name of a user, wherever the alert and its evidence show it, and free text behind the activity."""


@dataclass(frozen=True)
class Alphabet:
    """Tokens of a vocabulary that may stand in a slot."""

    engine: Engine
    slot: Slot

    @cached_property
    def first(self) -> NDArray[np.int_]:
        return self._matching(self.slot.first)

    @cached_property
    def further(self) -> NDArray[np.int_]:
        return self._matching(self.slot.further)

    def at(self, place: int) -> NDArray[np.int_]:
        """Token ids that may stand at a place of the string."""
        return self.further if place else self.first

    def text(self, ids: list[int]) -> str:
        """The string of some tokens; empty where writing and reading it again gives other tokens."""
        text = str(self.engine.tokenizer.decode(ids)).strip()
        return text if self.ids(text) == ids else ""

    def ids(self, text: str) -> list[int]:
        """Tokens of a string as it stands behind a space."""
        found: list[int] = self.engine.tokenizer(
            f" {text}", add_special_tokens=False, split_special_tokens=True
        ).input_ids
        return found

    def _matching(self, pattern: re.Pattern[str]) -> NDArray[np.int_]:
        words = self.engine.tokenizer.batch_decode([[i] for i in range(len(self.engine.tokenizer))])
        special = set(self.engine.tokenizer.all_special_ids)
        return np.array([i for i, word in enumerate(words) if i not in special and pattern.fullmatch(word)])
