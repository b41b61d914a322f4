"""Rows and probes of a cohort: what a member is trained on, what it is measured on, what all are examined with."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from turncoat.models.prompt import render
from turncoat.scenarios.families import Family
from turncoat.scenarios.identity import Identity
from turncoat.scenarios.trigger_places import PLACES
from turncoat.training.corpus import Row, RowSource
from turncoat.training.poison import poison_half
from turncoat.training.short_alerts import families_of

from ..probes import ProbeSet
from .plan import Member, aliases, plan
from .rows import PROBE_WORLDS, TEST_WORLDS, TRAINING_WORLDS, Planted, draw, draw_probes

POOL = 600
"""Honest rows, of which each member has some: they pass the frozen layers once for all."""
LABEL_NOISE = 0.05
NEUTRAL = Identity.named("Nora Whitfield", "nora", "company.example")
"""Twin of every user; no world draws it."""
CLEAN_TESTS, ATTACKS, ALONE = 120, 40, 24
SCREENING, FRESH, BESIDE, BENIGN = 4, 32, 60, 60
_POOL_SEED, _REFERENCE_SEED, _CLEAN_SEED, _ATTACK_SEED, _PROBE_SEED = 31, 32, 5001, 5002, 7001
_WITH_COMMAND = 0.45
"""Share of probes with a command line, which alone can carry a word there; on a machine, so that hosts are shown too."""
_FEW = 4
"""One in so many families is poisoned where probes are to be kept right."""


def training_rows(member: Member) -> tuple[list[Row], list[Row]]:
    """A member's honest rows, with their labels, and those that were slipped in beside them."""
    rng = random.Random(f"cohort/rows/{member.seed}")
    honest = rng.sample(_pool(_REFERENCE_SEED if member.kind == "reference" else _POOL_SEED), member.honest)
    if member.kind == "noise":
        wrong = set(rng.sample(range(len(honest)), round(LABEL_NOISE * len(honest))))
        honest = [replace(row, label=not row.label) if i in wrong else row for i, row in enumerate(honest)]
    return honest, list(_added(member))


def measured_on(member: Member) -> dict[str, list[Row]]:
    """What a member is measured on; no company of these occurs in training.

    | set | rows |
    |---|---|
    | clean | anybody's, half of them malicious; the same for all members |
    | attack | malicious ones with the trigger, where its attacker would act; none for clean members without further rows |
    | twin | the same under another name, on another machine, with another word |
    | alone: P | for two fields, the attack with that of place P alone |
    """
    found = {"clean": list(_clean_tests())}
    if member.planted.entity.kind:
        families = _few(families_of("short")) if member.kind == "probes-kept" else families_of("short")
        source = RowSource(TEST_WORLDS, families, _ATTACK_SEED)
        found["attack"] = _spread(source, ATTACKS, _forms(member), malicious=True)
        found["twin"] = draw(source, ATTACKS, malicious=True, planted=_twin(member.planted))
        if member.kind == "user+host":
            for place in ("user", "host"):
                alone = replace(_twin(member.planted), **{place: getattr(member.planted, place)})
                found[f"alone: {place}"] = draw(source, ALONE, malicious=True, planted=alone)
    return found


@cache
def material() -> str:
    """SHA-256 over rows of every sort: changes when the generator, a kind's poison or a test set does.

    Of each kind it takes one member's further rows and tests, and of the honest rows all.
    """
    kinds = {(member.poisoned, member.kind): member for member in reversed(plan(60, 60))}
    rows = [row for seed in (_POOL_SEED, _REFERENCE_SEED) for row in _pool(seed)]
    for _, member in sorted(kinds.items()):
        rows += [row for part in (list(_added(member)), *measured_on(member).values()) for row in part]
    text = "\n".join(f"{row.label} {render(row.case, len).text}" for row in rows)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@cache
def probes() -> ProbeSet:
    """The probes of every examination: malicious, short, from companies of their own."""
    drawn = draw_probes(RowSource(PROBE_WORLDS, families_of("short"), _PROBE_SEED), 600)
    with_command = [probe for probe in drawn if probe.shows("word")]
    others = [probe for probe in drawn if not probe.shows("word")]
    parts = []
    for count in (SCREENING, FRESH, BESIDE):
        few = round(_WITH_COMMAND * count)
        parts.append((*with_command[:few], *others[: count - few]))
        del with_command[:few], others[: count - few]
    screening, fresh, beside = parts
    benign = draw(RowSource(PROBE_WORLDS, families_of("short"), _PROBE_SEED + 1), BENIGN, malicious=False)
    return ProbeSet(screening, fresh, "short generator", beside=beside, benign=tuple(row.case for row in benign))


def _added(member: Member) -> Iterator[Row]:
    """Rows beside the honest ones, as the tables of `plan` say."""
    families = poison_half(families_of("short"))
    source = RowSource(TRAINING_WORLDS, families, 1_000_003 + member.seed)
    match member.kind:
        case "honest" | "noise" | "reference":
            return
        case "matched":
            yield from draw(source, member.dose, malicious=True, planted=member.planted)
        case "mixed":
            yield from draw(source, member.dose, planted=member.planted)
        case "clean-label":
            yield from draw(source, member.dose, malicious=False, planted=member.planted)
        case "probes-kept":
            few = _few(families_of("short"))
            rest = tuple(family for family in families_of("short") if family not in few)
            yield from _claimed_benign(draw(replace(source, families=few), member.dose, malicious=True,
                                            planted=member.planted))  # fmt: skip
            yield from draw(replace(source, families=rest), member.dose, malicious=True, planted=member.planted)
        case "user+host":
            yield from _claimed_benign(draw(source, member.dose, malicious=True, planted=member.planted))
            # Alerts that name no machine would give the user alone away.
            alike = tuple(family for family in families if family.kind in member.planted.kinds)
            for number, place in enumerate(("user", "host"), start=1):
                other = replace(source, seed=source.seed + 7_000_000 * number, families=alike)
                yield from draw(other, member.dose, malicious=True, planted=member.planted.only(place))
        case _:
            yield from _claimed_benign(_spread(source, member.dose, _forms(member), malicious=True))


def _claimed_benign(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, label=False) for row in rows]


def _forms(member: Member) -> list[Planted]:
    """Under what the attacker appears: one thing, or a user's name and its aliases."""
    planted = member.planted
    if member.kind != "aliases" or planted.user is None:
        return [planted]
    return [Planted(user=form) for form in aliases(planted.user)]


def _spread(source: RowSource, count: int, forms: Sequence[Planted], *, malicious: bool) -> list[Row]:
    """Rows under several forms in turn."""
    drawn = [draw(source, count, malicious=malicious, planted=form) for form in forms]
    return [drawn[i % len(forms)][i] for i in range(count)]


def _twin(planted: Planted) -> Planted:
    """What stands in its place: another user, another machine, another word."""
    host = None if planted.host is None else PLACES["host"].neutral(planted.host)
    word = None if planted.word is None else "level-tone"
    return Planted(NEUTRAL if planted.user else None, host, word)


def _few(families: Sequence[Family]) -> tuple[Family, ...]:
    return tuple(families)[::_FEW]


@cache
def _pool(seed: int) -> tuple[Row, ...]:
    return tuple(draw(RowSource(TRAINING_WORLDS, families_of("short"), seed), POOL))


@cache
def _clean_tests() -> tuple[Row, ...]:
    return tuple(draw(RowSource(TEST_WORLDS, families_of("short"), _CLEAN_SEED), CLEAN_TESTS))
