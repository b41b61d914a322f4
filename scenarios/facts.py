"""Typed facts: what a tool will find when someone investigates an alert.

One dataclass per tool. A fact says what is, never what it means; the sentence is made by the tool that finds it, from
one template, whoever caused the fact. Facts belong to a case (an alert uid) and are looked up there by subject.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersonNote:
    """What the directory and HR say of a person on that day, where it differs from the world's record."""

    user: str
    status: str
    """`in office`, `remote`, `travelling`, `on leave`, `notice given`, `new joiner`."""
    country: str
    """ISO 3166 code of where the person is said to be."""


@dataclass(frozen=True, slots=True)
class SignIns:
    """The sign-ins of an account around the alert."""

    user: str
    country: str
    """ISO 3166 code of the latest one."""
    method: str
    """`MFA app`, `MFA key`, `password`, `MFA push`, `token`."""
    count: int


@dataclass(frozen=True, slots=True)
class HostRecord:
    """The inventory's entry of a host."""

    host: str
    kind: str
    """`laptop`, `workstation`, `server`, `virtual machine`."""
    owner: str
    """Login of the person who answers for it."""
    criticality: str
    """`normal` or `critical`."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """Where a process came from and how common it is in the fleet."""

    host: str
    process: str
    parent: str
    signer: str | None
    """None: unsigned."""
    hosts: int
    """Number of hosts of the fleet that ran it in the last 30 days."""


@dataclass(frozen=True, slots=True)
class RelatedAlerts:
    """Other alerts on the same user within 24 hours before."""

    user: str
    count: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for this user: the highest value of the same measure on a day of the last 90."""

    user: str
    measure: str
    """Unit with its noun: `MB`, `files`, `sign-ins`, `calls`, `messages`."""
    usual_max: int


@dataclass(frozen=True, slots=True)
class Peers:
    """How many colleagues of the same department did the same in the last 30 days."""

    user: str
    same: int
    of: int


@dataclass(frozen=True, slots=True)
class Reputation:
    """How long an indicator (domain, address) has been known, and as what."""

    indicator: str
    category: str
    """`business`, `hosting`, `file sharing`, `cloud`, `residential`, `anonymiser`."""
    age_days: int
    """Days since it was first seen anywhere."""


@dataclass(frozen=True, slots=True)
class NetworkFlows:
    """Who else in the company talks to the peer."""

    peer: str
    hosts: int
    """Number of hosts of ours that talked to it in the last 30 days."""
    megabytes: int
    """Sent to it by the host of the alert, on that day."""


@dataclass(frozen=True, slots=True)
class ChangeTicket:
    """The approved change that is open at the time of the alert and nearest to it; no fact where there is none."""

    ticket: str
    scope: str
    """The host or resource that it was approved for."""


@dataclass(frozen=True, slots=True)
class CloudAudit:
    """The history of the role or permission in use."""

    user: str
    role: str
    age_days: int
    """Days since the account was given it."""
    uses: int
    """Times it was used by the account in the last 30 days."""


@dataclass(frozen=True, slots=True)
class MailTrace:
    """With which outside domain the user's department exchanges mail under a contract."""

    user: str
    partner: str


Fact = (
    PersonNote
    | SignIns
    | HostRecord
    | ProcessTree
    | RelatedAlerts
    | Baseline
    | Peers
    | Reputation
    | NetworkFlows
    | ChangeTicket
    | CloudAudit
    | MailTrace
)
