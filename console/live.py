"""The live view of a replay: each alert's way through the loop, and what every variant decides.

On a terminal it is a table that changes in place; elsewhere one plain line per alert. It shows what the events of
`agent.replay` say and computes nothing but the time left.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from types import TracebackType
from typing import Protocol

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from turncoat.agent.records import Decision, Event
from turncoat.scenarios.records import Alert

from .campaign_run import Plan
from .status import duration
from .terminal import clean

WORDS = {"escalate": "▲ escalate", "dismiss": "· dismiss", "review": "◇ review"}
STYLES = {"escalate": "bold green", "dismiss": "dim", "review": "yellow"}
PLAIN_WORDS = {"escalate": "escalate", "dismiss": "dismiss", "review": "review"}
ROWS_SHOWN = 14


class View(Protocol):
    """Somebody who watches a replay."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def on_event(self, event: Event) -> None:
        """Takes in one event."""
        ...


def watch(console: Console | None, plan: Plan, variants: tuple[str, ...]) -> View:
    """The view that fits: none for `--quiet` (no console), a table on a terminal, else lines."""
    if console is None:
        return SilentView()
    return LiveView(console, plan, variants) if console.is_terminal else PlainView(console, variants)


class SilentView:
    """Shows nothing."""

    def __enter__(self) -> SilentView:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Nothing was opened."""

    def on_event(self, event: Event) -> None:
        """Nothing to show."""


class PlainView(SilentView):
    """One line per alert and name, once every variant has decided; no control characters."""

    def __init__(self, console: Console, variants: tuple[str, ...]) -> None:
        self._console = console
        self._variants = variants
        self._decided: dict[tuple[str, str], dict[str, str]] = {}

    def on_event(self, event: Event) -> None:
        if event.stage == "warm":
            self._print(f"asking the models: {clean(event.note)}")
        if event.alert is None or event.decision is None or event.stage == "decide":
            return
        key = (event.alert.uid, event.principal)
        words = "forced" if event.decision.forced else PLAIN_WORDS[event.decision.action]
        decided = self._decided.setdefault(key, {})
        decided[event.variant] = words
        if len(decided) == len(self._variants):
            del self._decided[key]
            each = ", ".join(f"{clean(name, 80)} {decided[name]}" for name in self._variants)
            head = f"{event.done}/{event.total} {event.alert.time:%a %H:%M} {clean(event.principal, 80)}"
            # Each part by itself: a title that is endless, or opens an escape sequence, must not swallow the decisions.
            self._print(f"{head}: {clean(event.alert.title, 200)}: {each}")

    def _print(self, words: str) -> None:
        self._console.print(Text(words), soft_wrap=True)


class LiveView:
    """Header, progress with time left, and the latest alerts with the stage or decision of every variant."""

    def __init__(self, console: Console, plan: Plan, variants: tuple[str, ...]) -> None:
        self._title = clean(f"{plan.campaign.id}  seed {plan.seed}  as {plan.told}", 200)
        self._variants = variants
        self._rows: OrderedDict[tuple[str, str], tuple[Alert, dict[str, Text]]] = OrderedDict()
        self._note = ""
        self._done = self._total = 0
        self._begun = time.monotonic()
        self._live = Live(self, console=console, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots")

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._live.stop()

    def on_event(self, event: Event) -> None:
        self._done, self._total = event.done, event.total
        self._note = event.note if event.stage == "warm" else ""
        if event.alert is None:
            return
        key = (event.alert.uid, event.principal)
        _, cells = self._rows.setdefault(key, (event.alert, {}))
        cells[event.variant] = stage_cell(event)
        while len(self._rows) > ROWS_SHOWN:
            self._rows.popitem(last=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(
            Text.assemble(("TURNCOAT  ", "bold"), self._title), self._progress(), self._table(options.max_width)
        )

    def _progress(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column(width=30)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        spent = time.monotonic() - self._begun
        left = f"about {duration(spent / self._done * (self._total - self._done))} left" if self._done else ""
        words = f"{self._done:,}/{self._total:,}  {duration(spent)}  {left}"
        grid.add_row(self._spinner, ProgressBar(total=max(1, self._total), completed=self._done, width=30), Text(words))
        asking = f"asking the models: {self._note}" if self._note else ""
        grid.add_row("", Text(clean(asking, 60), style="dim", no_wrap=True), "")
        return grid

    def _table(self, width: int) -> Table:
        cell = 11
        gaps = 2 * (2 + len(self._variants))
        title = max(12, width - 9 - 8 - cell * len(self._variants) - gaps)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column("time", width=9, no_wrap=True)
        table.add_column("as", width=8, no_wrap=True, overflow="ellipsis")
        table.add_column("alert", width=title, no_wrap=True, overflow="ellipsis")
        for name in self._variants:
            table.add_column(Text(clean(name, cell)), width=cell, no_wrap=True, overflow="ellipsis")
        for (_, principal), (alert, cells) in list(self._rows.items()):
            table.add_row(
                f"{alert.time:%a %H:%M}",
                Text(clean(principal)),
                Text(clean(alert.title, 80)),
                *(cells.get(name, Text("")) for name in self._variants),
            )
        return table


def stage_cell(event: Event) -> Text:
    """`gather 3`, `classify`, `decide`, or the decision with its sign."""
    if event.decision is not None and event.stage != "decide":
        return decision_cell(event.decision)
    detail = f" {len(event.evidence)}" if event.stage == "gather" else ""
    return Text(f"{event.stage}{detail}", style="italic")


def decision_cell(decision: Decision) -> Text:
    """Sign and word; a forced escalation is told apart from one that a model asked for."""
    if decision.forced:
        return Text("! forced", style="bold magenta")
    return Text(WORDS[decision.action], style=STYLES[decision.action])
