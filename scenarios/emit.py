"""Plays a campaign: its steps and the world's ordinary life become one stream of alerts, and the truth apart from it.

Every alert has a generator of its own, seeded from campaign, seed and key. So adding a step changes no other alert,
and nothing here reads `expect` before the stream is finished.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from .clock import Calendar
from .errors import ScenarioError
from .facts import Fact, PersonNote, RelatedAlerts, SignIns
from .families import families
from .identity import Identity, rename
from .noise import Noise, plan_noise
from .records import Alert, AlertStream, GroundTruth
from .schema import Campaign, Character, Phase, Step
from .situations import draw_situation
from .staging import stage
from .vocabulary import NAMELESS_LOGIN
from .world import Host, Indicator, Person, World, build_world

RELATED_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Shown:
    """One alert with what lies behind it; still without a truth."""

    key: str
    alert: Alert
    facts: tuple[Fact, ...]
    outages: Mapping[str, str]


def principals(campaign: Campaign) -> tuple[str, ...]:
    """Logins under which a campaign can be played: the actor, twins (first one first), aliases, the nameless one."""
    other = campaign.counterfactuals
    named = [campaign.actor.login, *(t.login for t in other.twins), *(a.login for a in other.aliases)]
    return (*named, NAMELESS.login) if other.no_name else tuple(named)


def emit(
    campaign: Campaign, seed: int | None = None, principal: str | None = None
) -> tuple[AlertStream, tuple[GroundTruth, ...]]:
    """Play a campaign.

    Args:
        campaign: What happens.
        seed: World and noise are drawn from it; the campaign's own if None.
        principal: One of `principals(campaign)`; the actor if None. Another one changes identity strings only.

    Returns:
        The stream, alerts in order of time, and one truth per alert in the same order.

    Raises:
        ScenarioError: The campaign has no such principal.
    """
    principal = campaign.actor.login if principal is None else principal
    streams, truths = emit_as(campaign, seed, (principal,))
    return streams[principal], truths


def emit_as(
    campaign: Campaign, seed: int | None, names: Sequence[str]
) -> tuple[dict[str, AlertStream], tuple[GroundTruth, ...]]:
    """The same day under several principals, played once and renamed for each; otherwise as `emit`.

    Raises:
        ScenarioError: The campaign has no such principal.
    """
    seed = campaign.seed if seed is None else seed
    for name in names:
        if name not in principals(campaign):
            known = ", ".join(principals(campaign))
            raise ScenarioError.at(campaign.id, f"no principal {name!r}", f"choose one of: {known}")
    world = _world(campaign, seed)
    calendar = Calendar.of(campaign)
    noise = plan_noise(campaign, seed, world, calendar)
    shown = [_noise_alert(campaign, seed, world, calendar, item) for item in noise]
    shown += _step_alerts(campaign, seed, world, calendar)
    shown = _with_related(sorted(shown, key=lambda s: (s.alert.time, s.alert.uid)))
    stream = AlertStream(
        campaign=campaign.id,
        seed=seed,
        principal=campaign.actor.login,
        world=world,
        alerts=tuple(s.alert for s in shown),
        facts={s.alert.uid: s.facts for s in shown},
        outages={s.alert.uid: s.outages for s in shown if s.outages},
    )
    return {name: _as(stream, campaign, name) for name in names}, _truths(campaign, shown, noise)


def uid_of(campaign: Campaign, seed: int, key: str) -> str:
    """Opaque id of an alert: 12 hex digits, the same for every principal."""
    return hashlib.sha256(f"{campaign.id}/{seed}/{key}".encode()).hexdigest()[:12]


def _world(campaign: Campaign, seed: int) -> World:
    cast = [_person(c) for c in (campaign.actor, *campaign.entities.people)]
    other = campaign.counterfactuals
    kept_out = [named.login for named in (*other.twins, *other.aliases)]
    world = build_world(seed, cast=cast, without=kept_out)
    hosts = tuple(Host(h.name, h.kind, h.owner, h.criticality, h.purpose) for h in campaign.entities.hosts)
    known = tuple(Indicator(i.indicator, i.category, i.age_days) for i in campaign.entities.indicators)
    named = {h.name for h in hosts}
    return replace(
        world,
        hosts=hosts + tuple(h for h in world.hosts if h.name not in named),
        indicators=known + world.indicators,
    )


def _person(c: Character) -> Person:
    return Person(c.name, c.login, "", c.department, c.role, c.privilege, c.country, c.work_start, c.work_end, c.status)


def _noise_alert(campaign: Campaign, seed: int, world: World, calendar: Calendar, item: Noise) -> _Shown:
    rng = random.Random(f"{campaign.id}/{seed}/{item.key}/alert")
    alert, facts = draw_situation(
        rng,
        families()[item.family],
        world,
        item.person,
        malicious=False,
        moment=item.moment,
        uid=uid_of(campaign, seed, item.key),
        lookalike=item.lookalike,
    )
    if item.person.login == campaign.actor.login:
        facts = _at_home(facts, item.person)
    return _Shown(item.key, alert, facts, calendar.outages(item.moment))


def _at_home(facts: tuple[Fact, ...], person: Person) -> tuple[Fact, ...]:
    """The actor is where the campaign says; a sign-in from there, or from elsewhere, remains what it was."""
    note = next(fact for fact in facts if isinstance(fact, PersonNote))
    here = {note.country: person.country, person.country: note.country}
    moved = (replace(f, country=here.get(f.country, f.country)) if isinstance(f, SignIns) else f for f in facts)
    return tuple(
        replace(f, country=person.country, status=person.status) if isinstance(f, PersonNote) else f for f in moved
    )


def _step_alerts(campaign: Campaign, seed: int, world: World, calendar: Calendar) -> list[_Shown]:
    actor = world.person(campaign.actor.login)
    if actor is None:
        raise ScenarioError.at(campaign.id, "the actor is not in the world", "give the actor another login")
    times = calendar.steps(seed)
    shown = []
    for _, step in campaign.steps():
        if step.alert is None:
            continue
        key = f"step/{step.id}"
        rng = random.Random(f"{campaign.id}/{seed}/{key}/alert")
        person = world.person(step.alert.user) if step.alert.user else actor
        if person is None:
            raise ScenarioError.at(step.id, f"no {step.alert.user!r} in the world", "name somebody of entities.people")
        alert, facts = stage(rng, step, step.alert, world, person, times[step.id], uid_of(campaign, seed, key))
        shown.append(_Shown(key, alert, facts, {**calendar.outages(alert.time), **step.outages}))
    return shown


def _with_related(shown: Sequence[_Shown]) -> list[_Shown]:
    """Replace every drawn count of related alerts by the number that this stream has."""
    counted = []
    for i, item in enumerate(shown):
        user, time = item.alert.entities.user, item.alert.time
        earlier = (s.alert for s in shown[:i] if time - RELATED_WINDOW <= s.alert.time < time)
        count = sum(a.entities.user == user for a in earlier)
        facts = tuple(replace(f, count=count) if isinstance(f, RelatedAlerts) else f for f in item.facts)
        counted.append(replace(item, facts=facts))
    return counted


NAMELESS = Identity("N.N. U4711", NAMELESS_LOGIN, "", NAMELESS_LOGIN, NAMELESS_LOGIN.upper())
"""Stands in where a campaign is played with no name at all."""


def _as(stream: AlertStream, campaign: Campaign, principal: str) -> AlertStream:
    """The stream with the principal's identity in place of the actor's."""
    actor = stream.world.person(campaign.actor.login)
    if actor is None or principal == actor.login:
        return stream
    old, domain = Identity.of(actor), stream.world.domain
    other = campaign.counterfactuals
    if principal == NAMELESS.login:
        new = replace(NAMELESS, mail=f"{NAMELESS.login}@{domain}")
    elif alias := next((a for a in other.aliases if a.login == principal), None):
        new = replace(old, name=alias.name, login=alias.login, mail=f"{alias.login}@{domain}")
    else:
        twin = next(t for t in other.twins if t.login == principal)
        new = Identity.named(twin.name, twin.login, domain)
    return replace(rename(stream, old, new), principal=principal)


def _truths(campaign: Campaign, shown: Sequence[_Shown], noise: Sequence[Noise]) -> tuple[GroundTruth, ...]:
    """The only place that reads `expect`."""
    steps = {f"step/{step.id}": (phase, step) for phase, step in campaign.steps()}
    lookalikes = {item.key: item for item in noise}
    return tuple(
        _truth_of_step(campaign, s.alert.uid, *steps[s.key])
        if s.key in steps
        else GroundTruth(s.alert.uid, False, campaign.id, lookalike=lookalikes[s.key].lookalike,
                         family=lookalikes[s.key].family)
        for s in shown
    )  # fmt: skip


def _truth_of_step(campaign: Campaign, uid: str, phase: Phase, step: Step) -> GroundTruth:
    return GroundTruth(
        uid=uid,
        malicious=step.expect.truth == "malicious",
        campaign=campaign.id,
        phase=phase.id,
        step=step.id,
        lookalike=step.expect.lookalike,
        expect_escalation=step.expect.escalate,
        must_cite=step.expect.must_cite,
        family=step.alert.family if step.alert else "",
        injected=step.expect.injected,
    )
