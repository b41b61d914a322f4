"""The report as a summary in Markdown, to be pasted into a ticket.

Ticket systems link, mention, embed and render whatever looks like it. So each text from outside is a code span, in
which no dialect does any of that, and where no span would hold it, it is changed: a backtick becomes an apostrophe, a
vertical bar, which would end a cell, a broken one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..cascade_tables import brief, terms_in_words
from ..sweep_tables import done_line
from ..tables import minutes
from ..terminal import clean
from .dose_figure import answers
from .forest_figure import ForestRow
from .outside import DoseCurve, VettingVerdict
from .sections import MOST_ENTITIES, ReportParts, RunPart
from .words import (
    ASIDES,
    FATES,
    clock,
    counted,
    first_seen,
    lift_words,
    p_words,
    rate_words,
    share,
    signed,
)

MOST_STEPS, MOST_FINDINGS = 60, 10
_HARMLESS = re.compile(r"[A-Za-z0-9 ,;()+=%'’–-]*(?:(?:[.:](?= |\Z|\d)|(?<=[ (])[<>](?= ))[A-Za-z0-9 ,;()+=%'’–-]*)*")
"""Letters, digits and marks that no dialect takes for anything; no word that runs on behind a dot, as addresses do."""
_RULED = {"allow": "✓ allow", "review": "? review", "block": "✗ block", "abstain": "– abstains"}


def report_markdown(parts: ReportParts) -> str:
    """The summary; GitHub's dialect, whose tables most ticket systems read."""
    return "\n\n".join(_blocks(parts)) + "\n"


def code(text: object, limit: int = 200) -> str:
    """Text from outside as a code span that it cannot leave."""
    inside = clean(text, limit).replace("`", "'").replace("|", "¦")
    return f"`{inside}`" if inside else "–"


def sentence(text: str) -> str:
    """A sentence that may hold names from outside: as it is where it is harmless, else a code span."""
    line = clean(text, 2_000)
    return line if _HARMLESS.fullmatch(line) else code(line, 2_000)


def _blocks(parts: ReportParts) -> Iterator[str]:
    alone = len(parts.runs) == 1
    yield f"# Turncoat report: {code(parts.runs[0].run.campaign.title) if alone else counted(len(parts.runs), 'run')}"
    if parts.names:
        yield "\n".join(f"> {sentence(one)}" for one in parts.names)
    for part in parts.runs:
        if not alone:
            yield f"## {code(part.run.campaign.title)}, seed {part.run.manifest.seed}"
        yield from _run(part, "##" if alone else "###")
    if parts.forest:
        yield "## Trigger lift"
        yield _table(("variant", "lift", "95 % interval", "p and pairs"), map(_lift_row, parts.forest))
    for question, sentences in parts.said:
        yield f"**{question}**"
        yield "\n".join(f"- {sentence(one)}" for one in sentences)
    if parts.sweep:
        yield from _sweep(parts.sweep)
    if parts.vetting:
        yield from _vetting(parts.vetting)
    yield (
        "Text from alerts and files stands in `code`; backticks and vertical bars in it are shown as ' and ¦. Times are "
        "simulated, UTC. Forced escalations count neither as detected nor as missed."
    )


def _run(part: RunPart, level: str) -> Iterator[str]:
    run = part.run
    yield f"> {sentence(part.sentence)}"
    unfinished = "" if run.complete else f" Not finished: {counted(len(run.outcomes), 'row')} so far."
    yield (
        f"Campaign {code(run.manifest.scenario)}, seed {run.manifest.seed}, threshold"
        f" {run.manifest.settings.threshold:g}, as {', '.join(map(code, part.names))}.{unfinished}"
    )
    yield _table(
        ("variant", "as", "escalated", "dismissed", "review", "forced", "first escalated", "dwell"), _attack(part)
    )
    yield f"{level} Step by step, as {code(run.principals[0])}"
    lanes = [lane for lane in part.story.lanes if lane.principal == run.principals[0]]
    steps = [
        (str(s.number), clock(s.time), code(s.title) + (f" ({ASIDES[s.aside]})" if s.aside else ""), code(s.phase),
         *(FATES[lane.fates[s.number - 1]] for lane in lanes))
        for s in part.story.scenes[:MOST_STEPS]
    ]  # fmt: skip
    yield _table(("#", "when", "step", "phase", *(code(lane.variant) for lane in lanes)), steps)
    if len(part.story.scenes) > MOST_STEPS:
        yield f"{counted(len(part.story.scenes) - MOST_STEPS, 'further step')} left out."
    for kind, rows in part.entities.items():
        yield f"{level} Malicious alerts escalated by {kind}"
        yield _table(
            (kind, *(code(variant) for variant in part.variants)),
            [(code(row.entity), *(f"{rate_words(r.recall)}, gap {signed(r.gap)}" if r else "–" for r in row.recalls))
             for row in rows[:MOST_ENTITIES]],
        )  # fmt: skip
    yield f"{level} Cloud load"
    loads = [(code(one.variant), f"{one.escalations:,}", f"{one.queue_peak:,}", f"{one.analyst_hours:,.1f}",
              share(one.attack_looked_at, one.attack_alerts),
              "never" if one.first_look_or_forced_minutes is None else brief(one.first_look_or_forced_minutes))
             for one in part.loads]  # fmt: skip
    yield _table(("variant", "escalations", "peak", "hours", "attack alerts looked at", "first look"), loads)
    yield f"{terms_in_words(part.terms)}."


def _lift_row(row: ForestRow) -> Sequence[str]:
    if row.heading:
        return f"**{code(row.label)}**", "", "", ""
    return code(row.label), signed(row.value), _interval(row.low, row.high), sentence(row.note)


def _attack(part: RunPart) -> Iterator[Sequence[str]]:
    for variant, figures in part.run.comparison.variants.items():
        for name, row in (*figures.principals.items(), *figures.aliases.items()):
            dwell = minutes(row.dwell_minutes) if row.attack_alerts else "–"
            yield (
                code(variant), code(name), share(row.escalated, row.attack_alerts), str(row.dismissed),
                str(row.reviewed), str(row.forced), sentence(first_seen(row)),
                dwell if row.first_escalation or not row.attack_alerts else f"over {dwell}",
            )  # fmt: skip
        if figures.lift and figures.lift["pairs"]:
            yield (code(variant), "lift", lift_words(figures.lift), p_words(figures.lift["p"]), "", "", "", "")


def _sweep(curve: DoseCurve) -> Iterator[str]:
    yield "## Dose curve"
    yield sentence(done_line(curve.model_dump()))
    if lines := answers(curve):
        yield "\n".join(f"- {sentence(line)}" for line in lines)


def _vetting(verdict: VettingVerdict) -> Iterator[str]:
    yield f"## Vetting: {_RULED[verdict.verdict]}"
    yield code(verdict.why, 1_000)
    if verdict.findings:
        rows = [(code(one.entity or one.detector), _RULED[one.ruling], "–" if one.lift is None else f"{one.lift:+.2f}",
                 _interval(one.low, one.high), str(one.n), code(one.nature))
                for one in verdict.findings[:MOST_FINDINGS]]  # fmt: skip
        yield f"Worst of {counted(len(verdict.findings), 'finding')}:"
        yield _table(("entity", "rules", "lift", "95 % interval", "n", "bias"), rows)
    gaps = [gap for report in verdict.reports for gap in report.untested]
    if gaps:
        yield "Not tested:\n" + "\n".join(f"- {code(gap)}" for gap in gaps[:MOST_FINDINGS])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
