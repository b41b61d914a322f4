"""The cloud's load, and what a disposition memory changes: two blocks for the terminal, and both as plain objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turncoat.agent.cascade import CloudLoad, CloudTerms, cascade
from turncoat.agent.comparison import PrincipalFigures
from turncoat.agent.memory import DEFAULT_LIKENESS
from turncoat.agent.memory_report import MemoryReport, changed_lift, memory_reports
from turncoat.agent.records import Outcome

from .terminal import clean, text

_FULL_WIDTH = 100


def cascade_view(
    outcomes: Sequence[Outcome], terms: CloudTerms, width: int = 80, *, principals: Sequence[str] = ()
) -> RenderableType:
    """What each variant hands to the cloud, what it costs, and when an analyst looks at the attack.

    Args:
        outcomes: Of one run, scored.
        terms: Of the cloud.
        width: Columns of the terminal; names are cut to fit from 80 on.
        principals: Names to show; the first two of the outcomes (the actor and the first twin) where none are given.
    """
    shown = _shown(outcomes, principals)
    table = _table("Cloud load; wait of attack alerts as median / longest")
    _name_columns(table, width, 9)
    table.add_column("cloud", justify="right", no_wrap=True, min_width=5)
    if budgeted := terms.daily_budget is not None:
        table.add_column("over", justify="right", no_wrap=True, min_width=4)
    if priced := max(terms.price, terms.overflow_price or 0.0) > 0:
        table.add_column("cost", justify="right", no_wrap=True, min_width=9)
    for name, wide in (("peak", 4), ("hours", 5), ("wait", 11), ("first look", 10)):
        table.add_column(name, justify="right", no_wrap=True, min_width=wide)
    before = ""
    for load in cascade(_of(outcomes, shown), terms):
        table.add_row(
            text(load.variant if load.variant != before else "", style="bold"),
            text(load.principal, style="bold" if load.principal == shown[0] else ""),
            str(load.escalations),
            *([str(load.overflow)] if budgeted else []),
            *([f"{load.cost:,.2f}"] if priced else []),
            str(load.queue_peak),
            f"{load.analyst_hours:,.1f}",
            _wait(load),
            _seen(load.first_look_or_forced_minutes, load.attack_alerts),
        )
        before = load.variant
    return Group(table, Text(terms_in_words(terms), style="dim"))


def memory_view(
    outcomes: Sequence[Outcome],
    width: int = 80,
    *,
    like: str = DEFAULT_LIKENESS,
    window_days: float = 30,
    principals: Sequence[str] = (),
) -> RenderableType:
    """What a memory of dismissals would have changed, for each variant: alerts dismissed at once, and attacks lost so.

    Args:
        outcomes: Of one run, scored.
        width: Columns of the terminal; names are cut to fit from 80 on.
        like: As in `agent.memory.with_memory`.
        window_days: As in `agent.memory.with_memory`.
        principals: As in `cascade_view`.
    """
    shown = _shown(outcomes, principals)
    table = _table(f"With a memory of dismissals ({clean(like, 40)}, {window_days:g} days); run → with memory")
    _name_columns(table, width, 11)
    table.add_column("by memory", justify="right", no_wrap=True, min_width=9)
    table.add_column("attack ▲", justify="right", no_wrap=True, min_width=9)
    table.add_column("first seen", no_wrap=True, min_width=15)
    table.add_column("spread", justify="right", no_wrap=True, min_width=6)
    table.add_column("saved", justify="right", no_wrap=True, min_width=5)
    before = ""
    for report in memory_reports(_of(outcomes, shown), like=like, window_days=window_days):
        table.add_row(
            text(report.variant if report.variant != before else "", style="bold"),
            text(report.principal, style="bold" if report.principal == shown[0] else ""),
            str(report.dismissed),
            _changed(report),
            Text.assemble(_first_seen(report.without), " → ", _first_seen(report.remembered)),
            "–" if report.spread is None else f"{report.spread:.2f}",
            brief(report.seconds_saved / 60) if report.dismissed else "–",
        )
        before = report.variant
    spread = "spread: attack alerts lost per attack alert dismissed; saved: simulated time"
    notes = [Text(spread, style="dim")]
    if lifts := changed_lift(outcomes, shown, like=like, window_days=window_days):
        each = ", ".join(f"{clean(name, 40)} {_signed(a)} → {_signed(b)}" for name, (a, b) in lifts.items())
        notes.append(Text(f"lift: {each}"))
    return Group(table, *notes)


def cascade_json(outcomes: Sequence[Outcome], terms: CloudTerms) -> list[dict[str, Any]]:
    """One plain object per variant and principal, all principals of the run."""
    return [load.as_json() for load in cascade(outcomes, terms)]


def memory_json(
    outcomes: Sequence[Outcome],
    *,
    like: str = DEFAULT_LIKENESS,
    window_days: float = 30,
    principals: Sequence[str] = (),
) -> dict[str, Any]:
    """`reports`, one per variant and principal; `lift`, per variant without and with the memory."""
    lifts = changed_lift(outcomes, _shown(outcomes, principals), like=like, window_days=window_days)
    return {
        "reports": [report.as_json() for report in memory_reports(outcomes, like=like, window_days=window_days)],
        "lift": {name: {"without": without, "remembered": after} for name, (without, after) in lifts.items()},
    }


def brief(minutes: float) -> str:
    """Simulated minutes in five characters at most, up to a thousand days: `<1m`, `22m`, `3h20`, `2d4h`, `12d`."""
    whole = round(minutes)
    if whole < 1:
        return "<1m"
    if whole < 120:
        return f"{whole}m"
    hours, rest = divmod(whole, 60)
    if hours < 48:
        return f"{hours}h{rest:02}"
    return f"{hours // 24}d{hours % 24}h" if hours < 240 else f"{hours // 24}d"


def _shown(outcomes: Sequence[Outcome], principals: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(o.investigation.principal for o in outcomes))
    return [name for name in principals if name in found] if principals else found[:2]


def _of(outcomes: Sequence[Outcome], principals: Sequence[str]) -> list[Outcome]:
    """The outcomes of these principals, variant by variant and name by name, as the rows shall stand."""
    variants = list(dict.fromkeys(o.investigation.variant for o in outcomes))
    order = {pair: place for place, pair in enumerate((v, p) for v in variants for p in principals)}
    kept = [o for o in outcomes if (o.investigation.variant, o.investigation.principal) in order]
    return sorted(kept, key=lambda o: order[o.investigation.variant, o.investigation.principal])


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip


def _name_columns(table: Table, width: int, variant: int) -> None:
    wide = width >= _FULL_WIDTH
    table.add_column("variant", no_wrap=True, overflow="ellipsis", min_width=variant, max_width=24 if wide else variant)
    table.add_column("as", no_wrap=True, overflow="ellipsis", min_width=7, max_width=16 if wide else 7)


def _wait(load: CloudLoad) -> str:
    if load.attack_wait_median_minutes is None or load.attack_wait_longest_minutes is None:
        return "–"
    return f"{brief(load.attack_wait_median_minutes)}/{brief(load.attack_wait_longest_minutes)}"


def _seen(minutes: float | None, attack_alerts: int) -> Text:
    if minutes is not None:
        return Text(brief(minutes))
    return Text("✗ never", style="red") if attack_alerts else Text("–")


def _first_seen(figures: PrincipalFigures) -> Text:
    return _seen(figures.first_escalation.minutes if figures.first_escalation else None, figures.attack_alerts)


def _changed(report: MemoryReport) -> Text:
    style = "bold red" if report.attack_lost else ""
    return Text(f"{report.without.escalated} → {report.remembered.escalated}", style=style)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def terms_in_words(terms: CloudTerms) -> str:
    """Who works when, how long an alert takes, and what becomes of those beyond the budget."""
    start, end = terms.shift
    crew = f"{terms.analysts} analyst{'' if terms.analysts == 1 else 's'}"
    words = [f"{crew}, {start:02}-{end:02} UTC, {terms.minutes_per_alert:g} min an alert"]
    if terms.daily_budget is not None:
        late = "is dropped" if terms.overflow == "drop" else "waits a day"
        if terms.overflow == "delay" and terms.overflow_price is not None:
            late += f" at {terms.overflow_price:,.2f}"
        words.append(f"{terms.daily_budget:,} a day, the rest {late}")
    return "; ".join(words)
