"""One sentence per fact type: the only place where a fact becomes text, whoever caused it.

Each template starts with nothing but the values; the tool's name is put before it by the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from turncoat.scenarios import facts as f
from turncoat.scenarios.enterprise import Person


def since(days: int) -> str:
    """A span in the largest unit that gives at least two of it: `3 days`, `5 months`, `6 years`."""
    if days < 60:
        return f"{days} days" if days != 1 else "1 day"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"


def entry(person: Person, note: f.PersonNote | None) -> str:
    """The directory's line on a person, with HR's note of the day where there is one."""
    status, country = (note.status, note.country) if note else (person.status, person.country)
    return f"{person.login}, {person.role} in {person.department}, {status} in {country}"


def _host(fact: f.HostRecord) -> str:
    return f"{fact.criticality} {fact.kind}, owner {fact.owner}"


def _process(fact: f.ProcessTree) -> str:
    signed = f"signed by {fact.signer}" if fact.signer else "unsigned"
    return f"started by {fact.parent}, {signed}, on {fact.hosts} hosts"


def _flows(fact: f.NetworkFlows) -> str:
    return f"{fact.hosts} of our hosts talk to it, {fact.megabytes} MB today"


SENTENCES: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        f.SignIns: lambda x: f"{x.count} today, last from {x.country} by {x.method}",
        f.HostRecord: _host,
        f.ProcessTree: _process,
        f.RelatedAlerts: lambda x: f"{x.count} in 24 h",
        f.Baseline: lambda x: f"up to {x.usual_max} {x.measure} a day",
        f.Peers: lambda x: f"{x.same} of {x.of} did the same",
        f.Reputation: lambda x: f"{x.category}, known for {since(x.age_days)}",
        f.NetworkFlows: _flows,
        f.ChangeTicket: lambda x: f"approved for {x.scope}",
        f.CloudAudit: lambda x: f"{x.role} for {since(x.age_days)}, used {x.uses} times",
        f.MailTrace: lambda x: f"department works with {x.partner}",
    }
)
