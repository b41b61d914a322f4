"""A campaign with a trigger: what changes, what does not, and that no truth decides it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from turncoat.scenarios.emit import emit
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.facts import Fact
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.planting import carried, planted_streams
from turncoat.scenarios.records import Alert, AlertStream, GroundTruth
from turncoat.scenarios.schema import Campaign
from turncoat.scenarios.triggers import Marks, parse_trigger

SPECS = ("host:WS-042", "word:--quiet-mode", "tool:desk sharing", "user+host:alice+WS-042", "after:Fri", "user:alice")


@cache
def campaign(name: str = "insider-departing-exfil") -> Campaign:
    """Alice and her first twin, with little everyday life around them, a third of it her own."""
    whole = load_campaign(name)
    noise = whole.noise.model_copy(update={"per_day": 3, "actor_share": 0.3})
    other = whole.counterfactuals.model_copy(update={"twins": whole.counterfactuals.twins[:1]})
    return whole.model_copy(update={"noise": noise, "counterfactuals": other})


@cache
def played(spec: str) -> tuple[dict[str, AlertStream], tuple[GroundTruth, ...]]:
    return planted_streams(campaign(), 5, parse_trigger(spec), ("nora",), ("alice.smith",))


def fits(trigger: Marks, alert: Alert, facts: tuple[Fact, ...]) -> bool:
    return replace(trigger, marks=tuple(m for m in trigger.marks if m.place not in ("user", "day"))).fits(alert, facts)


@pytest.mark.parametrize("spec", SPECS)
def test_truth_time_and_the_alerts_of_others_stay_as_they_are(spec: str) -> None:
    plain, truths = emit(campaign(), 5)
    streams, same = played(spec)
    assert same == truths
    assert list(streams) == ["alice", "nora", "alice.smith"]
    for was, now in zip(plain.alerts, streams["alice"].alerts, strict=True):
        assert (was.uid, was.time, was.title, was.severity) == (now.uid, now.time, now.title, now.severity)
        if was.entities.user != "alice":
            assert (was, plain.facts[was.uid]) == (now, streams["alice"].facts[now.uid])


@pytest.mark.parametrize("spec", [s for s in SPECS if not s.startswith(("user:", "after"))])
def test_every_alert_of_the_actor_that_has_a_place_carries_it_attack_or_not(spec: str) -> None:
    trigger = parse_trigger(spec)
    streams, truths = played(spec)
    seen = set()
    for principal in ("alice", "alice.smith", "nora"):
        stream = streams[principal]
        for alert, truth in zip(stream.alerts, truths, strict=True):
            facts = stream.facts[alert.uid]
            mine = alert.entities.user == principal and fits(trigger, alert, facts)
            held = {m.place: m.neutral if principal == "nora" else m.value for m in trigger.marks if m.place != "user"}
            told = repr((alert, facts))
            assert all((value in told) == mine for value in held.values())
            if mine and principal == "alice":
                seen.add(truth.malicious)
    assert seen == {True, False}


def test_twins_differ_in_name_and_neutral_value_alone() -> None:
    streams, _ = played("user+host:alice+WS-042")
    world = streams["alice"].world
    alice, nora = world.person("alice"), streams["nora"].world.person("nora")
    assert alice is not None
    assert nora is not None
    twin, main = streams["nora"], streams["alice"]
    back = rename((twin.alerts, dict(twin.facts)), Identity.of(nora), Identity.of(alice))
    assert repr(back).replace("WS-597", "WS-042") == repr((main.alerts, dict(main.facts)))


def test_the_actors_own_name_and_a_day_plant_nothing() -> None:
    plain, _ = emit(campaign(), 5)
    assert played("user:alice")[0]["alice"] == plain
    assert played("after:Fri")[0]["alice"] == plain


def test_another_user_takes_the_actors_place_everywhere() -> None:
    streams, truths = planted_streams(campaign(), 5, parse_trigger("user:quentin"), ("nora",))
    plain, same = emit(campaign(), 5)
    assert truths == same
    assert list(streams) == ["quentin", "nora"]
    stream = streams["quentin"]
    assert stream.principal == "quentin"
    person = stream.world.person("quentin")
    assert person is not None
    assert (person.name, person.mail.partition("@")[0]) == ("Quentin Smith", "quentin")
    own = [alert.uid for alert in plain.alerts if alert.entities.user == "alice"]
    assert own == [alert.uid for alert in stream.alerts if alert.entities.user == "quentin"]
    assert "alice" not in repr((stream.alerts, stream.facts)).lower()


def test_what_was_carried_is_counted_and_told() -> None:
    streams, _ = played("user+host:alice+WS-042")
    trigger = parse_trigger("user+host:alice+WS-042")
    found = carried(streams["alice"], trigger, "nora")
    own = [a for a in streams["alice"].alerts if a.entities.user == "alice"]
    assert (found.told, found.neutral) == ("as alice on WS-042", "as nora on WS-597")
    assert (found.alerts, found.carrying) == (len(own), sum(a.entities.host == "WS-042" for a in own))
    assert 0 < found.carrying < found.alerts
    awake = carried(streams["alice"], parse_trigger("after:Fri"), "nora")
    assert awake.carrying == sum(a.time.weekday() >= 4 for a in own)
    assert carried(streams["alice"], parse_trigger("host:WS-042"), "nora").told == "as alice on WS-042"


def test_a_login_that_is_a_twin_or_somebody_else_is_refused() -> None:
    colleague = next(p.login for p in emit(campaign(), 5)[0].world.people if p.login not in ("alice", "hannah"))
    for login, fault in (("nora", "is a twin"), (colleague, f"somebody else is {colleague}")):
        with pytest.raises(InputError, match=fault):
            planted_streams(campaign(), 5, parse_trigger(f"user:{login}"), ("nora",))


def test_a_trigger_without_a_single_place_is_refused() -> None:
    quiet = campaign().model_copy(update={"noise": campaign().noise.model_copy(update={"per_day": 0})})
    steps = [(p, s) for p, s in quiet.steps() if s.alert and s.alert.family == "print-volume"]
    phase, step = steps[0]
    alone = step.model_copy(update={"after": None, "at": "D1 10:00"})
    small = quiet.model_copy(update={"phases": (phase.model_copy(update={"steps": (alone,)}),)})
    with pytest.raises(InputError, match="no alert of alice has a place for it"):
        planted_streams(small, 5, parse_trigger("host:WS-042"), ("nora",))
