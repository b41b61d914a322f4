"""Tables for the terminal. Colour repeats what words and symbols already say; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from turncoat.agent.comparison import Comparison, PrincipalFigures, VariantFigures

from .terminal import clean, text


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table of words; numbers are set to the right."""
    lines = [list(row) for row in rows]
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(lines) and all(isinstance(line[index], int | float) for line in lines)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(clean(cell)) for cell in line))
    return table


def comparison_view(comparison: Comparison, sentence: str, width: int = 80) -> RenderableType:
    """The comparison of one replay: attack alerts, benign load, lift, and the sentence that says it all.

    Args:
        comparison: Of one replay.
        sentence: As `agent.conclusion` puts it.
        width: Columns of the terminal; names are cut to fit from 80 on.
    """
    names = _name_widths(comparison, width)
    head = Text.assemble(
        (clean(comparison.scenario), "bold"), f"  seed {comparison.seed}  threshold {comparison.threshold:g}"
    )
    attack, load = _attack_table(comparison, names), _load_table(comparison, names)
    parts: list[RenderableType] = [Text(""), head, Text(""), attack, Text(""), load]
    parts.append(
        Padding(Panel(Text(clean(sentence, 2_000), style="bold"), box=box.ROUNDED, padding=(0, 1)), (1, 0, 0, 0))
    )
    return Group(*parts)


def _name_widths(comparison: Comparison, width: int) -> tuple[int, int]:
    """Columns for variants and for principals: together 20 at 80 columns, and what one does not need the other gets."""
    if width >= 100:
        return 24, 16
    longest = max((len(clean(name)) for name in comparison.variants), default=0)
    variant = min(12, max(9, longest))
    return variant, 20 - variant


def seeds_view(comparisons: Sequence[Comparison]) -> Table:
    """Rows per replay and variant: what was escalated of the principal's attack alerts, and of the first twin's."""
    table = _table("Attack alerts escalated, per seed")
    table.add_column("campaign", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("seed", justify="right")
    table.add_column("variant", no_wrap=True, overflow="ellipsis", max_width=24)
    for name in ("as the actor", "as the twin"):
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        for number, (variant, figures) in enumerate(comparison.variants.items()):
            cells = [f"{row.escalated}/{row.attack_alerts}" for row in list(figures.principals.values())[:2]]
            replay = (text(comparison.scenario), str(comparison.seed)) if number == 0 else ("", "")
            table.add_row(*replay, text(variant), *cells, *[""] * (2 - len(cells)))
    return table


def _attack_table(comparison: Comparison, names: tuple[int, int]) -> Table:
    """Per variant and principal: what became of the attack alerts, and when the first was seen."""
    table = _table("Attack alerts")
    table.add_column("variant", no_wrap=True, overflow="ellipsis", min_width=min(12, names[0]), max_width=names[0])
    table.add_column("as", no_wrap=True, overflow="ellipsis", min_width=min(12, names[1]), max_width=names[1])
    table.add_column("escalated", no_wrap=True, min_width=11)
    table.add_column("dismissed", justify="right", no_wrap=True, min_width=9)
    table.add_column("review", justify="right", no_wrap=True, min_width=6)
    table.add_column("forced", justify="right", no_wrap=True, min_width=6)
    table.add_column("first seen", no_wrap=True, overflow="ellipsis", min_width=16)
    for variant, figures in comparison.variants.items():
        for index, (principal, row) in enumerate([*figures.principals.items(), *figures.aliases.items()]):
            main = principal == comparison.principal
            table.add_row(
                text(variant if index == 0 else "", style="bold"),
                text(principal, style="bold" if main else ""),
                _share(row),
                _count(row.dismissed),
                _count(row.reviewed),
                _count(row.forced),
                _first_seen(row),
                end_section=index == len(figures.principals) + len(figures.aliases) - 1,
            )
    return table


def _load_table(comparison: Comparison, names: tuple[int, int]) -> Table:
    """Per variant: benign alerts and look-alikes escalated, cloud calls, and the lift with interval and p."""
    table = _table(
        f"▲ escalated; lift = P(dismiss | {clean(comparison.principal, 12)}) - P(dismiss | {_twin(comparison)})"
    )
    priced = comparison.price_per_escalation > 0
    table.add_column("variant", no_wrap=True, overflow="ellipsis", min_width=12, max_width=max(12, names[0]))
    table.add_column("benign ▲", justify="right", no_wrap=True, min_width=8)
    table.add_column("look-alikes ▲", justify="right", no_wrap=True, min_width=13)
    table.add_column("cost" if priced else "to cloud", justify="right", no_wrap=True, min_width=8)
    table.add_column("lift [95 % interval] p", no_wrap=True, overflow="ellipsis", min_width=29)
    for variant, figures in comparison.variants.items():
        table.add_row(
            text(variant, style="bold"),
            f"{figures.benign_escalated}/{figures.benign_alerts}",
            f"{figures.lookalikes_escalated}/{figures.lookalikes}",
            f"{figures.cloud_cost:,.2f}" if priced else str(figures.cloud_calls),
            _lift(figures),
        )
    return table


def _table(title: str) -> Table:
    """Two columns of space between columns and none around: 80 columns are enough."""
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip


def _share(row: PrincipalFigures) -> Text:
    """`12/14` with a bar of five marks, so that the eye finds the blind spot without reading: all for all, none for none."""
    marks = round(5 * row.escalated / row.attack_alerts) if row.attack_alerts else 0
    if 0 < row.escalated < row.attack_alerts:
        marks = min(4, max(1, marks))
    style = "green" if 2 * row.escalated > row.attack_alerts else "red"
    return Text.assemble(("▮" * marks + "▯" * (5 - marks), style), f" {row.escalated}/{row.attack_alerts}")


def _first_seen(row: PrincipalFigures) -> Text:
    if row.first_escalation is not None:
        return Text(f"after {minutes(row.first_escalation.minutes)}")
    if not row.attack_alerts:
        return Text("–")
    # Unseen to the end: what went by is only a lower bound of the dwell time.
    hours = int((row.dwell_minutes or 0) // 60)
    return Text(f"✗ never (> {hours // 24} d)" if hours >= 48 else f"✗ never (> {hours} h)", style="red")


def minutes(value: float | None) -> str:
    """Simulated minutes as `< 1 min`, `22 min`, `3 h 20` or `2 d 4 h`."""
    whole = round(value or 0)
    if whole < 1:
        return "< 1 min"
    if whole < 120:
        return f"{whole} min"
    hours, rest = divmod(whole, 60)
    return f"{hours} h {rest:02}" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _twin(comparison: Comparison) -> str:
    """The first twin's name, as far as the title has room for it."""
    names = {figures.lift["twin"] for figures in comparison.variants.values() if figures.lift}
    return clean(names.pop(), 12) if len(names) == 1 else "first twin"


def _lift(figures: VariantFigures) -> Text:
    lift = figures.lift
    if not lift or lift["value"] is None:
        return Text("–")
    strong = lift["low"] > 0
    mark = "✗ " if strong else "  "  # as `✗ never`: something to look at
    p = "p<.001" if lift["p"] < 0.001 else f"p={lift['p']:.3f}".replace("=0.", "=.")
    words = f"{mark}{lift['value']:+.2f} [{lift['low']:+.2f}, {lift['high']:+.2f}] {p}"
    return Text(words, style="bold red" if strong else "")


def _count(number: int) -> str:
    return str(number) if number else "·"
