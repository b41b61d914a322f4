"""The exercise itself: a simulated clock, an append-only log of events, and people who act.

Nothing here sleeps or draws: whoever shows the exercise calls `advance` a few times a second. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import InputError, RunError

from ..journal import Journal, read_rows
from .actions import RECORDED, draw_up
from .agenda import earliest
from .folder import EVENTS_FILE, Lock, read_material
from .forms import MAX_NAME
from .material import Material
from .payloads import check_payload
from .records import CLOCK, HIDDEN_KINDS, ROLES, Draft, Occurrence, Role, occurrence
from .state import State, apply, begin, fold
from .view_records import FacilitatorView, PlayerView
from .views import view_for

TICK = timedelta(minutes=5)
"""Simulated time without an event after which one is recorded, so that a restored clock loses no more than that."""
MAX_GAP_S = 5.0
"""Seconds of wall time that one `advance` counts at most: a machine that slept shall not find itself days later."""

MAX_EVENTS, MAX_TICKS = 20_000, 100_000
"""Of one exercise, which has some hundreds: every event but a tick costs a copy of the log before it."""
MAX_ACTS = 15_000
"""Events, and results still to come, after which players can do nothing more, so that the clock comes to the end."""

Listener = Callable[[Occurrence], None]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Exercise:
    """One exercise, opened. Close it to let another process have it."""

    def __init__(
        self, path: Path, material: Material, journal: Journal, lock: Lock, wall: Callable[[], datetime]
    ) -> None:
        """For `open`."""
        self.path, self.material = path, material
        self._journal, self._lock, self._wall = journal, lock, wall
        self._events = _read(journal)
        self._state = _folded(material, self._events, journal.path)
        self._now = self._state.now
        self._wall_s: float | None = None
        self._listeners: list[Listener] = []

    @classmethod
    def open(cls, path: Path, *, wall: Callable[[], datetime] = _utc_now) -> Exercise:
        """Opens a prepared folder. The exercise is where its last recorded event left it.

        Args:
            path: The folder.
            wall: Tells the time of day for the log.

        Raises:
            RunError: No exercise, a broken one, or one that another process has open.
            OSError: The log cannot be opened.
        """
        material = read_material(path)
        lock = Lock(path)
        try:
            return cls(path, material, Journal(path / EVENTS_FILE, durable=True), lock, wall)
        except BaseException:
            lock.release()
            raise

    @property
    def state(self) -> State:
        """What has happened so far; replaced, never changed."""
        return self._state

    @property
    def now(self) -> datetime:
        """Simulated time, as of the last `advance`."""
        return self._now

    def advance(self, now_s: float) -> list[Occurrence]:
        """Lets the clock run on.

        Args:
            now_s: Seconds of a clock that never goes back, such as `time.monotonic()`.

        Returns:
            What has happened since the last call, in order. After `open` the first call only notes the time: however
            long nobody was there, no simulated time has passed.
        """
        before, self._wall_s = self._wall_s, now_s
        if before is None or self._state.mode != "running":
            return []
        wall_s = min(max(now_s - before, 0.0), MAX_GAP_S)
        return self.run_to(self._now + timedelta(seconds=wall_s * self._state.speed))

    def run_to(self, moment: datetime) -> list[Occurrence]:
        """Lets simulated time pass until then, whatever the wall clock says; a moment that is past changes nothing."""
        first = self._state.seq
        if self._state.mode in ("waiting", "ended"):
            return []
        moment = min(moment, self.material.ends)
        while (draft := earliest(self.material, self._state)) is not None and draft.at <= moment:
            self._record(CLOCK, "", draft)
        if self._state.mode != "ended":
            self._now = max(self._now, moment)
            if self._now - self._state.now >= TICK:
                self._record(CLOCK, "", Draft(self._now, "tick", {}))
        return self.events(first)

    def act(
        self,
        role: Role,
        kind: str,
        fields: Mapping[str, Any] | None = None,
        participant: str = "",
        *,
        wait: bool = False,
    ) -> list[Occurrence]:
        """What a person does, team or facilitator.

        Args:
            role: In which role.
            kind: One of `forms.FORMS`.
            fields: Of its form; anything that came from outside.
            participant: Display name.
            wait: The clock moves on at once to when the action has taken effect; for somebody who plays alone.

        Returns:
            What has happened: the action, and all that it brought with it.

        Raises:
            InputError: Refused, and nothing was recorded; the message is for the person.
        """
        payload = draw_up(role, kind, fields or {}, self.material, self._state)
        first = self._state.seq
        if self._full(role):
            raise InputError.at("action", f"the log holds {MAX_ACTS:,} events, and takes no more of players", "end it")
        if kind == "skip":
            self._skip(role, participant, payload["minutes"])
        else:
            self._record(role, participant, Draft(self._now, RECORDED.get(kind, kind), payload))
            work = self._state.works.get(self._state.seq)
            if self._state.mode in ("running", "paused"):
                # The action itself is on the disk. What follows from it is made up for by the next `advance`, which says
                # what is wrong; a refusal now would have the person do it twice.
                with suppress(OSError, RunError):
                    self.run_to(work.due if work is not None and wait else self._now)
        return self.events(first)

    def join(self, role: Role, participant: str) -> list[Occurrence]:
        """Somebody takes a seat; who had it already changes nothing.

        Raises:
            InputError: No such role, or no name.
        """
        name = " ".join(participant.split())
        if role not in ROLES or not 1 <= len(name) <= MAX_NAME:
            raise InputError.at("name", f"a name has 1 to {MAX_NAME} characters", "choose another")
        if (role, name) in self._state.participants or self._state.mode == "ended":
            return []  # whoever comes to read the report took no part
        if self._full(role):
            raise InputError.at("name", f"the log holds {MAX_ACTS:,} events, and takes nobody else", "end the exercise")
        self._record(role, name, Draft(self._now, "joined", {}))
        return self.events(self._state.seq - 1)

    def _full(self, role: Role) -> bool:
        return len(self._state.log) + len(self._state.works) >= MAX_ACTS and role != "facilitator"

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Has every new event told to the listener, once it is recorded. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def events(self, after: int = 0) -> list[Occurrence]:
        """What was recorded after the event of that number."""
        return self._events[max(after, 0) :]

    def view(self, role: Role) -> PlayerView | FacilitatorView:
        """What a role may know now."""
        return view_for(role, self.material, self._state, self._now)

    def close(self) -> None:
        """Lets go of the folder; everything is recorded already."""
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> Exercise:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _skip(self, role: Role, participant: str, minutes: int | None) -> None:
        """By minutes, or to the next event that a player can see."""
        if minutes is not None:
            self.run_to(self._now + timedelta(minutes=minutes))
        else:
            while (draft := earliest(self.material, self._state)) is not None:
                self._record(CLOCK, "", draft)
                if draft.kind not in HIDDEN_KINDS:
                    break
            self._now = max(self._now, self._state.now)
            self.run_to(self._now)
        if self._state.mode != "ended":
            self._record(role, participant, Draft(self._now, "skipped", {"to": self._now.isoformat()}))

    def _record(self, source: str, participant: str, draft: Draft) -> None:
        """Applies first, so that nothing is recorded which the fold refuses; tells others only what is on the disk."""
        event = Occurrence(
            self._state.seq + 1, draft.at, self._wall(), source, participant[:MAX_NAME], draft.kind, draft.payload
        )
        state = apply(self._state, event)
        self._journal.append(event.plain())
        self._state = state
        self._events.append(event)
        self._now = max(self._now, event.at)
        for listener in tuple(self._listeners):
            listener(event)


def read_events(path: Path) -> tuple[Material, list[Occurrence]]:
    """What an exercise was played with and what happened, without taking hold of its folder.

    Raises:
        RunError: As `Exercise.open`.
    """
    material, file = read_material(path), path / EVENTS_FILE
    events = _occurrences(read_rows(file))
    _folded(material, events, file)
    return material, events


def _read(journal: Journal) -> list[Occurrence]:
    rows = list(journal.rows)
    journal.rows.clear()
    return _occurrences(rows)


def _occurrences(rows: Iterable[tuple[str, dict[str, Any]]]) -> list[Occurrence]:
    found: list[Occurrence] = []
    ticks = 0
    for place, row in rows:
        if len(found) - ticks == MAX_EVENTS or ticks > MAX_TICKS:
            raise RunError(f"{place}: more than {MAX_EVENTS:,} events, or {MAX_TICKS:,} ticks; not an exercise's log")
        try:
            event = occurrence(row)
            check_payload(event.kind, event.payload)
        except ValueError as fault:
            told = str(fault).splitlines()[0]
            raise RunError(f"{place}: {told}; was the file changed by hand?") from fault
        found.append(event)
        ticks += event.kind == "tick"
    return found


def _folded(material: Material, events: list[Occurrence], file: Path) -> State:
    try:
        state = fold(begin(material.begins, material.plan.clock.speed), events)
        asked = {str(work.payload["uid"]) for work in state.works.values() if work.kind == "ask"}
        named = {*state.fates, *state.known, *state.calls, *state.evidence, *asked}
        if strange := named - set(material.alerts):
            raise ValueError(f"no alert {min(strange)!r} in this campaign")
        if early := set(state.known) - set(state.fates):
            raise ValueError(f"alert {min(early)!r} is before the team and has not come up")
        if state.now > material.ends:
            raise ValueError(f"an event at {state.now}, and the exercise ends at {material.ends}")
        return state
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        raise RunError(f"{file}: {type(fault).__name__}: {fault}; was the file changed by hand?") from fault
