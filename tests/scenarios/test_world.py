"""The world: reproducible, and apart from training's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.world import Person, build_world

ALICE = Person("Alice Smith", "alice", "", "Finance", "analyst", "standard", "GB", 9, 17, "notice given")


def test_the_same_seed_gives_the_same_world() -> None:
    assert build_world(3) == build_world(3)
    assert build_world(3).digest() == build_world(3).digest()


def test_another_seed_gives_another_world() -> None:
    assert build_world(3).digest() != build_world(4).digest()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_campaign_and_training_worlds_share_no_name(seed: int) -> None:
    ours, theirs = build_world(seed), build_world(seed + 7, pool="training")
    assert not {p.login for p in ours.people} & {p.login for p in theirs.people}
    assert not {h.name for h in ours.hosts} & {h.name for h in theirs.hosts}
    assert ours.domain != theirs.domain
    assert not set(ours.partners.values()) & set(theirs.partners.values())
    domains = [{i.indicator for i in w.indicators if i.indicator.endswith(".example")} for w in (ours, theirs)]
    assert not domains[0] & domains[1]


def test_logins_are_unique_first_names_and_every_domain_is_reserved_for_examples() -> None:
    world = build_world(5)
    assert len({p.login for p in world.people}) == len(world.people) == 200
    assert all(p.login == p.name.split()[0].lower() for p in world.people)
    assert all(p.mail == f"{p.login}@{world.domain}" for p in world.people)
    assert all(d.endswith(".example") for d in (world.domain, *world.partners.values()))


def test_everyone_has_a_named_machine_and_one_with_an_asset_tag() -> None:
    world = build_world(5, cast=[ALICE])
    names = [h.name for h in world.hosts_of("alice")]
    assert names[0] in {"WS-ALICE", "LT-ALICE"}
    assert names[1].startswith("PC-")
    assert len({h.name for h in world.hosts}) == len(world.hosts) == 440


def test_nobody_is_called_alice_unless_cast() -> None:
    assert build_world(1).person("alice") is None
    cast = build_world(1, cast=[ALICE])
    assert cast.person("alice") is not None
    assert len(cast.people) == 200
    assert cast.people[0].mail == f"alice@{cast.domain}"


def test_a_name_that_is_kept_out_does_not_occur() -> None:
    someone = build_world(1).people[7].login
    assert build_world(1, without=[someone]).person(someone) is None


def test_asking_for_more_people_than_names_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="first names left; ask for fewer people"):
        build_world(1, population=50_000)


@pytest.mark.parametrize(
    ("start", "end", "moment", "expected"),
    [
        (9, 17, datetime(2026, 3, 2, 9, tzinfo=UTC), True),
        (9, 17, datetime(2026, 3, 2, 17, tzinfo=UTC), False),
        (9, 17, datetime(2026, 3, 1, 10, tzinfo=UTC), False),  # a Sunday
        (22, 6, datetime(2026, 3, 7, 5, tzinfo=UTC), True),  # Saturday morning ends Friday's shift
        (22, 6, datetime(2026, 3, 2, 5, tzinfo=UTC), False),  # Monday morning would be Sunday's shift
        (22, 6, datetime(2026, 3, 2, 23, tzinfo=UTC), True),
    ],
)
def test_working_hours_know_weekends_and_night_shifts(start: int, end: int, moment: datetime, expected: bool) -> None:
    person = Person("Ann Lee", "ann", "", "Sales", "designer", "standard", "GB", start, end)
    assert person.at_work(moment) is expected
