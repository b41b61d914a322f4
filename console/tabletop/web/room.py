"""The room: who looks at what, and the HTML that each role gets. All roles share one clock; each has a board of its own.

What a role may know is decided by `Exercise.view` before anything is rendered, and a board is never shared between roles.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import PLAYERS, ROLES, Role
from turncoat.agent.exercise.view_records import AlertView, ClockView, FacilitatorView, PlayerView
from turncoat.agent.exercise.views import clock_view

from ...terminal import clean
from .access import Access
from .board import Board, Viewer
from .render import Pages, length_of
from .reports import Reports

SHOWN_ALERTS = 40
SHOWN_LINES = 60
"""What a panel shows at most, so that an update stays small; a page of its own shows all."""
SPEEDS = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
CASES = 64
"""Boards of cases that are kept when nobody looks at them."""

PLAYER_PANELS = ("clock", "after", "notices", "alerts", "situation", "works", "log")
FACILITATOR_PANELS = (
    "clock", "after", "controls", "steps", "hidden", "alerts", "expected", "situation", "works", "injects", "remarks",
    "discussion", "people", "log",
)  # fmt: skip
CASE_PANELS = ("clock", "standing", "evidence")


@dataclass
class Shown:
    """A board, and what of the exercise it shows."""

    board: Board
    seq: int = -1
    people: int = -1
    alerts: frozenset[str] = frozenset()
    injects: frozenset[int] = frozenset()


@dataclass
class Room:
    """One exercise with its people. Belongs to one event loop."""

    exercise: Exercise
    access: Access
    pages: Pages
    reports: Reports
    trouble: Callable[[Exception], None]
    """Is told of what whoever runs the server has to mend."""
    _rooms: dict[Role, Shown] = field(default_factory=dict)
    _cases: dict[tuple[Role, str], Shown] = field(default_factory=dict)
    _people: int = 0
    """Grows with every coming and going."""
    _touched: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self) -> None:
        """Sends what has changed to everybody who looks."""
        for role, shown in self._rooms.items():
            if shown.board.viewers:
                self._refresh_room(role, shown)
        for (role, uid), shown in self._cases.items():
            if shown.board.viewers:
                self._refresh_case(role, uid, shown)

    def touch(self) -> None:
        """Notes that something has happened, which the pump then publishes."""
        self._touched.set()

    def stir(self) -> None:
        """Notes that people came or went, or that codes or the report changed."""
        self._people += 1
        self.touch()

    async def rest(self, shortest_s: float, longest_s: float) -> None:
        """Until something has happened, within these bounds; what happens in a burst gathers meanwhile."""
        await asyncio.sleep(shortest_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._touched.wait(), max(0.0, longest_s - shortest_s))
        self._touched.clear()

    def board(self, role: Role) -> Board:
        """A role's main page, up to date."""
        shown = self._rooms.setdefault(role, Shown(Board()))
        self._refresh_room(role, shown)
        return shown.board

    def case_board(self, role: Role, uid: str) -> Board | None:
        """The page of one case, up to date; None where the role may not know of such an alert."""
        if self.alert(role, uid) is None:
            return None
        shown = self._cases.setdefault((role, uid), Shown(Board()))
        self._refresh_case(role, uid, shown)
        idle = [key for key, case in self._cases.items() if not case.board.viewers and key != (role, uid)]
        for key in idle[: max(0, len(self._cases) - CASES)]:
            del self._cases[key]
        return shown.board

    def alert(self, role: Role, uid: str) -> AlertView | None:
        """An alert that the role may know of."""
        view = self.exercise.view(role)
        found = next((alert for alert in view.alerts if alert.uid == uid), None)
        if found is None and isinstance(view, FacilitatorView):
            found = next((item.alert for item in view.hidden if item.alert.uid == uid), None)
        return found

    def close_viewers(self, session_id: str = "") -> None:
        """Ends the event streams of one person, or of everybody."""
        for shown in (*self._rooms.values(), *self._cases.values()):
            for viewer in tuple(shown.board.viewers):
                if not session_id or viewer.session_id == session_id:
                    viewer.close()

    def viewers(self, session_id: str) -> list[Viewer]:
        """The event streams that a person has open, the oldest first."""
        boards = [shown.board for shown in (*self._rooms.values(), *self._cases.values())]
        own = [viewer for board in boards for viewer in board.viewers if viewer.session_id == session_id]
        return sorted(own, key=lambda viewer: viewer.since_s)

    def values(self, role: Role) -> dict[str, Any]:
        """What every template of a role may use."""
        view = self.exercise.view(role)
        return self._clock_values(view.clock) | {
            "view": view,
            "role": role,
            "exercise_title": view.title,
            "costs": _costs(view.costs_minutes),
            "form_token": self.access.form_token(role),
            "shown": SHOWN_ALERTS,
            "speeds": sorted({*SPEEDS, view.clock.speed}),
            "report_ready": self.reports.final(),
        }

    def _refresh_room(self, role: Role, shown: Shown) -> None:
        if (shown.seq, shown.people) == (self.exercise.state.seq, self._people):
            return self._refresh_clock(shown.board)
        values = self.values(role)
        view: PlayerView = values["view"]
        if isinstance(view, FacilitatorView):
            values |= self._facilitator_values(view)
        names = FACILITATOR_PANELS if role == "facilitator" else PLAYER_PANELS
        said = _said(view, shown) if shown.seq >= 0 else ""
        shown.board.show({name: self._panel(name, values) for name in names}, said)
        shown.seq, shown.people = self.exercise.state.seq, self._people
        shown.alerts = frozenset(alert.uid for alert in view.alerts)
        shown.injects = frozenset(inject.seq for inject in view.injects)
        return None

    def _refresh_case(self, role: Role, uid: str, shown: Shown) -> None:
        if shown.seq == self.exercise.state.seq:
            return self._refresh_clock(shown.board)
        alert = self.alert(role, uid)
        if alert is not None:
            values = self.values(role) | {"alert": alert, "truth": self.truth(role, uid)}
            shown.board.show({name: self._panel(name, values) for name in CASE_PANELS})
            shown.seq = self.exercise.state.seq
        return None

    def truth(self, role: Role, uid: str) -> Any:
        """What is so about an alert, for the facilitator; None for anybody else."""
        view = self.exercise.view(role)
        return view.truths.get(uid) if isinstance(view, FacilitatorView) else None

    def _refresh_clock(self, board: Board) -> None:
        clock = clock_view(self.exercise.material, self.exercise.state, self.exercise.now)
        board.show({"clock": self._panel("clock", self._clock_values(clock))})

    def _clock_values(self, clock: ClockView) -> dict[str, Any]:
        length = (clock.ends - clock.begins) / timedelta(seconds=1)
        played = (clock.now - clock.begins) / timedelta(seconds=1)
        progress = round(1000 * min(1.0, max(0.0, played / length))) if length > 0 else 0
        local = clock.now.astimezone(ZoneInfo(clock.zone))
        return {"clock": clock, "zone": clock.zone, "progress": progress, "local": local}

    def _facilitator_values(self, view: FacilitatorView) -> dict[str, Any]:
        attacks_first = sorted(view.hidden, key=lambda item: not item.truth.malicious)
        people = [
            {"id": person.id, "name": person.name, "role": person.role, "here": bool(self.viewers(person.id))}
            for person in self.access.sessions()
        ]
        open_roles = self.access.open_roles()
        codes = [{"role": role, "open": role in open_roles} for role in ROLES]
        return {"hidden_shown": attacks_first[:SHOWN_ALERTS], "people": people, "codes": codes, "players": PLAYERS}

    def _panel(self, name: str, values: Mapping[str, Any]) -> str:
        template = "queue" if name == "alerts" and values.get("role") == "facilitator" else name
        lines = {"shown": SHOWN_LINES} if name == "log" else {}
        return self.pages.html(f"panels/{template}.html", {**values, **lines})


def _costs(minutes: Mapping[str, float]) -> dict[str, str]:
    told = {kind: length_of(60 * value) for kind, value in minutes.items()}
    return told | {"call": f"HR {told['call hr']}, legal {told['call legal']}"}


def _said(view: PlayerView, before: Shown) -> Markup:
    """What a screen reader is told: that something came, and what if it is one thing."""
    alerts = [alert for alert in view.alerts if alert.uid not in before.alerts]
    injects = [inject for inject in view.injects if inject.seq not in before.injects]
    words = [f"For you: {clean(inject.text, 300)}" for inject in injects]
    if len(alerts) == 1:
        words.append(f"New alert, {alerts[0].severity}: {clean(alerts[0].title, 200)}")
    elif alerts:
        words.append(f"{len(alerts)} new alerts")
    return escape(". ".join(words))
