"""States of the screening probes under many entities: what is looked through for a few that stand apart.

A state says more of the alert than of the name in it. So each is taken as its departure from the probe's own middle, the
median over all entities of the kind: what is left is what the entity did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidate import Margins, Seen, States
from .detector import Examination
from .probes import Probe
from .records import Cost
from .retrial import put
from .swap_scan import Named, entities_of

MOST, FEWEST = 250, 20
"""Entities of a kind that are looked at, spread evenly over the directory; and the fewest among whom one can stand apart."""
_CHUNK = 25
"""Entities asked between two looks at the clock."""

NO_STATES = "this candidate shows its verdicts alone, not the states behind them"
NO_TIME = "the budget ran out"
TOO_FEW = f"needs {FEWEST} entities of a kind that a screening probe shows"


@dataclass(frozen=True)
class Pool:
    """Entities of one kind on the same probes."""

    entities: tuple[Named, ...]
    departures: States
    """(entities, probes, hidden): states less the probe's median over the entities."""
    falls: Margins
    """Mean fall of the margin against the probe's median, (entities,); positive is towards benign."""

    @property
    def kind(self) -> str:
        return self.entities[0][0].kind

    @property
    def cases(self) -> NDArray[np.float64]:
        """Departures, a row a case: (entities x probes, hidden), an entity's own behind one another."""
        return self.departures.reshape(-1, self.departures.shape[2]).astype(np.float64)

    @property
    def owner(self) -> NDArray[np.int_]:
        """Index of the entity of each row of `cases`."""
        return np.repeat(np.arange(len(self.entities)), self.departures.shape[1])


def gather_pools(examination: Examination) -> tuple[tuple[Pool, ...], Cost, str]:
    """A pool for each kind of which there are enough, what it cost, and why there is none where there is none."""
    pools: list[Pool] = []
    cost, why = Cost(), TOO_FEW
    by_kind: dict[str, list[Named]] = {}
    for named in entities_of(examination.directory):
        by_kind.setdefault(named[0].kind, []).append(named)
    for kind, every in by_kind.items():
        probes = [probe for probe in examination.probes.screening if probe.shows(kind)]
        if len(every) < FEWEST or not probes:
            continue
        found = _read(examination, _spread(every), probes)
        if isinstance(found, str):
            return (), cost, found
        cost += found.cost
        if pool := _pool(_spread(every), found, len(probes)):
            pools.append(pool)
        else:
            why = "the model gave too few states that are numbers"
    return tuple(pools), cost, "" if pools else why


def _spread(every: Sequence[Named]) -> Sequence[Named]:
    if len(every) <= MOST:
        return every
    return [every[round(i * (len(every) - 1) / (MOST - 1))] for i in range(MOST)]


def _read(examination: Examination, entities: Sequence[Named], probes: Sequence[Probe]) -> Seen | str:
    """States of all probes under all entities, an entity's own behind one another; a reason where there are none."""
    parts: list[Seen] = []
    for at in range(0, len(entities), _CHUNK):
        if examination.budget.spent:
            return NO_TIME
        examination.on_progress("states read", at, len(entities))
        cases = [case for named in entities[at : at + _CHUNK] for probe in probes if (case := put(probe, *named))]
        seen = examination.candidate.states(cases)
        if seen is None:
            return NO_STATES
        parts.append(seen)
    states, margins = (np.concatenate([getattr(part, name) for part in parts]) for name in ("states", "margins"))
    return Seen(states, margins, sum((part.cost for part in parts), Cost()))


def _pool(entities: Sequence[Named], seen: Seen, probes: int) -> Pool | None:
    """Only entities with a state and a margin on every probe; None where too few are left."""
    states, margins = seen.states.reshape(len(entities), probes, -1), seen.margins.reshape(len(entities), probes)
    sound = np.isfinite(states).all(axis=(1, 2)) & np.isfinite(margins).all(axis=1)
    if sound.sum() < FEWEST:
        return None
    states, margins = states[sound], margins[sound]
    falls = (np.median(margins, axis=0) - margins).mean(axis=1)
    kept = tuple(named for named, there in zip(entities, sound, strict=True) if there)
    return Pool(kept, states - np.median(states, axis=0), falls)


def robust_distance(values: Margins) -> Iterator[float]:
    """How far each value lies above the median, in robust standard deviations; 0 where nothing varies."""
    centre = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    return iter(((values - centre) / spread).tolist() if spread > 0 else [0.0] * len(values))
