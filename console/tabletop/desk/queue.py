"""The queue: the alerts that are before the team, the latest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from turncoat.agent.exercise.view_records import AlertView
from turncoat.console.terminal import text

from .words import ACCENT, GOOD, action_text, severity_text, when

UNOPENED, OVERRULED, AUDITED = "•", "✎", "◦"
_FIXED = {"": 2, "since": 10, "sev": 5, "desk": 11}
"""Widths of columns."""
_ROOMY = 80
"""Columns from which on there is room for the host."""


class Queue(DataTable[Text]):
    """One row per alert. The chosen alert stays chosen while others come in above it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", key_display="Enter"),
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="queue", cursor_type="row", cell_padding=0, header_height=1)
        self._alerts: tuple[AlertView, ...] = ()
        self._zone = "UTC"
        self._drawn: tuple[tuple[AlertView, ...], int] = ((), 0)

    @property
    def chosen(self) -> str | None:
        """uid of the alert under the cursor."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def show(self, alerts: tuple[AlertView, ...], zone: str) -> None:
        """Takes in the alerts that are before the team."""
        self._alerts, self._zone = alerts, zone
        fresh = sum(not alert.opened for alert in alerts)
        self.border_title = f"Queue: {len(alerts)} alerts, {fresh} not opened" if alerts else "Queue"
        self.border_subtitle = "" if alerts else "nothing has been handed over yet"
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if not width or (self._alerts, width) == self._drawn:
            return
        self._drawn = (self._alerts, width)
        chosen = self.chosen
        self.clear(columns=True)
        user, host = (13, 14) if width >= _ROOMY else (10, 0)
        title = max(12, width - sum(_FIXED.values()) - user - host - 2)
        widths = {**_FIXED, "alert": title, "user": user} | ({"host": host} if host else {})
        for label, columns in widths.items():
            self.add_column(Text(label), width=columns)
        for alert in self._alerts:
            self.add_row(*self._row(alert, widths), key=alert.uid)
        uids = [alert.uid for alert in self._alerts]
        if chosen in uids:
            self.cursor_coordinate = Coordinate(uids.index(chosen), 0)

    def _row(self, alert: AlertView, widths: Mapping[str, int]) -> list[Text]:
        action = alert.override.action if alert.override else alert.action
        cells = [
            _mark(alert),
            Text(when(alert.since, self._zone)),
            severity_text(alert.severity),
            action_text(action),
            text(alert.title, "" if alert.opened else "bold", limit=widths["alert"] - 1),
        ]
        named = [name for name in ("user", "host") if name in widths]
        return [*cells, *(text(alert.entities.get(name, ""), limit=widths[name] - 1) for name in named)]


def _mark(alert: AlertView) -> Text:
    if alert.override is not None:
        return Text(OVERRULED, GOOD)
    if not alert.opened:
        return Text(AUDITED if alert.source == "audit" else UNOPENED, f"bold {ACCENT}")
    return Text(" ")
