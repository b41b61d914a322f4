"""The open case: what the alert says, what the model made of it, and the evidence so far."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from turncoat.agent.exercise.view_records import AlertView, EvidenceLine
from turncoat.console.terminal import clean

from .words import ACCENT, BAD, QUIET, action_text, outside, severity_text, span, when

_SHOWN_FIELD = 1_000


class CasePane(VerticalScroll):
    """Shows one alert's case, or how to open one."""

    def __init__(self) -> None:
        super().__init__(id="case")
        self.border_title = "Case"
        self._shown: tuple[AlertView | None, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="case-text")

    def show(self, alert: AlertView | None, zone: str) -> None:
        """Takes in a case; keeps the place where the person reads."""
        if self._shown == (alert, zone):
            return
        self._shown = (alert, zone)
        self.query_one("#case-text", Static).update(case_text(alert, zone) if alert else _no_case())
        self.border_subtitle = "a ask   o overrule   Esc close" if alert else ""


def _no_case() -> Text:
    return Text("No case is open. Choose an alert of the queue and press Enter.", style=QUIET)


def case_text(alert: AlertView, zone: str) -> RenderableType:
    """The whole case."""
    head = Text.assemble(severity_text(alert.severity), "  ", outside(alert.title, "bold", _SHOWN_FIELD))
    origin = [alert.product, alert.kind, *([alert.technique] if alert.technique else [])]
    parts: list[RenderableType] = [
        head,
        outside(f"{when(alert.time, zone)}  {'  '.join(origin)}", QUIET),
    ]
    if alert.activity:
        parts += [outside(alert.activity, limit=_SHOWN_FIELD)]
    parts += [Text("")]
    parts += [_pairs({name.replace("_", " "): value for name, value in alert.entities.items()})]
    if alert.raw:
        parts += [_pairs(alert.raw, QUIET)]
    parts += [Text(""), *_decisions(alert, zone), Text("")]
    return Group(*parts, *_evidence(alert))


def _decisions(alert: AlertView, zone: str) -> list[RenderableType]:
    """What the model did and, where there is one, the team's own word."""
    model = Text.assemble(("Model  ", QUIET), action_text(alert.action))
    if alert.p_malicious is not None:
        model.append(f"  p(malicious) {alert.p_malicious:.2f}")
    if alert.model == "replacement":
        model.append("  by the replacement", style=QUIET)
    shown: list[RenderableType] = [model, Padding(outside(alert.reason, QUIET, _SHOWN_FIELD), (0, 0, 0, 7))]
    if alert.source == "audit":
        shown.append(Padding(Text("Found by an audit: the model kept it from you.", style=BAD), (0, 0, 0, 7)))
    if alert.override is not None:
        ours = Text.assemble(
            ("You    ", QUIET), action_text(alert.override.action), f"  {when(alert.override.at, zone)}"
        )
        shown += [ours, Padding(outside(alert.override.reason, limit=_SHOWN_FIELD), (0, 0, 0, 7))]
    return shown


def _evidence(alert: AlertView) -> list[RenderableType]:
    shown: list[RenderableType] = [Text(f"Evidence: {len(alert.evidence)} answers", style="bold")]
    for line in alert.evidence:
        shown += [
            _question(line),
            Padding(outside(line.answer, BAD if line.failed else "", _SHOWN_FIELD), (0, 0, 0, 2)),
        ]
    shown += [Text(f"{clean(tool, 40)}: waiting for the answer", style="italic") for tool in alert.asking]
    return shown


def _question(line: EvidenceLine) -> Text:
    who = "you" if line.by == "team" else "model"
    words = Text.assemble((clean(line.tool, 40), ACCENT), " ", outside(line.question, limit=200))
    words.append(f"  {who}, {span(line.cost_s)}" + ("  failed" if line.failed else ""), style=QUIET)
    return words


def _pairs(words: Mapping[str, str], style: str = "") -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=min(16, max((len(name) for name in words), default=4)), overflow="fold")
    grid.add_column(overflow="fold")
    for name, value in words.items():
        grid.add_row(outside(name, QUIET, 40), outside(value, style, _SHOWN_FIELD))
    return grid
