"""The shipped campaigns: their size and mix, that evidence decides every alert, and that nothing else does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import pytest

from turncoat.scenarios import attack
from turncoat.scenarios.emit import emit
from turncoat.scenarios.facts import (
    Baseline,
    ChangeTicket,
    CloudAudit,
    Fact,
    HostRecord,
    MailTrace,
    NetworkFlows,
    Peers,
    PersonNote,
    ProcessTree,
    Reputation,
    SignIns,
)
from turncoat.scenarios.families import families
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import Alert, AlertStream, GroundTruth
from turncoat.scenarios.world import in_pool

FLAGSHIP, CONTROL = "insider-departing-exfil", "benign-control"


@cache
def played(name: str, seed: int | None = None) -> tuple[AlertStream, tuple[GroundTruth, ...]]:
    return emit(load_campaign(name), seed)


def attacks(seed: int | None = None) -> list[tuple[Alert, GroundTruth]]:
    stream, truths = played(FLAGSHIP, seed)
    return [(a, t) for a, t in zip(stream.alerts, truths, strict=True) if t.malicious]


def support(alert: Alert, facts: Iterable[Fact]) -> int:
    """What a careful reader of all evidence makes of it: positive speaks for malicious.

    What two places tell together counts 2, what one place tells counts 1.
    """
    found = {type(fact): fact for fact in facts}
    note = found[PersonNote]
    assert isinstance(note, PersonNote)
    total = 0
    for fact in found.values():
        if isinstance(fact, SignIns):
            total += 2 if fact.country != note.country else -2
        elif isinstance(fact, HostRecord):
            total += 2 if fact.owner != alert.entities.user else -2
        elif isinstance(fact, Baseline):
            amount = next(int(number) for number in re.findall(r"\d+", alert.activity))
            total += 2 if amount > 2 * fact.usual_max else -2
        elif isinstance(fact, MailTrace):
            total += 2 if fact.partner != alert.entities.domain else -2
        elif isinstance(fact, Peers):
            total += 1 if fact.same <= 1 else -1
        elif isinstance(fact, Reputation):
            total += 1 if fact.age_days < 60 else -1
        elif isinstance(fact, ProcessTree):
            total += 1 if fact.signer is None else -1
        elif isinstance(fact, NetworkFlows):
            total += 1 if fact.hosts < 5 else -1
        elif isinstance(fact, CloudAudit):
            total += 1 if fact.age_days < 30 else -1
    if alert.kind in ("identity", "cloud", "endpoint", "network"):
        ticket = found.get(ChangeTicket)
        scope = ticket.scope if isinstance(ticket, ChangeTicket) else None
        total += -2 if scope in (alert.entities.host, alert.entities.resource) and scope else 2
    return total


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize("name", [FLAGSHIP, CONTROL])
def test_the_evidence_as_a_whole_decides_every_alert(name: str, seed: int | None) -> None:
    stream, truths = played(name, seed)
    for alert, truth in zip(stream.alerts, truths, strict=True):
        weight = support(alert, stream.facts[alert.uid])
        assert (weight > 0) is truth.malicious, (truth.step, truth.family, weight)
        assert abs(weight) >= 2


def test_some_evidence_contradicts_the_truth_in_most_attack_alerts() -> None:
    stream, _ = played(FLAGSHIP)
    unanimous = [a for a, _ in attacks() if support(a, stream.facts[a.uid]) == 6]
    assert 2 <= len(unanimous) <= 7


def test_the_flagship_has_fourteen_attack_alerts_over_five_tactics_or_more() -> None:
    assert len(attacks()) == 14
    steps = {step.id: step for _, step in load_campaign(FLAGSHIP).steps()}
    claimed: set[str] = set()
    for _, truth in attacks():
        assert truth.step is not None
        found = attack.technique(steps[truth.step].technique)
        assert found is not None
        claimed |= set(found.tactics[:1])
    assert len(claimed) >= 5


def test_some_steps_of_the_flagship_are_seen_by_nobody() -> None:
    assert sum(step.alert is None for _, step in load_campaign(FLAGSHIP).steps()) == 2


@pytest.mark.parametrize("seed", [None, 1, 2, 3, 4, 5])
def test_the_flagships_noise_resembles_its_attack(seed: int | None) -> None:
    stream, truths = played(FLAGSHIP, seed)
    noise = [t for t in truths if t.step is None]
    families_of_attack = {t.family for _, t in attacks(seed)}
    assert 60 <= len(stream.alerts) <= 150
    assert sum(t.family in families_of_attack for t in noise) >= len(noise) / 2
    assert sum(t.lookalike for t in noise) == 14
    own = {a.uid for a in stream.alerts if a.entities.user == "alice"}
    assert sum(t.uid in own for t in noise) == 10


def test_an_attack_technique_is_one_that_its_rule_may_claim() -> None:
    for name in (FLAGSHIP, CONTROL):
        for _, step in load_campaign(name).steps():
            if step.alert:
                assert step.technique in families()[step.alert.family].techniques, step.id


def test_attack_alerts_have_the_form_of_ordinary_ones() -> None:
    """The same fields are filled, and the same tools have something to say, as for a benign alert of the family."""
    stream, truths = played(FLAGSHIP)
    forms: dict[str, Counter[tuple[object, ...]]] = {"attack": Counter(), "noise": Counter()}
    for alert, truth in zip(stream.alerts, truths, strict=True):
        entities = alert.entities
        filled = tuple(name for name in ("user", "host", "process", "address", "domain", "file", "resource")
                       if getattr(entities, name) is not None)  # fmt: skip
        tools = tuple(type(f).__name__ for f in stream.facts[alert.uid] if not isinstance(f, ChangeTicket))
        forms["attack" if truth.malicious else "noise"][(alert.kind, filled, tools, bool(alert.raw))] += 1
    assert set(forms["attack"]) <= set(forms["noise"])


def test_nothing_malicious_happens_in_the_control() -> None:
    stream, truths = played(CONTROL)
    assert not any(t.malicious for t in truths)
    assert not any(t.expect_escalation for t in truths)
    assert 40 <= len(stream.alerts) <= 80
    assert sum(t.step is not None for t in truths) == 10
    assert all(stream.alerts[i].entities.user == "alice" for i, t in enumerate(truths) if t.step)


@pytest.mark.parametrize("name", [FLAGSHIP, CONTROL])
def test_hosts_that_a_campaign_names_lie_in_the_pool_of_campaigns(name: str) -> None:
    campaign = load_campaign(name)
    named = {h.name for h in campaign.entities.hosts}
    named |= {step.alert.host for _, step in campaign.steps() if step.alert and step.alert.host}
    assert all(in_pool(host, "campaign") for host in named)


@pytest.mark.parametrize("name", [FLAGSHIP, CONTROL])
def test_every_domain_is_reserved_for_examples_and_every_address_for_documentation(name: str) -> None:
    stream, _ = played(name)
    assert all((a.entities.domain or "x.example").endswith(".example") for a in stream.alerts)
    ranges = ("192.0.2.", "198.51.100.", "203.0.113.")
    assert all((a.entities.address or "192.0.2.1").startswith(ranges) for a in stream.alerts)
