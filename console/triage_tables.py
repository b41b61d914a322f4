"""Tables of a triage's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .terminal import clean, text

STRATA_SHOWN = 12


def triage_tables(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Counts; then, where there are labels, rates with intervals overall and per stratum for the first variant."""
    unread = f", {summary['unreadable']} unreadable and escalated" if summary["unreadable"] else ""
    labelled = f", {summary['labelled']} labelled ({summary['malicious']} malicious)" if summary["labelled"] else ""
    yield Text(f"{summary['alerts']} alerts{unread}{labelled}; threshold {summary['threshold']:g}", style="bold")
    yield _overall(summary)
    if summary["labelled"]:
        yield _rates(summary)
        for name, figures in list(summary["variants"].items())[:1]:
            yield _strata(name, figures["strata"])


def _overall(summary: Mapping[str, Any]) -> Table:
    table = _table("Decisions")
    for name in ("escalated", "dismissed", "reviewed", "forced"):
        table.add_column(name, justify="right")
    for variant, figures in summary["variants"].items():
        table.add_row(text(variant), *(str(figures[name]) for name in ("escalated", "dismissed", "reviewed", "forced")))
    return table


def _rates(summary: Mapping[str, Any]) -> Table:
    drawn = "by group" if summary["intervals_by"] == "group" else "interval"
    table = _table(f"Against the labels, in % [95 % {drawn}]")
    for name in ("accuracy", "recall", "near-miss up"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("AUC", justify="right", no_wrap=True)
    best = max((v["accuracy"]["value"] for v in summary["variants"].values() if v["accuracy"]), default=None)
    for variant, figures in summary["variants"].items():
        winner = figures["accuracy"] is not None and figures["accuracy"]["value"] == best
        table.add_row(
            text(f"{'★ ' if winner else '  '}{variant}", style="bold" if winner else ""),
            *(_rate(figures[name]) for name in ("accuracy", "recall", "near_miss_escalation")),
            "–" if figures["auc"] is None else f"{figures['auc']:.2f}".lstrip("0"),
        )
    return table


def _strata(variant: str, strata: Mapping[str, Any]) -> Table:
    shown = list(strata.items())[:STRATA_SHOWN]
    more = f" (largest {STRATA_SHOWN} of {len(strata)})" if len(strata) > STRATA_SHOWN else ""
    table = _table(f"{clean(variant, 30)} by log type{more}", first="log type", width=28)
    table.add_column("alerts", justify="right")
    for name in ("accuracy", "recall", "near-miss up"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in shown:
        rates = (_short(figures[rate]) for rate in ("accuracy", "recall", "near_miss_escalation"))
        table.add_row(text(name), str(figures["alerts"]), *rates)
    return table


def _table(title: str, first: str = "variant", width: int = 22) -> Table:
    # A title that is no `Text` would be parsed as markup, and it may hold the name that a variant was given.
    words = Text(title, style="bold")
    table = Table(title=words, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True, overflow="ellipsis", max_width=width)
    return table


def _rate(rate: Mapping[str, Any] | None) -> str:
    return f"{rate['value'] * 100:.1f}{_span(rate)}" if rate else "–"


def _short(rate: Mapping[str, Any] | None) -> str:
    return f"{rate['value'] * 100:.0f}{_span(rate)}" if rate else "–"


def _span(rate: Mapping[str, Any]) -> str:
    """Nothing where a single group gives no interval."""
    return "" if rate["low"] is None else f" [{rate['low'] * 100:.0f}-{rate['high'] * 100:.0f}]"
