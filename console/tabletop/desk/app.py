"""The application: lets the clock run, does what keys ask for, and shows pages and forms one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.app import App
from textual.screen import ModalScreen, Screen
from textual.theme import Theme

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.forms import roles_for
from turncoat.agent.exercise.records import PLAYERS, Occurrence, Role
from turncoat.agent.exercise.view_records import ClockView, FacilitatorView
from turncoat.agent.exercise.views import clock_view
from turncoat.console.terminal import clean
from turncoat.scenarios.errors import InputError, RunError, TurncoatError

from .briefing import briefing, ending, help_page, notice
from .deeds import BY_KIND, DEEDS, FEEDBACK, WAITED_FOR, Deed, cost_words, form_of, menu_words
from .held_clock import HeldClock
from .pages import Form, Menu, Page
from .screen import DeskScreen
from .words import BAD, QUIET, full_time, outside

PULSE_S = 0.25
PLAYER = "player"
"""Display name of the person at the desk."""
SPEEDS = (1, 10, 30, 60, 120, 300, 600)
THEME = Theme(
    "turncoat", primary="#7fb4ca", secondary="#6a7d8f", accent="#7fb4ca", foreground="#dcd7ba", background="#12161b",
    surface="#171c22", panel="#222a33", success="#98bb6c", warning="#e6c384", error="#e46876", dark=True,
)  # fmt: skip


class DeskApp(App[None]):
    """One exercise, opened, in a terminal.

    Args:
        exercise: Stays open when the app ends; everything that happens is recorded at once.
        report: Writes the after-action report once the exercise has ended, and says where.
        seconds: A clock that never goes back.
    """

    TITLE = "Turncoat tabletop"
    CSS_PATH = "desk.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        exercise: Exercise,
        *,
        report: Callable[[Exercise], Path] | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.exercise = exercise
        self._report = report
        self.clock = HeldClock(seconds)
        self.desk = DeskScreen()
        self.fault: Exception | None = None
        """Why it could not go on, if it could not."""
        self._notices: list[Occurrence] = []
        self._told_the_end = False
        self.register_theme(THEME)
        self.theme = THEME.name

    def get_default_screen(self) -> Screen[None]:
        return self.desk

    def on_ready(self) -> None:
        for role in PLAYERS:
            self.record(lambda role=role: self.exercise.join(role, PLAYER))  # type: ignore[misc]
        mode = self.exercise.state.mode
        if mode == "waiting":
            hint = "Enter starts the clock   Esc goes to the desk first"
            self.consult(self._briefing(hint), lambda _: self.control("start"))
        elif mode == "ended":
            self._show_next()
        else:
            at = full_time(self.exercise.now, self.clock_view().zone)
            body = Text(f"It is {at}, and all is as you left it. While you were away no time has passed.")
            self.consult(Page("Welcome back", body))
        self.set_interval(PULSE_S, self.pulse)

    def pulse(self) -> None:
        """Lets the clock run on to now; not while the desk is being set up or cleared."""
        if not self.desk.ready:
            return
        self.record(lambda: self.exercise.advance(self.clock()))
        self.desk.refresh_clock()

    def clock_view(self) -> ClockView:
        """The clock as of now."""
        return clock_view(self.exercise.material, self.exercise.state, self.exercise.now)

    def record(self, change: Callable[[], Sequence[Occurrence]]) -> None:
        """Makes a change to the exercise and shows what it brought.

        Raises:
            InputError: It was refused. Any other fault that a person can mend ends the app, and is told afterwards.
        """
        try:
            events = change()
        except (RunError, OSError) as fault:
            self.fault = fault
            self.exit()
            return
        self._notices += [event for event in events if event.kind == "inject"]
        if any(event.kind != "tick" for event in events):
            self.desk.refresh_view()
            self._show_next()

    def do(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Something that the team does, in the first role that may do it. Raises InputError if it is refused."""
        role, wait = roles_for(kind)[0], kind in WAITED_FOR
        self.record(lambda: self.exercise.act(role, kind, payload, PLAYER, wait=wait))
        if kind == "ask":
            self.desk.show_answer()

    def note_opened(self, uid: str) -> None:
        """Records that a case was opened for the first time while the exercise is played."""
        if uid not in self.exercise.state.opened and self.exercise.state.mode in ("running", "paused"):
            self.do("open", {"uid": uid})

    def control(self, kind: str, payload: Mapping[str, Any] | None = None) -> None:
        """Something that is done to the clock; a refusal is shown for a moment."""
        role: Role = "facilitator"
        try:
            self.record(lambda: self.exercise.act(role, kind, payload or {}, PLAYER))
        except InputError as fault:
            self.say(str(fault))

    def say(self, words: str) -> None:
        """A message that goes away by itself."""
        self.notify(clean(words), severity="warning", timeout=4, markup=False)

    def consult(self, page: ModalScreen[Any], then: Callable[[Any], None] | None = None) -> None:
        """Shows a page or a form, and goes on with a yes or a choice. Meanwhile no simulated time passes by itself."""
        self.record(lambda: self.exercise.advance(self.clock()))
        self.clock.hold()

        def closed(answer: Any) -> None:
            self.clock.release()
            if answer and then is not None:
                then(answer)
            self._show_next()

        self.push_screen(page, closed)

    def action_deed(self, kind: str) -> None:
        """Opens the form of something that can be done."""
        if self._playing():
            self._open_form(BY_KIND[kind])

    def action_menu(self) -> None:
        """All that can be done, with what it costs."""
        view = self.desk.view
        rows = tuple(
            (deed.kind, Text.assemble(f"{deed.shown}  {deed.title:<36}", (menu_words(deed, view), QUIET)))
            for deed in DEEDS
            if deed.kind != "open"
        )
        self.consult(Menu("What you can do", rows), self.action_deed)

    def action_pause(self) -> None:
        """Starts the clock, pauses it, or lets it run again."""
        self.control({"waiting": "start", "paused": "resume"}.get(self.exercise.state.mode, "pause"))

    def action_skip(self, minutes: int | None = None) -> None:
        """On to the next event that players can see, or by some minutes."""
        if self._playing():
            self.control("skip", {"minutes": minutes})

    def action_speed(self, step: int) -> None:
        """To the next faster or slower speed."""
        speed = self.exercise.state.speed
        further = [s for s in SPEEDS if s > speed] if step > 0 else [s for s in reversed(SPEEDS) if s < speed]
        if further:
            self.control("speed", {"speed": further[0]})

    def action_briefing(self) -> None:
        """The briefing again."""
        self.consult(self._briefing("Enter goes back"))

    def action_help(self) -> None:
        """All keys."""
        self.consult(Page("Keys", help_page(), "Enter goes back"))

    def action_finish(self) -> None:
        """Ends the exercise, if that is meant."""
        if self.exercise.state.mode == "ended":
            self._tell_the_end()
            return
        body = Text("The exercise ends for good, and you see how it really was.")
        page = Page("End the exercise?", body, "Enter ends it   Esc back")
        self.consult(page, lambda _: self.control("end"))

    def action_leave(self) -> None:
        """Leaves the terminal, if that is meant."""
        if self.exercise.state.mode == "ended":
            self.exit()
            return
        body = Text("All is recorded. The same command with the same --out goes on where you are.")
        page = Page("Quit?", body, "Enter quits   Esc back")
        self.consult(page, lambda _: self.exit())

    def _playing(self) -> bool:
        """Whether anything can be done now; says so if not."""
        mode = self.exercise.state.mode
        if mode == "waiting":
            self.say("the exercise has not begun; Space starts the clock")
        elif mode == "ended":
            self.say("the exercise has ended; e shows how it was")
        return mode in ("running", "paused")

    def _open_form(self, deed: Deed) -> None:
        alert = self.desk.alert
        if deed.of_alert and alert is None:
            self.say("choose an alert of the queue first")
            return
        view = self.desk.view
        form = form_of(deed, self.exercise, view, alert)
        self.consult(
            Form(
                form,
                lambda payload: self.do(deed.kind, payload),
                lambda typed: cost_words(form, typed, self.exercise, view),
            )
        )

    def _briefing(self, hint: str) -> Page:
        return Page("Briefing", briefing(self.exercise, self.desk.view), hint, wide=True)

    def _show_next(self) -> None:
        """The next notice, or the last page; one at a time, and never above a form."""
        if len(self.screen_stack) > 1:
            return
        if self._notices:
            title, body = notice(self._notices.pop(0), self.clock_view().zone)
            self.desk.bring_to_front("notices")
            self.consult(Page(title, body))
        elif self.exercise.state.mode == "ended" and not self._told_the_end:
            self._tell_the_end()

    def _report_words(self) -> Text:
        """Where the after-action report lies, or why it does not."""
        if self._report is None:
            return Text.assemble("The exercise is kept in ", outside(self.exercise.path, "bold", 300), ".")
        try:
            place = self._report(self.exercise)
        except (TurncoatError, OSError) as fault:
            return Text.assemble(("There is no after-action report: ", BAD), outside(fault, BAD, 300))
        return Text.assemble("After-action report: ", outside(place, "bold", 300))

    def _tell_the_end(self) -> None:
        self._told_the_end = True
        view = self.exercise.view("facilitator")
        if isinstance(view, FacilitatorView):
            hint = "Enter: what you think of it   Esc back to the desk"
            page = Page("The exercise has ended", ending(view, self._report_words()), hint, wide=True)
            self.consult(page, lambda _: self._open_form(FEEDBACK))
