"""What `run` and `resume` print about the replays they made: comparison, and on demand cloud, memory, matrix."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from turncoat.agent.spool import DeliveryReport
from turncoat.scenarios.planting import Carried

from .campaign_run import Replayed
from .cascade_tables import cascade_json, cascade_view, memory_json, memory_view
from .matrix_tables import as_played, matrix_view
from .tables import comparison_view, seeds_view
from .terminal import clean


@dataclass(frozen=True)
class Wanted:
    """What a report shall hold besides the comparison."""

    memory: str = ""
    """How alike two alerts must be for a disposition memory (a name in `agent.memory.LIKENESSES`); empty: left out."""


@dataclass(frozen=True)
class Page:
    """The report that a run leaves in its folder."""

    path: Path
    fault: str
    """Why it could not be written; empty if it was."""


def write_page(done: Replayed) -> Page:
    """Writes the page. What goes wrong is told and costs nothing but the page: the run itself is on disk by now."""
    from .report.files import write_report

    page = Page(*write_report(done.plan.folder))
    if page.fault:
        again = f"`turncoat report {clean(done.plan.folder, 4_096)}` tries again"
        print(f"turncoat: the report was not written: {clean(page.fault, 1_000)}; {again}", file=sys.stderr)
    return page


def report_object(done: Replayed, wanted: Wanted, page: Page) -> dict[str, Any]:
    """The object of `turncoat run --json`; `report` is the page's path, or None if it could not be written."""
    more: dict[str, Any] = {"report": None if page.fault else str(page.path)}
    if done.plan.order.cloud_budget:
        more["cloud"] = cascade_json(done.outcomes, done.plan.order.terms)
    if wanted.memory:
        more["memory"] = memory_json(done.outcomes, like=wanted.memory, principals=done.plan.names)
    return done.as_json() | more


def report_parts(done: Replayed, wanted: Wanted, width: int, page: Page | None = None) -> Iterator[RenderableType]:
    """One replay, for the terminal."""
    yield comparison_view(done.comparison, done.sentence, width)
    if done.carried:
        yield Text(_trigger_line(done.carried))
    pair = done.plan.names[:2]
    if done.plan.order.cloud_budget:
        yield Text("")
        yield cascade_view(done.outcomes, done.plan.order.terms, width, principals=pair)
    if wanted.memory:
        yield Text("")
        yield memory_view(done.outcomes, width, like=wanted.memory, principals=pair)
    if done.delivery:
        yield Text(_delivered(done.delivery))
    yield Text(f"Run folder: {clean(done.plan.folder, 4_096)}", overflow="fold")
    if page and not page.fault:
        yield Text(f"Report: {clean(page.path, 4_096)}", overflow="fold")


def _trigger_line(shown: Carried) -> str:
    """What the actor's alerts carried, and the twin's."""
    told, neutral = clean(shown.told, 200), clean(shown.neutral, 200)
    return f"Trigger: played {told}, on {shown.carrying} of {shown.alerts} alerts of that account; the twin {neutral}"


def _delivered(sent: DeliveryReport) -> str:
    """How the webhook took it."""
    words = f"Webhook: {sent.delivered:,} delivered, {sent.queued:,} waiting, {sent.undeliverable:,} refused"
    if sent.queued:
        words += "; `turncoat resume` tries those that wait again"
    if sent.undelivered:
        words += f" (last error: {clean(sent.undelivered[-1].last_error, 200)})"
    return words


def many_parts(done: Sequence[Replayed], width: int) -> Iterator[RenderableType]:
    """Several replays together: each seed, then campaign by variant by name, and what holds over all of them."""
    if len({one.plan.campaign.id for one in done}) < len(done):
        yield seeds_view([one.comparison for one in done])
    yield matrix_view([as_played(one) for one in done], width)
    folders = " ".join(shlex.quote(clean(one.plan.folder, 4_096)) for one in done)
    yield Text(f"All on one page: turncoat report {folders}", overflow="fold")
