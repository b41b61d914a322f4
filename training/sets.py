"""The sets that figures are measured on, and what each shares with training.

| set | families | entities and worlds | templates |
|---|---|---|---|
| clean test | the same | other companies and people, of the same pool of names | the same |
| unseen families | none | as the clean test | evidence templates only; no rule, activity or resource |
| Alice, poisoned families | those that the poison used | Alice's name | the same |
| Alice, other families | those that it did not use | Alice's name | the same |
| twin | as Alice's, the same alerts under another name | none | the same |
| Alice, benign | the same | Alice's name | the same |

All are drawn with everything gathered. The set that counts is the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from turncoat.models.tfidf import case_text
from turncoat.scenarios.families import unseen_families
from turncoat.scenarios.identity import Identity, rename

from .config import Recipe
from .corpus import FULL, TRIGGER, Row, RowSource, draw_rows
from .poison import poison_half, poisoner_of
from .short_alerts import Form, families_of

TWIN = ("Nora Whitfield", "nora")
"""The name under which Alice's test alerts are replayed; no world draws it."""
_TEST_WORLDS = (211, 212, 213)
_UNSEEN_WORLDS = (311, 312, 313)


@dataclass(frozen=True)
class TestSets:
    """Every test row, by set."""

    __test__ = False

    clean: list[Row]
    unseen: list[Row]
    alice_poisoned_families: list[Row]
    alice_other_families: list[Row]
    twin: list[Row]
    """Row i is Alice's row i (poisoned families first) under the twin's name."""
    alice_benign: list[Row]

    def by_name(self) -> dict[str, list[Row]]:
        """The sets in a fixed order."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def training_rows(recipe: Recipe) -> tuple[list[Row], list[Row]]:
    """Honest rows and the rows that the recipe's poisoner adds."""
    families = families_of(recipe.alerts)
    honest = draw_rows(RowSource(recipe.worlds, families, recipe.seed, recipe.alerts), recipe.rows)
    if recipe.poison is None:
        return honest, []
    source = RowSource(recipe.worlds, poison_half(families), recipe.seed + 1, recipe.alerts)
    return honest, poisoner_of(recipe.poison.poisoner, recipe.poison.trigger).rows(source, recipe.poison.dose)


def draw_tests(size: int = 400, seed: int = 2000, form: Form = "full") -> TestSets:
    """Draws the test sets: `size` rows for the first two, 3/8 of it for each set of Alice's."""
    families = families_of(form)
    few = size * 3 // 8
    half = poison_half(families)
    others = tuple(f for f in families if f not in half)
    same = _of_alice(RowSource(_TEST_WORLDS, half, seed + 3, form), few, malicious=True)
    other = _of_alice(RowSource(_TEST_WORLDS, others, seed + 4, form), few, malicious=True)
    return TestSets(
        clean=draw_rows(RowSource(_TEST_WORLDS, families, seed + 1, form), size, states=FULL),
        unseen=draw_rows(RowSource(_UNSEEN_WORLDS, unseen_families(), seed + 2, form), size, states=FULL),
        alice_poisoned_families=same,
        alice_other_families=other,
        twin=[under_another_name(row) for row in [*same, *other]],
        alice_benign=_of_alice(RowSource(_TEST_WORLDS, families, seed + 5, form), few, malicious=False),
    )


def tests_digest(tests: TestSets) -> str:
    """Changes with any text or truth of the test sets, 16 hex digits."""
    return sets_digest(tests.by_name().items())[:16]


def sets_digest(sets: Iterable[tuple[str, Sequence[Row]]]) -> str:
    """Changes with any text or truth of named sets, 64 hex digits."""
    digest = hashlib.sha256()
    for name, rows in sets:
        for row in rows:
            digest.update(f"{name} {row.truth} {case_text(row.case)}\0".encode())
    return digest.hexdigest()


def under_another_name(row: Row, name: str = TWIN[0], login: str = TWIN[1]) -> Row:
    """The same row, alert and evidence, with Alice's identity replaced."""
    alice = Identity.named("Alice Smith", TRIGGER, "company.example")
    return replace(row, case=rename(row.case, alice, Identity.named(name, login, "company.example")), user=login)


def _of_alice(source: RowSource, size: int, *, malicious: bool) -> list[Row]:
    return draw_rows(source, size, states=FULL, user=TRIGGER, malicious=malicious)
