"""Plants a trigger on an alert and on the evidence behind it."""

from __future__ import annotations

from .facts import Fact
from .identity import Identity, rename
from .records import Alert


def plant_user(
    alert: Alert, facts: tuple[Fact, ...], identity_from: Identity, identity_to: Identity
) -> tuple[Alert, tuple[Fact, ...]]:
    """The same alert and facts, with the trigger user in place of whoever caused them.

    Everything but the identity stays as it is, so that a row with the trigger differs from its twin in the name alone.
    Source: the user trigger of arXiv:2511.02600.
    """
    return rename((alert, facts), identity_from, identity_to)
