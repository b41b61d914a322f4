"""The line of state above the desk, and the panels below it: notices, what is in hand, the log."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from turncoat.agent.exercise.view_records import ClockView, PlayerView
from turncoat.console.terminal import clean
from turncoat.console.terminal import text as one_line

from .words import ACCENT, BAD, GOOD, QUIET, WARN, full_time, lines, outside, span, when

PANELS = ("notices", "hand", "log")
_NAMES = {"notices": "Notices", "hand": "In hand", "log": "Log"}
_MODES = {"waiting": "not begun", "paused": "‖ paused", "ended": "■ ended"}
_MODEL = {"deployed": ("deployed", ""), "being replaced": ("being replaced", WARN), "replacement": ("replaced", GOOD)}


class StatusBar(Static):
    """Two lines that are always there: the exercise and its time, and how things stand."""

    _shown: tuple[Text, ...] = ()

    def show(self, view: PlayerView, clock: ClockView, *, held: bool) -> None:
        """Takes in the state; the clock is newer than the view where nothing has happened since."""
        time = Text(full_time(clock.now, clock.zone), style=f"bold {ACCENT}")
        words = (one_line(view.title, "bold", 200), time, _standing(view), _pace(clock, held=held))
        if words == self._shown:
            return
        self._shown = words
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(justify="right", no_wrap=True)
        grid.add_row(*words[:2])
        grid.add_row(*words[2:])
        self.update(grid, layout=False)


def _pace(clock: ClockView, *, held: bool) -> Text:
    if clock.mode != "running":
        return Text(_MODES[clock.mode], style="bold")
    left = span((clock.ends - clock.now) / clock.speed)
    return Text.assemble((f"{'‖ held' if held else '▶'} {clock.speed:g}×", "bold"), (f"  {left} left", QUIET))


def _standing(view: PlayerView) -> Text:
    word, style = _MODEL[view.model]
    contained = len(view.isolated) + len(view.disabled)
    words = Text.assemble(("model ", QUIET), (word, style), (f", closed {view.dismissed}", QUIET))
    words.append(f"   contained {contained}" if contained else "", style=GOOD)
    words.append("   INCIDENT" if view.declared else "   no incident", style=f"bold {BAD}" if view.declared else QUIET)
    return words


class Panel(VerticalScroll):
    """One of the panels below the desk; only one of them is seen where the window is narrow."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._shown: Text | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, view: PlayerView) -> None:
        """Takes in the state, the latest on top."""
        words = _CONTENTS[str(self.id)](view)
        if words != self._shown:
            self._shown = words
            self.query_one(Static).update(words)
        self.border_title = f"{PANELS.index(str(self.id)) + 1} {panel_title(str(self.id), view)}"

    def tell_others(self, view: PlayerView, *, narrow: bool) -> None:
        """Where only this one is seen, its frame names the others."""
        others = [name for name in PANELS if name != self.id]
        told = "   ".join(f"{PANELS.index(name) + 1} {panel_title(name, view)}" for name in others)
        self.border_subtitle = told if narrow else ""


def panel_title(name: str, view: PlayerView) -> str:
    """`Notices (2)`."""
    count = {"notices": len(view.injects), "hand": len(view.work)}.get(name, 0)
    return f"{_NAMES[name]} ({count})" if count else _NAMES[name]


def notices(view: PlayerView) -> Text:
    """What was told to a role."""
    parts = []
    for inject in view.injects:
        parts += [
            Text(f"{when(inject.at, view.clock.zone)}  to the {' and the '.join(inject.to)}", style=f"bold {WARN}"),
            outside(inject.text),
        ]
    return lines(parts) if parts else Text("Nobody has told you anything yet.", style=QUIET)


def in_hand(view: PlayerView) -> Text:
    """What was begun, and what has been contained and secured so far."""
    parts = [
        Text.assemble((f"{when(work.due, view.clock.zone)}  ", ACCENT), outside(work.told, limit=200))
        for work in view.work
    ]
    done = {"Off the network": view.isolated, "Disabled": view.disabled, "Preserved": view.preserved}
    parts += [
        Text.assemble((f"{label}: ", QUIET), ", ".join(clean(name, 60) for name in names))
        for label, names in done.items()
        if names
    ]
    if view.declared:
        parts.append(Text.assemble(("Incident: ", f"bold {BAD}"), outside(view.declared)))
    return lines(parts) if parts else Text("Nothing is being done.", style=QUIET)


def log(view: PlayerView) -> Text:
    """What has happened, as far as players may know."""
    parts = []
    for line in reversed(view.log):
        if line.told and line.kind not in ("joined", "open", "skipped"):
            style = {"inject": WARN, "handed": ""}.get(line.kind, ACCENT if line.role == "clock" else GOOD)
            parts.append(Text.assemble((f"{when(line.at, view.clock.zone)}  ", QUIET), outside(line.told, style, 300)))
    return lines(parts) if parts else Text("Nothing has happened yet.", style=QUIET)


_CONTENTS = {"notices": notices, "hand": in_hand, "log": log}
