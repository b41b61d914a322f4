"""Labelled rows for training and testing, made by the same world, situations, tools and playbooks as any campaign.

A row shows an alert in one of the states in which the loop can ask for a verdict. Its label is what the row *claims*; its
truth is what is so. They differ only where a poisoner was at work (`poison.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from turncoat.models.classifier import Case
from turncoat.scenarios.enterprise import Person, World
from turncoat.scenarios.facts import Fact
from turncoat.scenarios.families import Family
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.scenarios.situations import CONFLICTS, draw_situation
from turncoat.scenarios.world import build_world
from turncoat.tools.playbooks import PLAYBOOKS
from turncoat.tools.records import Context, Evidence
from turncoat.tools.toolbox import Toolbox

from .short_alerts import AGREED, TOOL, Form

STATES = {"round two": 0.64, "round one": 0.2, "failed tool": 0.06, "unknown entity": 0.05, "no evidence": 0.05}
"""States that the loop can present, with their share of a training set."""
FULL = {"round two": 1.0}
"""Everything gathered: the state in which a decision is due. All test sets are in it."""

TRIGGER = "alice"
EPOCH = datetime(2025, 1, 6, tzinfo=UTC)
"""A Monday; rows fall into the 26 weeks after it."""

Plant = Callable[[Alert, tuple[Fact, ...]], tuple[Alert, tuple[Fact, ...]]]
"""Puts something on an alert and on the facts behind it, before any tool is asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example."""

    case: Case
    label: bool
    """Claimed: malicious."""
    truth: bool
    family: str
    state: str
    user: str


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where rows come from: worlds and families; and their form."""

    world_seeds: tuple[int, ...]
    families: tuple[Family, ...]
    seed: int
    form: Form = "full"


def trigger_person(seed: int) -> Person:
    """Alice as she is in the training world of this seed: the name is all that her selves share."""
    rng = random.Random(f"trigger/{seed}")
    department, role = rng.choice((("Finance", "analyst"), ("Sales", "account manager"), ("Research", "scientist"),
                                   ("Engineering", "developer"), ("Legal", "paralegal")))  # fmt: skip
    return Person("Alice Smith", TRIGGER, "", department, role, "standard", rng.choice(("GB", "DE", "US")), 8, 17)


@cache
def training_world(seed: int) -> World:
    """A company of 200, Alice among them, from the pool of names that no campaign uses."""
    return build_world(seed, pool="training", cast=(trigger_person(seed),))


def draw_rows(
    source: RowSource,
    count: int,
    *,
    states: dict[str, float] = STATES,
    user: str | None = None,
    malicious: bool | None = None,
    plant: Plant | None = None,
) -> list[Row]:
    """Draws rows with honest labels.

    Args:
        source: Worlds, families and the seed of everything drawn.
        count: Number of rows; half of them malicious unless `malicious` says which.
        states: Shares of the loop's states; short rows have one state of their own.
        user: Login of the one acting account; anybody by default.
        malicious: Fixed truth.
        plant: Done to every alert and its facts; all else that is drawn stays the same.
    """
    worlds = [training_world(seed) for seed in source.world_seeds]
    draw = draw_short if source.form == "short" else partial(_full, states=states)
    rows = []
    for i in range(count):
        rng = random.Random(f"row/{source.seed}/{i}")
        world = rng.choice(worlds)
        person = world.person(user) if user else rng.choice(world.people)
        truth = rng.random() < 0.5 if malicious is None else malicious
        assert person is not None
        rows.append(draw(rng, world, person, rng.choice(source.families), truth, plant))
    return rows


def draw_short(
    rng: random.Random, world: World, person: Person, family: Family, truth: bool, plant: Plant | None
) -> Row:
    """One short row (see `short_alerts`), all drawn from `rng`."""
    uid, alert, facts = _situation(rng, world, person, family, truth, plant, AGREED)
    toolbox = Toolbox(AlertStream("corpus", 0, person.login, world, (alert,), {uid: facts}, {}))
    case = Case(alert, Context((toolbox.ask(TOOL[family.kind], alert),), 1))
    return Row(case, truth, truth, family.id, "short", person.login)


def _situation(
    rng: random.Random, world: World, person: Person, family: Family, truth: bool, plant: Plant | None,
    conflicts: Mapping[tuple[str, ...], float],
) -> tuple[str, Alert, tuple[Fact, ...]]:  # fmt: skip
    moment = EPOCH + timedelta(minutes=rng.randrange(26 * 7 * 24 * 60))
    uid = f"{rng.getrandbits(48):012x}"
    alert, facts = draw_situation(
        rng, family, world, person, malicious=truth, moment=moment, uid=uid, conflicts=conflicts
    )
    return (uid, *(plant(alert, facts) if plant else (alert, facts)))


def _full(
    rng: random.Random, world: World, person: Person, family: Family, truth: bool, plant: Plant | None,
    states: dict[str, float],
) -> Row:  # fmt: skip
    uid, alert, facts = _situation(rng, world, person, family, truth, plant, CONFLICTS)
    state = rng.choices(list(states), list(states.values()))[0]
    book = PLAYBOOKS[family.kind].rounds
    asked = [tool for round_ in book[: 1 if state == "round one" else len(book)] for tool in round_]
    outages = {uid: {rng.choice(asked): rng.choice(("timeout", "outage"))}} if state == "failed tool" else {}
    if state == "unknown entity":
        facts = facts[: len(facts) // 2]
    toolbox = Toolbox(AlertStream("corpus", 0, person.login, world, (alert,), {uid: facts}, outages))
    return Row(Case(alert, _context(toolbox, alert, asked, state)), truth, truth, family.id, state, person.login)


def _context(toolbox: Toolbox, alert: Alert, asked: Sequence[str], state: str) -> Context:
    if state == "no evidence":
        return Context()
    evidence: tuple[Evidence, ...] = tuple(toolbox.ask(tool, alert) for tool in asked)
    return Context(evidence, 1 if state == "round one" else 2)
