"""The world in which alerts happen, built from a seed: `build_world`, and its records under one roof."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from ipaddress import ip_network

from . import company
from .enterprise import Change, Host, Indicator, Network, Person, Pool, ServiceAccount, World, in_pool
from .errors import InputError

__all__ = ["Change", "Host", "Indicator", "Network", "Person", "Pool", "ServiceAccount", "World", "build_world",
           "in_pool"]  # fmt: skip

SERVER_COUNT = 40
INDICATOR_COUNT = 80
_NO_LOGINS = company.RESERVED | company.NO_LOGINS | {code.lower() for code in company.CODE_NAMES}


def build_world(
    seed: int,
    *,
    population: int = 200,
    pool: Pool = "campaign",
    cast: Sequence[Person] = (),
    without: Collection[str] = (),
) -> World:
    """Draw one company.

    Args:
        seed: Everything is drawn from this number.
        population: Number of people, the cast among them.
        pool: Which half of the names, domains and server names it draws from.
        cast: People who must exist, such as the actor of a campaign; an empty mail is filled in.
        without: Further first names that must not occur, such as those of twins.

    Raises:
        InputError: More people are asked for than there are first names.

    Limits: Faker's lists of names change between its versions; worlds are equal under the same version.
    """
    rng = random.Random(f"world/{pool}/{seed}")
    domain = rng.choice([name for name in company.COMPANIES if in_pool(f"{name}.example", pool)]) + ".example"
    actors = tuple(replace(p, mail=p.mail or f"{p.login}@{domain}") for p in cast)
    taken = {p.login for p in actors} | {name.lower() for name in without} | _NO_LOGINS
    people = actors + tuple(_people(rng, seed, population - len(actors), pool, taken, domain))
    servers = _servers(rng, pool, people)
    networks = tuple(Network(site.network, site.country) for site in company.SITES)
    return World(
        seed=seed,
        pool=pool,
        domain=domain,
        people=people,
        hosts=_personal_hosts(rng, pool, people) + servers,
        service_accounts=tuple(ServiceAccount(f"svc-{h.name.lower()}", h.name, h.owner) for h in servers[::2]),
        networks=(*networks, Network("10.1.0.0/16", "GB")),
        changes=_changes(rng, servers, people),
        partners=_partners(rng, pool),
        indicators=_indicators(rng, pool),
        baselines=_baselines(rng, people),
    )


def _first_names(locale: str, pool: Pool, taken: Collection[str]) -> list[str]:
    """First names of a locale that may become logins: plain letters, of this pool, not taken; sorted."""
    provider = import_module(f"faker.providers.person.{locale}").Provider
    names = {str(name) for name in provider.first_names}
    return sorted(n for n in names if n.isascii() and n.isalpha() and 4 <= len(n) <= 10 and n.istitle()
                  and n.lower() not in taken and in_pool(n, pool))  # fmt: skip


def _people(rng: random.Random, seed: int, count: int, pool: Pool, taken: Collection[str], domain: str) -> list[Person]:
    from faker import Generator  # here: building a world is the only thing that needs it

    used = set(taken)
    surnames: dict[str, Generator] = {}
    first: dict[str, list[str]] = {}
    for site in company.SITES:
        surnames[site.locale] = Generator()
        surnames[site.locale].add_provider(import_module(f"faker.providers.person.{site.locale}").Provider)
        surnames[site.locale].seed_instance(f"{site.locale}/{pool}/{seed}")
        first[site.locale] = _first_names(site.locale, pool, taken)
        rng.shuffle(first[site.locale])
    people: list[Person] = []
    departments = list(company.ROLES)
    while len(people) < count:
        sites = [s for s in company.SITES if first[s.locale]]
        if not sites:
            raise InputError.at(f"population {count}", f"only {len(people)} first names left", "ask for fewer people")
        site = rng.choices(sites, [s.share for s in sites])[0]
        name = first[site.locale].pop()
        if name.lower() in used:
            continue
        used.add(name.lower())
        department = departments[len(people) % len(departments)]
        people.append(_person(rng, name, str(surnames[site.locale].format("last_name")), department, site, domain))
    return people


def _person(rng: random.Random, first: str, last: str, department: str, site: company.Site, domain: str) -> Person:
    role, privilege = rng.choice(company.ROLES[department])
    start, end = site.opens, site.closes
    if role in company.ON_SHIFTS and rng.random() < 0.5:
        start, end = rng.choice(company.SHIFTS)
    elif rng.random() < 0.3:
        shift = rng.choice((-1, 1))
        start, end = start + shift, end + shift
    status = rng.choices(
        ("in office", "remote", "travelling", "on leave", "notice given", "new joiner"), (60, 22, 5, 5, 4, 4)
    )[0]
    login = first.lower()
    return Person(f"{first} {last}", login, f"{login}@{domain}", department, role, privilege, site.country,
                  start, end, status)  # fmt: skip


def _personal_hosts(rng: random.Random, pool: Pool, people: Sequence[Person]) -> tuple[Host, ...]:
    """Two machines a person: one named after its owner, one of which only the inventory knows whose it is."""
    numbers = rng.sample(range(10_000, 99_999), 4 * len(people) + 40)
    tags = [tag for tag in (f"PC-{n}" for n in numbers) if in_pool(tag, pool)]
    hosts = []
    for index, (person, tag) in enumerate(zip(people, tags, strict=False)):
        site = next((s for s in company.SITES if s.country == person.country), company.SITES[0])
        network = ip_network(site.network)
        for i, prefix in enumerate((rng.choice(("WS-", "LT-")) + person.login.upper(), tag)):
            kind = "laptop" if prefix.startswith("LT-") else "workstation"
            address = str(network[256 + 14 * index + 7 * i + rng.randrange(7)])
            hosts.append(Host(prefix, kind, person.login, "normal", "personal", address))
    return tuple(hosts)


def _servers(rng: random.Random, pool: Pool, people: Sequence[Person]) -> tuple[Host, ...]:
    keepers = [p.login for p in people if p.privilege == "admin"] or [people[0].login]
    names = [(pre, f"{pre}-{code}") for pre in company.SERVERS for code in company.CODE_NAMES]
    names = [(pre, name) for pre, name in names if in_pool(name, pool)]
    rng.shuffle(names)
    network = ip_network("10.1.0.0/16")
    return tuple(
        Host(
            name,
            rng.choice(("server", "virtual machine")),
            rng.choice(keepers),
            "critical" if prefix in company.CRITICAL or rng.random() < 0.15 else "normal",
            company.SERVERS[prefix],
            str(network[256 + 11 * i]),
        )
        for i, (prefix, name) in enumerate(sorted(names[:SERVER_COUNT]))
    )


def _changes(rng: random.Random, servers: Sequence[Host], people: Sequence[Person]) -> tuple[Change, ...]:
    doers = [p.login for p in people if p.privilege != "standard"] or [people[0].login]
    numbers = sorted(rng.sample(range(10_000, 99_999), len(servers) // 2))
    scopes = rng.sample(list(servers), len(numbers))
    return tuple(Change(f"CHG-{n}", h.name, rng.choice(doers)) for n, h in zip(numbers, scopes, strict=True))


def _outside_domains(rng: random.Random, pool: Pool, second: Sequence[str], count: int) -> list[str]:
    every = [f"{a.lower()}-{b}.example" for a in company.CODE_NAMES for b in second]
    return rng.sample([d for d in every if in_pool(d, pool)], count)


def _partners(rng: random.Random, pool: Pool) -> Mapping[str, str]:
    domains = _outside_domains(rng, pool, company.TRADES, len(company.ROLES))
    return dict(zip(company.ROLES, domains, strict=True))


def _indicators(rng: random.Random, pool: Pool) -> tuple[Indicator, ...]:
    """Half domains, half addresses of RFC 5737; the young ones are as often of a harmless category as of another."""
    names = _outside_domains(rng, pool, company.SERVICES, INDICATOR_COUNT // 2)
    ranges = [ip_network(r) for r in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    addresses = rng.sample([str(a) for r in ranges for a in r.hosts()], INDICATOR_COUNT - len(names))
    return tuple(
        Indicator(name, rng.choice(company.CATEGORIES), rng.choice((rng.randrange(2, 60), rng.randrange(200, 4000))))
        for name in [*names, *addresses]
    )


def _baselines(rng: random.Random, people: Sequence[Person]) -> Mapping[str, Mapping[str, int]]:
    return {p.login: {m: round(scale * rng.uniform(0.3, 1.7)) for m, scale in company.MEASURES.items()}
            for p in people}  # fmt: skip
