"""Scripted players, so that an exercise runs unattended: to try a scenario in a second, and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol

from turncoat.scenarios.errors import InputError

from .agenda import earliest
from .engine import Exercise
from .records import Occurrence, Role
from .view_records import AlertView, PlayerView

STRIDE = timedelta(hours=1)
"""Simulated time between two looks of a scripted team, where nothing happens."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a scripted player does."""

    role: Role
    kind: str
    fields: Mapping[str, Any]


class Team(Protocol):
    """Players by rule. They see what people in their roles would see, and nothing else."""

    @property
    def name(self) -> str: ...

    def moves(self, desk: PlayerView) -> Iterator[Act]:
        """What the team does now, given what the lead can see."""
        ...


class CarelessTeam:
    """Reads what it is handed, and believes that this is all there is."""

    name = "careless"

    def moves(self, desk: PlayerView) -> Iterator[Act]:
        for alert in desk.alerts:
            if not alert.opened:
                yield Act("analyst", "open", {"uid": alert.uid})


class CarefulTeam:
    """Audits a sample of what was dismissed every day, asks further tools, and draws the consequences.

    Knows no truth: an account of which the model dismissed several grave alerts is audited as a whole; where those keep
    adding up, the account is disabled and the model replaced.
    """

    name = "careful"
    sample, grave, enough = 12, ("medium", "high", "critical"), 3

    def __init__(self) -> None:
        self._audited_on: set[str] = set()
        self._looked_into: set[str] = set()

    def moves(self, desk: PlayerView) -> Iterator[Act]:
        for alert in desk.alerts:
            if not alert.opened:
                yield Act("analyst", "open", {"uid": alert.uid})
        day = desk.clock.now.date().isoformat()
        if day not in self._audited_on and desk.clock.now.hour >= 12 and desk.dismissed:
            self._audited_on.add(day)
            yield Act("lead", "audit", {"count": self.sample})
        for user, alerts in _doubtful(desk, self.grave).items():
            if len(alerts) >= 2 and user not in self._looked_into:
                self._looked_into.add(user)
                yield Act("lead", "audit", {"count": 50, "user": user})
            if len(alerts) >= self.enough and user not in desk.disabled:
                yield from self._consequences(desk, user, alerts)

    def _consequences(self, desk: PlayerView, user: str, alerts: list[AlertView]) -> Iterator[Act]:
        for alert in alerts:
            if alert.override is None:
                reason = f"one of {len(alerts)} grave alerts of {user} that were dismissed"
                yield Act("analyst", "override", {"uid": alert.uid, "action": "escalate", "reason": reason})
        yield Act("lead", "preserve", {"target": user, "reason": "before anything is switched off"})
        yield Act("lead", "call", {"whom": "hr", "about": f"what is known of {user}?"})
        yield Act("lead", "call", {"whom": "legal", "about": f"may we look into what {user} did?"})
        yield Act("lead", "disable", {"user": user, "reason": f"{len(alerts)} grave alerts, all dismissed"})
        if desk.model == "deployed":
            yield Act("lead", "swap", {"reason": f"it dismisses whatever {user} does"})
        if desk.declared is None:
            yield Act("executive", "declare", {"summary": f"Misuse of the account {user}; the triage model hid it."})


def _doubtful(desk: PlayerView, grave: tuple[str, ...]) -> dict[str, list[AlertView]]:
    """User -> grave alerts that the model dismissed and an audit has found."""
    found: dict[str, list[AlertView]] = {}
    for alert in desk.alerts:
        user = alert.entities.get("user")
        if user and alert.action == "dismiss" and alert.severity in grave:
            found.setdefault(user, []).append(alert)
    return found


TEAMS: Mapping[str, Callable[[], Team]] = MappingProxyType({"careless": CarelessTeam, "careful": CarefulTeam})
"""Scripted teams by name."""


def open_team(name: str) -> Team:
    """The scripted team of that name.

    Raises:
        InputError: There is none; the known ones are listed.
    """
    if name not in TEAMS:
        raise InputError.at("--team", f"unknown team {name!r}", f"known are {', '.join(sorted(TEAMS))}")
    return TEAMS[name]()


def play_alone(
    exercise: Exercise, team: Team, on_event: Callable[[Occurrence], None] = lambda event: None
) -> list[Occurrence]:
    """Plays an exercise to its end without waiting for any clock.

    Args:
        exercise: Opened, at its beginning or anywhere in it.
        team: Acts after whatever happens, and once in a `STRIDE`.
        on_event: Told of every event.

    Returns:
        All events of the exercise.
    """
    stop = exercise.subscribe(on_event)
    try:
        if exercise.state.mode == "waiting":
            exercise.act("facilitator", "start")
        while exercise.state.mode != "ended":
            if exercise.state.mode == "paused":
                exercise.act("facilitator", "resume")
            for move in team.moves(exercise.view("lead")):
                _attempt(exercise, move, team.name)
            draft = earliest(exercise.material, exercise.state)
            stride = exercise.now + STRIDE
            exercise.run_to(min(draft.at, stride) if draft is not None else stride)
    finally:
        stop()
    return exercise.events()


def _attempt(exercise: Exercise, move: Act, name: str) -> None:
    """A rule may ask for what is done already; the refusal is its answer."""
    try:
        exercise.act(move.role, move.kind, move.fields, name)
    except InputError:
        return
