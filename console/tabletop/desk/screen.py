"""The desk itself: queue, case, notices, work in hand and log, and the keys for all that can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import DataTable, Footer

from turncoat.agent.exercise.view_records import AlertView

from .case import CasePane
from .deeds import DEEDS
from .pages import SHORT
from .panels import PANELS, Panel, StatusBar
from .queue import Queue
from .view import alert_of, one_player_view

if TYPE_CHECKING:
    from .app import DeskApp

WIDE = 120
"""Columns from which on the case stands beside the queue, and all panels are seen."""
_IN_FOOTER = ("ask", "override", "audit")


class DeskScreen(Screen[None]):
    """Shows the exercise as the players know it. It changes nothing; the app does what its keys ask for."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - so Textual types it
    VERTICAL_BREAKPOINTS = SHORT
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                deed.key, f"app.deed('{deed.kind}')", deed.short, key_display=deed.shown, show=deed.kind in _IN_FOOTER
            )
            for deed in DEEDS
            if deed.kind != "open"
        ),
        Binding("x", "app.menu", "Do"),
        Binding("space", "app.pause", "Pause", key_display="Space"),
        Binding("n", "app.skip", "Next"),
        Binding("N", "app.skip(60)", "An hour on", show=False),
        Binding("plus,equals_sign", "app.speed(1)", "Faster", show=False),
        Binding("minus", "app.speed(-1)", "Slower", show=False),
        Binding("escape", "close_case", "Close", show=False),
        *(Binding(str(number), f"panel('{name}')", name, show=False) for number, name in enumerate(PANELS, 1)),
        Binding("b", "app.briefing", "Briefing", show=False),
        Binding("e", "app.finish", "End", show=False),
        Binding("question_mark,f1", "app.help", "Help", key_display="?"),
        Binding("q", "app.leave", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._open: str | None = None
        self._front = "log"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        with Horizontal(id="desk"):
            yield Queue()
            yield CasePane()
        with Horizontal(id="below"):
            for name in PANELS:
                yield Panel(name)
        yield Footer(show_command_palette=False, compact=True)

    @property
    def desk_app(self) -> DeskApp:
        return cast("DeskApp", self.app)

    @property
    def ready(self) -> bool:
        """Whether there is something to draw on."""
        return bool(self.query(StatusBar)) and bool(self.query(Panel))

    @property
    def alert(self) -> AlertView | None:
        """The open case, or else the alert that is chosen in the queue."""
        return alert_of(self.view, self._open or self.query_one(Queue).chosen)

    def on_mount(self) -> None:
        self.refresh_view()
        self.query_one(Queue).focus()

    def on_resize(self) -> None:
        self.refresh_view()

    def refresh_view(self) -> None:
        """Draws everything anew from the exercise."""
        self.view = one_player_view(self.desk_app.exercise)
        zone = self.view.clock.zone
        self.query_one(Queue).show(self.view.alerts, zone)
        self.query_one(CasePane).show(alert_of(self.view, self._open), zone)
        narrow = self.size.width < WIDE
        for panel in self.query(Panel):
            panel.show(self.view)
            panel.tell_others(self.view, narrow=narrow)
            panel.set_class(panel.id == self._front, "-front")
        self.set_class(self._open is not None, "-case")
        self.refresh_clock()

    def refresh_clock(self) -> None:
        """Draws only the line of state."""
        self.query_one(StatusBar).show(self.view, self.desk_app.clock_view(), held=self.desk_app.clock.held)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value is not None:
            self.show_case(event.row_key.value)

    def show_case(self, uid: str) -> None:
        """Opens a case, which is recorded the first time."""
        self._open = uid
        self.desk_app.note_opened(uid)
        self.refresh_view()
        self.query_one(CasePane).scroll_home(animate=False)
        if self.size.width < WIDE:
            self.query_one(CasePane).focus()

    def show_answer(self) -> None:
        """Scrolls to the end of the case, where the latest answer stands."""
        self.query_one(CasePane).scroll_end(animate=False)

    def bring_to_front(self, name: str) -> None:
        """Shows one of the panels, where only one is seen."""
        self._front = name
        self.refresh_view()

    def action_panel(self, name: str) -> None:
        if self.size.width < WIDE:
            self._open = None
        self.bring_to_front(name)
        self.query_one(f"#{name}", Panel).focus()

    def action_close_case(self) -> None:
        if self.query_one(Queue).has_focus or self.size.width < WIDE:
            self._open = None
            self.refresh_view()
        self.query_one(Queue).focus()
