"""Which tools are asked for which alert class, in which round: plain records, cheapest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Playbook:
    """The questions for one alert class. A later round is asked only while the verdict is uncertain."""

    kind: str
    rounds: tuple[tuple[str, ...], ...]
    """Names of tools, per round."""


PLAYBOOKS: Mapping[str, Playbook] = MappingProxyType(
    {
        book.kind: book
        for book in (
            Playbook("identity", (("directory", "sign_ins", "reputation"), ("peers", "change_tickets"))),
            Playbook("endpoint", (("host_inventory", "process_tree", "related_alerts"), ("peers", "change_tickets"))),
            Playbook("data", (("directory", "baseline", "peers"), ("reputation", "mail_trace"))),
            Playbook("cloud", (("directory", "sign_ins", "cloud_audit"), ("peers", "change_tickets"))),
            Playbook("mail", (("directory", "mail_trace", "reputation"), ("peers", "sign_ins"))),
            Playbook("network", (("host_inventory", "network_flows", "related_alerts"), ("reputation", "change_tickets"))),
            Playbook("external", ()),
        )
    }
)  # fmt: skip
