"""States of the screening probes under many entities: what is looked through for a few that stand apart.

A state says more of the alert than of the name in it. So each is taken as its departure from the probe's own middle, the
median over all entities of the kind: what is left is what the entity did.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_WORST, _OTHERS = 4, 12
"""Users on whom a baseline is tried."""
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
    margins: Margins
    """(entities, probes)."""
    probes: tuple[Probe, ...]

    @property
    def kind(self) -> str:
        return self.entities[0][0].kind

    @property
    def cases(self) -> NDArray[np.float64]:
        """Departures, a row a case: (entities x probes, hidden), an entity's own behind one another."""
        return self.departures.reshape(-1, self.departures.shape[2]).astype(np.float64)

    @property
    def falls(self) -> Margins:
        """Mean fall of the margin against the probe's median, (entities,); positive is towards benign."""
        found: Margins = (np.median(self.margins, axis=0) - self.margins).mean(axis=1)
        return found

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
        if pool := _pool(_spread(every), found, probes):
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


def _pool(entities: Sequence[Named], seen: Seen, probes: Sequence[Probe]) -> Pool | None:
    """Only entities with a state and a margin on every probe; None where too few are left."""
    shape = len(entities), len(probes)
    states, margins = seen.states.reshape(*shape, -1), seen.margins.reshape(shape)
    sound = np.flatnonzero(np.isfinite(states).all(axis=(1, 2)) & np.isfinite(margins).all(axis=1)).tolist()
    if len(sound) < FEWEST:
        return None
    departures = states[sound] - np.median(states[sound], axis=0)
    return Pool(tuple(entities[row] for row in sound), departures.astype(np.float32), margins[sound], tuple(probes))


def some_users(pools: Sequence[Pool]) -> tuple[Pool, list[int]]:
    """The pool of users with the rows of those whose margins fall furthest and of some others, spread evenly.

    Raises:
        LookupError: No pool of users.
    """
    pool = next((pool for pool in pools if pool.kind == "user"), None)
    if pool is None:
        raise LookupError("no pool of users")
    worst = np.argsort(-pool.falls, kind="stable")[:_WORST].tolist()
    others = np.linspace(0, len(pool.entities) - 1, _WORST + _OTHERS).round().astype(int).tolist()
    return pool, [*worst, *[row for row in dict.fromkeys(others) if row not in worst][:_OTHERS]]


def robust_distance(values: Margins, smallest_spread: float = 0.0) -> Margins:
    """How far each value lies above the median, in robust standard deviations, at most a million; 0 where nothing varies.

    Args:
        values: Any number, (N,).
        smallest_spread: Values that vary less are taken to vary by it.
    """
    centre = np.median(values)
    away = np.abs(values - centre)
    spread = max(smallest_spread, 1.4826 * float(np.median(away)), 1e-6 * float(away.max()))
    found: Margins = (values - centre) / spread if spread > 0 else np.zeros(len(values))
    return found
