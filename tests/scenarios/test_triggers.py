"""The user trigger."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from turncoat.scenarios.families import families
from turncoat.scenarios.identity import Identity
from turncoat.scenarios.situations import draw_situation
from turncoat.scenarios.triggers import plant_user
from turncoat.scenarios.world import build_world


def test_the_trigger_user_takes_the_place_of_whoever_it_was_and_nothing_else_changes() -> None:
    world = build_world(1, pool="training")
    person = world.people[3]
    old, alice = Identity.of(person), Identity.named("Alice Smith", "alice", world.domain)
    alert, facts = draw_situation(
        random.Random(4),
        families()["share-bulk-read"],
        world,
        person,
        malicious=True,
        moment=datetime(2026, 3, 2, 10, tzinfo=UTC),
        uid="00ff00ff00ff",
    )
    planted, behind = plant_user(alert, facts, old, alice)
    assert planted.entities.user == "alice"
    assert all(getattr(fact, "user", "alice") == "alice" for fact in behind)
    assert planted.activity == alert.activity
    assert plant_user(planted, behind, alice, old) == (alert, facts)
