"""The paper's table in a terminal of 80 columns, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from turncoat.training.crossed import Measure
from turncoat.training.paper_table import SOURCE, Line, PaperTable
from turncoat.training.reproduce import Budget

from .markdown_text import markdown_cell, markdown_code
from .status import duration
from .terminal import clean, text

_HEADINGS = (
    "variant",
    "seed",
    "clean\nacc.",
    "clean\nbal.",
    "unseen\nbal.",
    "Alice\ndism.",
    "twin\ndism.",
    "lift",
    "p",
)
_MARKDOWN_HEADINGS = (
    "base", "variant", "seeds", "clean accuracy", "clean, balanced", "unseen families, balanced", "Alice dismissed",
    "Alice, families without poison", "twin dismissed", "lift", "p", "n (clean, unseen, pairs)",
)  # fmt: skip


def budget_line(budget: Budget) -> str:
    """What there is to do, in a sentence."""
    parts = [f"{budget.done} of {budget.cells} cells are done"]
    if budget.taken:
        parts.append(f"{budget.taken} more have an adapter and are measured")
    if budget.to_train:
        parts.append(f"{budget.to_train} are trained")
    left = f": about {duration(budget.seconds)} on this machine" if budget.seconds else ""
    return "; ".join(parts) + left


def paper_view(table: PaperTable) -> RenderableType:
    """One table a base, every seed and the seeds pooled, then what was published, then what it can and cannot show."""
    parts: list[RenderableType] = [Text("")]
    for label, lines in _by_label(table.lines):
        parts += [_terminal_table(label, lines), Text("")]
    parts += [_published_table(table.published), Text("")]
    parts.append(Text(f"{table.done} of {table.planned} cells", style="bold"))
    parts += [Padding(Text(clean(note, 1_000)), (0, 0, 0, 2)) for note in table.notes]
    return Group(*parts)


def paper_markdown(table: PaperTable, figure: str) -> str:
    """The whole table as Markdown, each figure with its interval.

    Args:
        table: What to show.
        figure: File name of the picture, beside the Markdown; empty for none.
    """
    rows = [_MARKDOWN_HEADINGS, ("---",) * len(_MARKDOWN_HEADINGS)]
    rows += [_markdown_row(line) for line in (*table.published, *table.lines)]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    picture = f"\n![{markdown_cell(alternative(table))}]({figure})\n" if figure else ""
    notes = "\n".join(f"- {markdown_cell(note)}" for note in table.notes)
    missing = "".join(f"\n- not done: {markdown_cell(name)}" for name in table.missing)
    return (
        f"# The paper's table beside ours\n\n{_made_by(table)}{table.done} of {table.planned} cells. "
        f"In brackets: 95 % intervals. Threshold .5 for all.\n\n{body}\n{picture}\n{notes}{missing}\n"
    )


def alternative(table: PaperTable) -> str:
    """The figure in words, for those who do not see it."""
    said = [
        f"{line.label} {line.variant}: Alice {_share(line.alice.value)}, twin {_share(line.twin.value)}"
        for line in table.summary
    ]
    return "Share of Alice's malicious alerts dismissed, and of the same alerts under another name. " + "; ".join(said)


def _made_by(table: PaperTable) -> str:
    commands = [markdown_code(command) for command in table.made_by["commands"]]
    return "Made by " + " and ".join(commands) + ". " if commands else ""


def _terminal_table(title: str, lines: Sequence[Line]) -> Table:
    table = _empty_table(title)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("variant", "seed") else "right", no_wrap=True)
    for at, line in enumerate(lines):
        again = at > 0 and lines[at - 1].variant == line.variant
        alone = sum(other.variant == line.variant for other in lines) == 1
        several = len(line.seeds) > 1
        table.add_row(
            text("" if again else line.variant), "pooled" if several else _seeds(line),
            *(_share(m.value) for m in _shares(line)), _lift(line.lift), _p(line.lift), style="bold" if several else "",
        )  # fmt: skip
        if several or alone:
            intervals = [_narrow(m) for m in _shares(line)]
            table.add_row("", "95 %", *intervals, _narrow(line.lift, signed=True), "", style="dim")
    first = lines[0]
    table.caption = Text(
        f"n: clean {first.accuracy.n:,}, unseen {first.unseen.n:,}, Alice and twin {first.lift.n:,} pairs"
    )
    table.caption_justify = "left"
    return table


def _published_table(lines: Sequence[Line]) -> Table:
    """Of what we measure, the paper gives these two; the rest would be empty columns."""
    table = _empty_table(f"Published, {SOURCE}")
    for heading in ("variant", "base"):
        table.add_column(heading, no_wrap=True)
    for heading in ("acc. on their\nvalidation set", "Alice\ndism."):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(text(line.variant), text(line.label), _share(line.accuracy.value), _share(line.alice.value))
    return table


def _empty_table(title: str) -> Table:
    return Table(
        title=text(title, style="bold", limit=76), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        padding=(0, 1, 0, 0), show_edge=False, collapse_padding=True,
    )  # fmt: skip


def _markdown_row(line: Line) -> tuple[str, ...]:
    label = f"{line.label} (published)" if line.published else line.label
    n = "" if line.published else f"{line.accuracy.n}, {line.unseen.n}, {line.lift.n}"
    measures = (*_shares(line)[:4], line.alice_other_families, line.twin)
    return (
        markdown_cell(label), markdown_cell(line.variant), _all_seeds(line), *(_with_interval(m) for m in measures),
        _with_interval(line.lift, signed=True), _p(line.lift), n,
    )  # fmt: skip


def _shares(line: Line) -> tuple[Measure, ...]:
    return line.accuracy, line.balanced, line.unseen, line.alice, line.twin


def _by_label(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.base, []).append(line)
    return [(found[0].label, found) for found in groups.values()]


def _seeds(line: Line) -> str:
    return str(line.seeds[0]) if line.seeds else ""


def _all_seeds(line: Line) -> str:
    if len(line.seeds) > 1:
        return f"pooled: {', '.join(map(str, line.seeds))}"
    return _seeds(line)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _lift(measure: Measure) -> str:
    return "" if measure.value is None else f"{measure.value:+.3f}"


def _p(measure: Measure) -> str:
    return "" if measure.p is None else f"{measure.p:.0e}" if measure.p < 0.001 else f"{measure.p:.3f}"


def _narrow(measure: Measure, signed: bool = False) -> str:
    """`.89-.94`, or signed `-.02 +.10`: narrow enough for 80 columns."""
    if measure.low is None or measure.high is None:
        return ""
    low, high = _short(measure.low), _short(measure.high)
    if not signed:
        return f"{low}-{high}"
    return " ".join(bound if bound.startswith("-") else f"+{bound}" for bound in (low, high))


def _short(value: float) -> str:
    words = f"{value:.2f}"
    return words[:-1] if words in ("1.00", "-1.00") else words.replace("0.", ".", 1)


def _with_interval(measure: Measure, signed: bool = False) -> str:
    if measure.value is None:
        return ""
    sign = "+" if signed else ""
    value = f"{measure.value:{sign}.3f}"
    if measure.low is None or measure.high is None:
        return value
    return f"{value} \\[{measure.low:{sign}.3f}, {measure.high:{sign}.3f}\\]"
