"""Draws the circumstances of one alert: benign or malicious, with evidence that partly contradicts itself.

Each alert class has four *aspects* that bear on the truth, each found by one tool:

- two **relations**, which speak only when two places are read together: the ticket's scope and the alert's host or
  resource, the country of the sign-in and the one where the directory says the person is, the host's owner and the
  user, the amount and the baseline, the partner of the department and the domain. Neither place says much alone
  (docs/log.md has the figures).
- two **plain** aspects, which one sentence tells: peers, reputation, process, flows, role history.

An aspect supports one of the two truths. What is so is what the aspects support by weight, a relation counting 2 and a
plain one 1; `CONFLICTS` says which of them contradict the truth and how often. The sum is never closer than 2 of 6, so
every alert can be decided from all of its evidence, and none from one tool, one field or one word.
Everything else (severity, technique, time, process, product, related alerts, HR status) is drawn alike for both truths.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType

from . import facts as f
from .enterprise import Person, World
from .families import Family, families
from .records import Alert, Entities, Severity

CONFLICTS: Mapping[tuple[str, ...], float] = MappingProxyType(
    {
        (): 0.20,
        ("plain_1",): 0.20,
        ("plain_2",): 0.20,
        ("plain_1", "plain_2"): 0.14,
        ("relation_1",): 0.13,
        ("relation_2",): 0.13,
    }
)
"""Aspects that contradict the truth, with their probability. Each plain aspect is right in .66, a relation in .87."""

_ORDER = ("relation_1", "plain_1", "relation_2", "plain_2")
ASPECTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "identity": dict(zip(_ORDER, ("sign_ins", "reputation", "change_tickets", "peers"), strict=True)),
        "endpoint": dict(zip(_ORDER, ("host_inventory", "process_tree", "change_tickets", "peers"), strict=True)),
        "data": dict(zip(_ORDER, ("baseline", "peers", "mail_trace", "reputation"), strict=True)),
        "cloud": dict(zip(_ORDER, ("sign_ins", "cloud_audit", "change_tickets", "peers"), strict=True)),
        "mail": dict(zip(_ORDER, ("mail_trace", "reputation", "sign_ins", "peers"), strict=True)),
        "network": dict(zip(_ORDER, ("host_inventory", "network_flows", "change_tickets", "reputation"), strict=True)),
    }
)
"""Per alert class, the tool that finds each aspect."""

COUNTRIES = ("GB", "DE", "PT", "US", "IN", "NL", "FR", "ES", "PL", "CA", "BR", "JP")
_ABROAD = 0.25
"""Share of people who travel, as `_neutral` draws it."""
_DOMAIN_STEMS = {
    "training": ("north", "blue", "river", "stone", "cedar", "quick", "solar", "union", "prime", "delta", "amber", "polar"),
    "campaign": ("green", "swift", "maple", "harbor", "summit", "copper", "bright", "coral", "vertex", "lunar", "silver", "oak"),
}  # fmt: skip
_DOMAIN_ENDS = {
    "training": ("soft", "works", "trade", "press", "labs", "parts"),
    "campaign": ("systems", "supply", "group", "media", "logic", "foods"),
}


def outside_domain(rng: random.Random, pool: str) -> str:
    """A domain of somebody else; training and campaign worlds share none."""
    return f"{rng.choice(_DOMAIN_STEMS[pool])}{rng.choice(_DOMAIN_ENDS[pool])}.example"


@dataclass
class _Scene:
    """What has been settled about the alert so far; aspects read it and settle more."""

    rng: random.Random
    family: Family
    world: World
    person: Person
    country: str
    domain: str
    host: str
    resource: str
    amount: int
    address: str
    process: tuple[str, str] | None


def draw_situation(
    rng: random.Random,
    family: Family,
    world: World,
    person: Person,
    *,
    malicious: bool,
    moment: datetime,
    uid: str,
    conflicts: Mapping[tuple[str, ...], float] = CONFLICTS,
    lookalike: bool = False,
) -> tuple[Alert, tuple[f.Fact, ...]]:
    """Draws one alert and the facts behind it.

    Args:
        rng: The only source of chance; the same state gives the same alert.
        family: Rule that fires.
        world: Where it fires; gives hosts, colleagues and the pool of names.
        person: The acting account.
        malicious: The truth that the facts shall support by weight.
        moment: Time of the alert.
        uid: Opaque id of the alert.
        conflicts: Odds of the sets of aspects that contradict the truth.
        lookalike: Draw only among sets that do contradict it (ordinary life that resembles an attack).
    """
    sets = [c for c in conflicts if c or not lookalike]
    against = rng.choices(sets, [conflicts[c] for c in sets])[0]
    scene = _set_scene(rng, family, world, person)
    found: list[f.Fact] = list(_neutral(scene))
    for aspect, tool in ASPECTS[family.kind].items():
        found += _DRAW[tool](scene, malicious ^ (aspect in against))
    return _alert(scene, moment, uid), tuple(found)


def _set_scene(rng: random.Random, family: Family, world: World, person: Person) -> _Scene:
    return _Scene(
        rng=rng,
        family=family,
        world=world,
        person=person,
        country=person.country,
        domain=outside_domain(rng, world.pool),
        host=_own_host(rng, world, person),
        resource=rng.choice(family.resources) if family.resources else "",
        amount=rng.randint(family.usual[0], family.usual[1]),
        address=f"{rng.choice(('198.51.100', '203.0.113'))}.{rng.randint(2, 250)}",
        process=rng.choice(family.processes) if family.processes else None,
    )


def _alert(scene: _Scene, moment: datetime, uid: str) -> Alert:
    rng, family = scene.rng, scene.family
    image, command = scene.process or (None, None)
    kind = family.kind
    return Alert(
        uid=uid,
        time=moment,
        title=family.title,
        severity=rng.choices((Severity.LOW, Severity.MEDIUM, Severity.HIGH), (0.3, 0.5, 0.2))[0],
        product=family.product,
        technique=rng.choice(family.techniques),
        kind=kind,
        activity=rng.choice(family.activity).format(
            amount=scene.amount, resource=scene.resource, domain=scene.domain, measure=family.measure or ""
        ),
        entities=Entities(
            user=scene.person.login,
            host=scene.host if kind in ("endpoint", "network") else None,
            process=image,
            command_line=command,
            address=scene.address if kind == "identity" else None,
            domain=scene.domain if kind in ("data", "mail", "network") else None,
            resource=scene.resource if kind in ("identity", "cloud") else None,
        ),
    )


def _neutral(scene: _Scene) -> list[f.Fact]:
    """What says nothing about the truth: where the person is said to be, HR status, other alerts."""
    rng, person = scene.rng, scene.person
    status = rng.choices(("in office", "remote", "travelling", "notice given", "new joiner"), (40, 25, 25, 5, 5))[0]
    if status == "travelling":
        scene.country = rng.choice([c for c in COUNTRIES if c != person.country])
    return [f.PersonNote(person.login, status, scene.country), f.RelatedAlerts(person.login, rng.randint(0, 5))]


def _sign_ins(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    seen = scene.country
    while against and seen == scene.country:
        # Drawn as the places of honest sign-ins are (mostly a country with a site), so that no country tells anything.
        seen = rng.choice(COUNTRIES) if rng.random() < _ABROAD else rng.choice(scene.world.people).country
    method = rng.choice(("MFA app", "MFA key", "MFA push", "password", "token"))
    return [f.SignIns(scene.person.login, seen, method, rng.randint(1, 6))]


def _host_inventory(scene: _Scene, against: bool) -> list[f.Fact]:
    rng, world = scene.rng, scene.world
    if against:
        other = rng.choice([p for p in world.people if p.login != scene.person.login])
        scene.host = _own_host(rng, world, other)
        owner = other.login
    else:
        owner = scene.person.login
    kind = rng.choice(("laptop", "workstation", "server", "virtual machine"))
    return [f.HostRecord(scene.host, kind, owner, rng.choice(("normal", "critical")))]


def _change_tickets(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    on_host = scene.family.kind in ("endpoint", "network")
    scope = scene.host if on_host else scene.resource
    if against:
        if rng.random() < 0.25:
            return []
        if on_host:
            personal = (h for h in scene.world.hosts if h.purpose == "personal")
            scope = rng.choice([h.name for h in personal if h.owner != scene.person.login and h.name != scene.host])
        else:
            scope = rng.choice([r for r in _scopes(scene.family.kind) if r != scene.resource])
    return [f.ChangeTicket(f"CHG-{rng.randint(1000, 9999)}", scope)]


def _baseline(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    low, high = scene.family.usual
    usual_max = rng.randint(low, high)
    scene.amount = (
        rng.randint(usual_max * 8, usual_max * 40) if against else rng.randint(max(1, usual_max // 4), usual_max)
    )
    return [f.Baseline(scene.person.login, scene.family.measure or "events", usual_max)]


def _mail_trace(scene: _Scene, against: bool) -> list[f.Fact]:
    partner = scene.domain
    while against and partner == scene.domain:
        partner = outside_domain(scene.rng, scene.world.pool)
    return [f.MailTrace(scene.person.login, partner)]


def _peers(scene: _Scene, against: bool) -> list[f.Fact]:
    of = scene.rng.randint(5, 12)
    return [f.Peers(scene.person.login, scene.rng.randint(0, 1) if against else scene.rng.randint(3, of - 1), of)]


def _reputation(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    category = rng.choice(
        ("hosting", "file sharing", "residential", "anonymiser") if against else ("business", "cloud", "partner")
    )
    age_days = rng.randint(1, 20) if against else rng.randint(500, 4000)
    return [f.Reputation(scene.address if scene.family.kind == "identity" else scene.domain, category, age_days)]


def _process_tree(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    parent = rng.choice(
        ("winword.exe", "wscript.exe", "cmd.exe") if against else ("explorer.exe", "services.exe", "cmd.exe")
    )
    signer = None if against else rng.choice(("Microsoft", "the IT department"))
    image = scene.process[0] if scene.process else ""
    return [f.ProcessTree(scene.host, image, parent, signer, rng.randint(1, 2) if against else rng.randint(40, 400))]


def _network_flows(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    return [f.NetworkFlows(scene.domain, 1 if against else rng.randint(12, 90), rng.randint(1, 900))]


def _cloud_audit(scene: _Scene, against: bool) -> list[f.Fact]:
    rng = scene.rng
    role = rng.choice(("operator", "developer", "auditor", "administrator"))
    age_days = rng.randint(0, 2) if against else rng.randint(400, 1800)
    return [f.CloudAudit(scene.person.login, role, age_days, rng.randint(0, 1) if against else rng.randint(15, 60))]


_DRAW: Mapping[str, Callable[[_Scene, bool], list[f.Fact]]] = MappingProxyType(
    {
        "host_inventory": _host_inventory,
        "sign_ins": _sign_ins,
        "baseline": _baseline,
        "mail_trace": _mail_trace,
        "change_tickets": _change_tickets,
        "peers": _peers,
        "reputation": _reputation,
        "process_tree": _process_tree,
        "network_flows": _network_flows,
        "cloud_audit": _cloud_audit,
    }
)
"""Per tool: settles the aspect on the scene. True: in support of malicious."""


def _own_host(rng: random.Random, world: World, person: Person) -> str:
    """One of the person's machines: the one that carries the name, or the one that has only an asset tag."""
    return rng.choice(world.hosts_of(person.login)).name


@cache
def _scopes(kind: str) -> tuple[str, ...]:
    """Everything in the catalogue that a ticket could be about, for alerts of this class."""
    return tuple(sorted({r for family in families().values() if family.kind == kind for r in family.resources}))
