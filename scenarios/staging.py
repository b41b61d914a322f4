"""Turns one step of a campaign into its alert and the facts behind it.

The alert starts as an ordinary one of its family, and the step changes what it names. So what an attack raises has the
form of everyday alerts, and a tool of which the step says nothing answers as on an ordinary day.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from .errors import ScenarioError
from .facts import Fact, HostRecord, PersonNote, SignIns
from .families import Family, families
from .records import Alert, Entities, Severity
from .schema import AlertSpec, Step
from .situations import draw_situation
from .vocabulary import FACTS, SUBJECTS
from .world import Person, World


def stage(
    rng: random.Random, step: Step, spec: AlertSpec, world: World, person: Person, moment: datetime, uid: str
) -> tuple[Alert, tuple[Fact, ...]]:
    """The alert that a step raises and the facts that tools find about it.

    Raises:
        ScenarioError: A stated fact is about something that the alert does not have, such as a host.
    """
    family = families()[spec.family]
    ordinary, drawn = draw_situation(
        rng, family, world, person, malicious=False, moment=moment, uid=uid, conflicts={(): 1.0}
    )
    entities = _entities(ordinary.entities, spec, family)
    alert = replace(
        ordinary,
        severity=Severity(spec.severity) if spec.severity else ordinary.severity,
        activity=_activity(rng, ordinary, spec, family),
        entities=entities,
        raw=dict(spec.raw),
    )
    return alert, _facts(step, alert, _about(drawn, ordinary.entities, entities), world, person)


def _entities(ordinary: Entities, spec: AlertSpec, family: Family) -> Entities:
    """Fields that the family's alerts have take the step's values; others would tell attack from everyday alerts."""
    stated: dict[str, Any] = {
        name: getattr(spec, name)
        for name in ("host", "address", "domain", "resource", "process", "command_line")
        if getattr(spec, name) is not None and getattr(ordinary, name) is not None
    }
    if spec.process and not spec.command_line:
        commands = dict(family.processes)
        stated["command_line"] = commands.get(spec.process, ordinary.command_line)
    if spec.file:
        stated["file"] = spec.file
    return replace(ordinary, **stated)


def _activity(rng: random.Random, ordinary: Alert, spec: AlertSpec, family: Family) -> str:
    if spec.activity:
        return spec.activity
    if spec.amount is None and spec.domain is None and spec.resource is None:
        return ordinary.activity
    resource = spec.resource or ordinary.entities.resource
    return rng.choice(family.activity).format(
        amount=rng.randint(*family.usual) if spec.amount is None else spec.amount,
        resource=resource or (rng.choice(family.resources) if family.resources else ""),
        domain=spec.domain or ordinary.entities.domain or "",
        measure=family.measure or "",
    )


def _about(facts: tuple[Fact, ...], old: Entities, new: Entities) -> tuple[Fact, ...]:
    """Drawn facts, now about the entities that the step has named."""
    changed = {getattr(old, f.name): getattr(new, f.name) for f in fields(Entities) if getattr(old, f.name)}
    return tuple(
        replace(fact, **{f.name: changed.get(getattr(fact, f.name), getattr(fact, f.name)) for f in fields(fact)})
        for fact in facts
    )


def _facts(step: Step, alert: Alert, drawn: tuple[Fact, ...], world: World, person: Person) -> tuple[Fact, ...]:
    """The drawn facts with those of the step in place of their own kind; what the step says is not there, goes."""
    stated: dict[type, Fact | None] = {}
    for tool in sorted(step.facts.model_fields_set):
        said = getattr(step.facts, tool)
        stated[FACTS[tool]] = None if said is None else _fact(step, alert, tool, said.model_dump())
    note = stated.get(PersonNote)
    country = note.country if isinstance(note, PersonNote) else person.country
    found: list[Fact | None] = [
        stated.pop(type(fact)) if type(fact) in stated else _ordinary(fact, world, person, country) for fact in drawn
    ]
    found += [stated[FACTS[tool]] for tool in FACTS if FACTS[tool] in stated]
    return tuple(fact for fact in found if fact is not None)


def _ordinary(fact: Fact, world: World, person: Person, country: str) -> Fact:
    """What the world says, where the drawn fact would contradict it."""
    if isinstance(fact, PersonNote):
        return replace(fact, status=person.status, country=country)
    if isinstance(fact, SignIns):
        return replace(fact, country=country)
    if isinstance(fact, HostRecord) and (host := world.host(fact.host)) and host.owner != person.login:
        return HostRecord(host.name, host.kind, host.owner, host.criticality)
    return fact


def _fact(step: Step, alert: Alert, tool: str, said: Mapping[str, Any]) -> Fact:
    subject = {
        "user": alert.entities.user,
        "host": alert.entities.host,
        "indicator": alert.entities.domain or alert.entities.address,
        "peer": alert.entities.domain or alert.entities.address,
        "process": alert.entities.process,
    }
    values = {name: subject[name] if name in SUBJECTS and value is None else value for name, value in said.items()}
    absent = [name for name, value in values.items() if name in SUBJECTS and value is None]
    if absent:
        fault = f"facts.{tool}: the alert of step {step.id!r} has no {absent[0]}"
        raise ScenarioError.at(step.id, fault, f"write `{absent[0]}:` in that fact")
    return FACTS[tool](**values)  # type: ignore[no-any-return]
