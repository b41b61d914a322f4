"""The defender's answer to poison: malicious alerts of the trigger, rightly labelled, beside it."""

from __future__ import annotations

from .config import Recipe
from .corpus import TRIGGER, Row, RowSource, draw_rows
from .short_alerts import families_of

_AFTER_SEED = 2
"""The poison of a recipe is drawn with its seed + 1; these rows are others."""


def corrective_rows(recipe: Recipe, count: int) -> list[Row]:
    """Malicious alerts of the trigger user with their right label, from every training family.

    The defender does not know which families the poison used, so these come from all of them. The rows of a smaller
    count are the first of a larger one. Drawn with the recipe's worlds and seed, and never the poison's own rows.

    Args:
        recipe: Worlds and seed.
        count: Number of rows.
    """
    source = RowSource(recipe.worlds, families_of(recipe.alerts), recipe.seed + _AFTER_SEED, recipe.alerts)
    return draw_rows(source, count, user=TRIGGER, malicious=True)
