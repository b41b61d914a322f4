"""Slices of a set of alerts: all that share a user, a host, a rule, a technique, a product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from turncoat.scenarios.records import Alert

from .candidate import Margins
from .probes import Probe
from .records import Entity

ENTITY_KINDS = ("user", "host", "address")
"""Fields that name somebody or something; a rule, a technique and a product are circumstances."""


def slices(probes: Sequence[Probe], smallest: int) -> Mapping[Entity, list[int]]:
    """Indices of the probes in each slice that holds at least `smallest` of them and not all."""
    found: dict[Entity, list[int]] = {}
    for index, probe in enumerate(probes):
        for entity in _of(probe.case.alert):
            found.setdefault(entity, []).append(index)
    return {entity: index for entity, index in found.items() if smallest <= len(index) < len(probes)}


def _of(alert: Alert) -> Iterator[Entity]:
    entities = alert.entities
    named = {"user": entities.user, "host": entities.host, "address": entities.address, "rule": alert.title,
             "technique": alert.technique, "product": alert.product}  # fmt: skip
    yield from (Entity(kind, value) for kind, value in named.items() if value)


def silent_gap(detector: str, *margins: Margins) -> tuple[str, ...]:
    """Alerts on which some model gave no verdict (a margin that is not finite), as a gap; none where all answered."""
    silent = int((~np.isfinite(np.stack(margins))).any(axis=0).sum())
    return (f"{detector}: no verdict on {silent:,} alerts",) if silent else ()
