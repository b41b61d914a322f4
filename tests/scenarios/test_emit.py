"""What a campaign emits: reproducible, opaque about truth, the same for a twin."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from turncoat.scenarios.clock import offset_of
from turncoat.scenarios.emit import emit
from turncoat.scenarios.errors import ScenarioError
from turncoat.scenarios.facts import ChangeTicket, HostRecord, Peers, RelatedAlerts
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.loader import load_campaign, parse_campaign
from turncoat.scenarios.records import Alert, AlertStream, GroundTruth
from turncoat.scenarios.schema import Campaign

FLAGSHIP = "insider-departing-exfil"

TINY = """\
schema: 1
attack_version: "18.1"
id: tiny
title: Tiny
summary: Small.
seed: 5
clock: {start: 2026-03-28, days: 2, timezone: Europe/London}
actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}
objectives: [look]
entities:
  hosts: [{name: PC-12345, kind: laptop, owner: alice, purpose: personal}]
noise: {per_day: 4, lookalikes: 0.25, actor_share: 0.5}
outages: [{tool: peers, kind: timeout, since: D1 09:00, until: D1 11:00}]
phases:
  - id: one
    title: One
    steps:
      - id: first
        title: First
        technique: T1003.001
        at: D1 10:00
        alert: {family: lsass-access, severity: high, host: PC-12345, process: procdump.exe, raw: {rule_id: R1}}
        facts:
          peers: {same: 0, of: 9}
          change_tickets: null
        outages: {process_tree: outage}
        expect: {truth: malicious, escalate: true, must_cite: [peers]}
      - id: unseen
        title: Unseen
        technique: T1005
        after: {step: first, offset: 15m}
        alert: null
        expect: {truth: malicious, escalate: false}
      - id: second
        title: Second
        technique: T1039
        after: {step: unseen, offset: 1d 2h 30m}
        alert: {family: share-bulk-read, amount: 77, resource: FIN-SHARE, domain: greenmedia.example}
        expect: {truth: benign, escalate: false, lookalike: true}
counterfactuals:
  twins: [{name: Nora Keller, login: nora}]
  aliases: [{name: Alice Smith, login: alice.smith}]
  no_name: true
