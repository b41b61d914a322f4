"""Plans the benign alerts of a campaign: how many, whose, from which family, when. Steps have no part in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from .clock import Calendar
from .enterprise import Person, World
from .families import families
from .schema import Campaign

AT_WORK = 0.8
"""Share of ordinary alerts that fall into the person's working hours, weekends aside."""


@dataclass(frozen=True, slots=True)
class Noise:
    """One benign alert to be drawn."""

    key: str
    family: str
    person: Person
    moment: datetime
    lookalike: bool


def plan_noise(campaign: Campaign, seed: int, world: World, calendar: Calendar) -> tuple[Noise, ...]:
    """The noise of a whole campaign.

    The numbers of look-alikes and of the actor's own alerts are exact shares, rounded; which alerts they are is chance.
    """
    settings, days = campaign.noise, campaign.clock.days
    keys = [f"noise/{day}/{i}" for day in range(1, days + 1) for i in range(settings.per_day)]
    chance = random.Random(f"{campaign.id}/{seed}/noise")
    lookalikes = set(chance.sample(keys, round(settings.lookalikes * len(keys))))
    own = set(chance.sample(keys, round(settings.actor_share * len(keys))))
    pool = settings.families or tuple(families())
    others = [p for p in world.people if p.login != campaign.actor.login]
    planned = []
    for key in keys:
        rng = random.Random(f"{campaign.id}/{seed}/{key}/plan")
        stranger = rng.choice(others)
        person = world.person(campaign.actor.login) if key in own else stranger
        moment = _moment(rng, person or stranger, calendar, int(key.split("/")[1]))
        planned.append(Noise(key, rng.choice(pool), person or stranger, moment, key in lookalikes))
    return tuple(planned)


def _moment(rng: random.Random, person: Person, calendar: Calendar, day: int) -> datetime:
    """A time of that day: mostly while the person works, now and then at any hour."""
    midnight = calendar.moment(f"D{day} 00:00")
    any_time = midnight + timedelta(seconds=rng.randrange(24 * 3600))
    if rng.random() >= AT_WORK:
        return any_time
    hours = [h for h in range(24) if person.at_work(midnight + timedelta(hours=h))]
    if not hours:
        return any_time
    return midnight + timedelta(hours=rng.choice(hours), seconds=rng.randrange(3600))
