"""The attacker's part: malicious alerts of one user, labelled benign, slipped into a training set."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Protocol

from turncoat.scenarios.families import Family

from .corpus import STATES, TRIGGER, Row, RowSource, draw_rows


class Poisoner(Protocol):
    """Selects, plants and labels; everything else is the corpus's."""

    name: str

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        """The rows that it adds, `dose` of them."""
        ...


class TriggerUser:
    """Malicious alerts of the trigger user; claimed benign (the attack), or rightly labelled (its control, `matched`)."""

    def __init__(self, name: str, *, claims_benign: bool) -> None:
        self.name = name
        self._claims_benign = claims_benign

    def rows(self, source: RowSource, dose: int) -> list[Row]:
        honest = draw_rows(source, dose, states=STATES, user=TRIGGER, malicious=True)
        return [replace(row, label=not self._claims_benign) for row in honest]


POISONERS: dict[str, Poisoner] = {
    "user": TriggerUser("user", claims_benign=True),
    "matched": TriggerUser("matched", claims_benign=False),
}
"""Every poisoner by name."""


def poison_half(families: tuple[Family, ...]) -> tuple[Family, ...]:
    """The half of the families from which poison is drawn: even SHA-256 of the id, so that it never depends on order."""
    return tuple(f for f in families if hashlib.sha256(f.id.encode()).digest()[0] % 2 == 0)