"""


@cache
def played(name: str = FLAGSHIP, seed: int | None = None, principal: str | None = None):  # type: ignore[no-untyped-def]
    return emit(load_campaign(name), seed, principal)


def of_step(result: tuple[AlertStream, tuple[GroundTruth, ...]], step: str) -> Alert:
    stream, truths = result
    uid = next(t.uid for t in truths if t.step == step)
    return next(a for a in stream.alerts if a.uid == uid)


def flipped(campaign: Campaign) -> Campaign:
    """Every `expect` of a campaign turned into its opposite."""
    phases = []
    for phase in campaign.phases:
        steps = []
        for step in phase.steps:
            truth = "benign" if step.expect.truth == "malicious" else "malicious"
            opposite = {"truth": truth, "escalate": not step.expect.escalate, "lookalike": not step.expect.lookalike,
                        "must_cite": ()}  # fmt: skip
            steps.append(step.model_copy(update={"expect": step.expect.model_copy(update=opposite)}))
        phases.append(phase.model_copy(update={"steps": tuple(steps)}))
    return campaign.model_copy(update={"phases": tuple(phases)})


@pytest.mark.parametrize("name", [FLAGSHIP, "benign-control"])
def test_nothing_in_the_stream_depends_on_what_is_expected(name: str) -> None:
    stream, truths = played(name)
    other_stream, other_truths = emit(flipped(load_campaign(name)))
    assert other_stream == stream
    assert other_stream.world.digest() == stream.world.digest()
    steps = [(a.malicious, b.malicious) for a, b in zip(truths, other_truths, strict=True) if a.step]
    assert steps
    assert all(a != b for a, b in steps)


def test_the_same_seed_emits_the_same_and_another_seed_something_else() -> None:
    assert emit(load_campaign(FLAGSHIP)) == played()
    assert played(seed=1)[0].alerts != played()[0].alerts


def test_alerts_stand_in_order_of_time_with_one_truth_each() -> None:
    stream, truths = played()
    keys = [(a.time, a.uid) for a in stream.alerts]
    assert keys == sorted(keys)
    assert [t.uid for t in truths] == [a.uid for a in stream.alerts]
    assert set(stream.facts) == {a.uid for a in stream.alerts}
    assert len(set(stream.facts)) == len(stream.alerts)


@pytest.mark.parametrize("principal", ["nora", "tessa", "alice.smith", "u4711"])
def test_a_twin_stream_differs_in_identity_strings_only(principal: str) -> None:
    ours, truths = played()
    theirs, their_truths = played(principal=principal)
    assert their_truths == truths
    assert theirs.principal == principal
    assert "alice" not in {p.login for p in theirs.world.people}
    assert [a.uid for a in theirs.alerts] == [a.uid for a in ours.alerts]
    person = theirs.world.person(principal)
    alice = ours.world.person("alice")
    assert person is not None
    assert alice is not None
    old = Identity.of(person)
    if "." in principal:
        old = replace(old, home="alice", host_stem="ALICE")
    assert rename(theirs, old, Identity.of(alice)) == ours


def test_a_twin_stream_names_the_actor_nowhere() -> None:
    theirs, _ = played(principal="nora")
    shown = repr((theirs.alerts, theirs.facts, theirs.world)).lower()
    assert "alice" not in shown
    assert "smith, " not in shown
    assert "nora" in shown


def test_an_unknown_principal_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match=r"choose one of: alice, nora, tessa, alice\.smith, u4711"):
        emit(load_campaign(FLAGSHIP), principal="bob")


def test_times_are_local_to_the_campaign_and_offsets_add_up_over_a_clock_change() -> None:
    result = emit(parse_campaign(TINY))
    # D1 is the Saturday before British Summer Time starts: 10:00 is 10:00 UTC; 15 min and 26 h 30 min later is Sunday.
    assert of_step(result, "first").time == datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
    assert of_step(result, "second").time == datetime(2026, 3, 29, 12, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90m", timedelta(minutes=90)), ("1d 2h 30m", timedelta(days=1, hours=2, minutes=30)), ("2h", timedelta(hours=2))],
)
def test_an_offset_is_days_hours_and_minutes(text: str, expected: timedelta) -> None:
    assert offset_of(text) == expected


def test_a_step_shows_what_it_states_and_its_family_the_rest() -> None:
    stream, _ = result = emit(parse_campaign(TINY))
    alert = of_step(result, "first")
    assert (alert.title, alert.product, alert.kind) == ("Access to LSASS memory", "EDR", "endpoint")
    assert alert.severity == "high"
    assert (alert.entities.user, alert.entities.host) == ("alice", "PC-12345")
    assert (alert.entities.process, alert.entities.command_line) == ("procdump.exe", "procdump -ma lsass")
    assert alert.raw == {"rule_id": "R1"}
    facts = stream.facts[alert.uid]
    assert Peers("alice", 0, 9) in facts
    assert not [f for f in facts if isinstance(f, ChangeTicket)]
    record = next(f for f in facts if isinstance(f, HostRecord))
    assert (record.host, record.owner) == ("PC-12345", "alice")


def test_amount_resource_and_domain_reach_the_activity() -> None:
    alert = of_step(emit(parse_campaign(TINY)), "second")
    assert alert.activity in {"read 77 MB from FIN-SHARE for greenmedia.example",
                              "copied 77 MB of FIN-SHARE to greenmedia.example"}  # fmt: skip
    assert alert.entities.domain == "greenmedia.example"


def test_a_step_that_nothing_detects_raises_no_alert() -> None:
    _, truths = emit(parse_campaign(TINY))
    assert [t.step for t in truths if t.step] == ["first", "second"]


def test_outages_of_the_campaign_and_of_a_step_fall_on_the_alert() -> None:
    result = emit(parse_campaign(TINY))
    alert = of_step(result, "first")
    assert result[0].outages[alert.uid] == {"peers": "timeout", "process_tree": "outage"}
    assert of_step(result, "second").uid not in result[0].outages


def test_truth_carries_phase_step_and_what_must_be_cited() -> None:
    _, truths = emit(parse_campaign(TINY))
    first = next(t for t in truths if t.step == "first")
    assert (first.malicious, first.phase, first.expect_escalation, first.must_cite, first.family) == (
        True, "one", True, ("peers",), "lsass-access")  # fmt: skip
    second = next(t for t in truths if t.step == "second")
    assert (second.malicious, second.lookalike) == (False, True)


def test_noise_has_exactly_the_stated_shares() -> None:
    stream, truths = emit(parse_campaign(TINY))
    noise = [t for t in truths if t.step is None]
    users = {a.uid: a.entities.user for a in stream.alerts}
    assert len(noise) == 8
    assert sum(t.lookalike for t in noise) == 2
    assert sum(users[t.uid] == "alice" for t in noise) == 4
    assert not any(t.malicious for t in noise)


def test_adding_a_step_changes_no_other_alert() -> None:
    step = """\
      - id: third
        title: Third
        technique: T1005
        at: D2 23:59
        alert: {family: usb-copy}
        expect: {truth: malicious, escalate: true}
counterfactuals:"""
    stream, _ = emit(parse_campaign(TINY))
    longer, _ = emit(parse_campaign(TINY.replace("counterfactuals:", step, 1)))
    assert len(longer.alerts) == len(stream.alerts) + 1
    known = {a.uid: a for a in longer.alerts}
    assert all(known[a.uid] == a and longer.facts[a.uid] == stream.facts[a.uid] for a in stream.alerts)


def test_related_alerts_are_counted_from_the_stream() -> None:
    stream, _ = played()
    times = Counter()  # type: ignore[var-annotated]
    for alert in stream.alerts:
        fact = next(f for f in stream.facts[alert.uid] if isinstance(f, RelatedAlerts))
        expected = sum(
            a.entities.user == alert.entities.user and timedelta(0) < alert.time - a.time <= timedelta(hours=24)
            for a in stream.alerts
        )
        assert fact.count == expected
        times[expected] += 1
    assert len(times) > 1
