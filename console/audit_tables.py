"""What an audit found: the ruling first, then the worst entities, then the rows to look at, and what it could have missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from turncoat.vetting.audit_records import Audit, Influence, Suspect

from .status import duration
from .tables import table_of
from .terminal import clean

_SIGNS = {"allow": "✓ ALLOW", "review": "? REVIEW", "block": "✗ BLOCK"}
_STYLES = {"allow": "bold green", "review": "bold yellow", "block": "bold red"}
_WORST = 10
_ROWS = 12
_BESIDE = 6


def audit_object(audit: Audit) -> dict[str, Any]:
    """The ruling as JSON: `verdict`, `findings` with `entity` and flagged rows, worst first, and what was tried."""
    return {
        "verdict": audit.ruling,
        "why": audit.why,
        "findings": [_suspect_object(suspect) for suspect in audit.suspects],
        "nearest": [_suspect_object(suspect) for suspect in audit.nearest],
        "flagged": [asdict(row) for row in audit.flagged],
        "influence": [_influence_object(traced) for traced in audit.influence],
        "untested": list(audit.untested),
        "tried": dict(audit.tried),
        "rows": audit.rows,
        "labelled_malicious": audit.malicious,
        "smallest_rows": audit.smallest_rows,
        "smallest_lift": {str(rows): lift for rows, lift in audit.smallest_lift.items()},
        "subject": dict(audit.subject),
        "seconds": {stage: round(spent, 3) for stage, spent in audit.seconds.items()},
    }


def audit_view(audit: Audit) -> RenderableType:
    """All of it for a terminal of 80 columns."""
    head = Text.assemble((_SIGNS[audit.ruling], _STYLES[audit.ruling]), "\n", clean(audit.why, 600))
    return Group(Panel(head, box=box.ROUNDED, padding=(0, 1)), *_parts(audit))


def _parts(audit: Audit) -> Iterator[RenderableType]:
    if audit.suspects:
        yield _entities(f"Worst of {len(audit.suspects)} entities", audit.suspects[:_WORST])
        yield _doubts(audit.suspects[:_WORST])
    if audit.nearest:
        yield _entities("Stand out, and read as labelled", audit.nearest[:5])
    if audit.flagged:
        yield _flagged(audit)
        if len(audit.flagged) > _ROWS:
            yield Text("All of them: --json, --sarif")
    if beside := [str(e) for s in audit.suspects for e in s.association.beside]:
        more = f" and {len(beside) - _BESIDE} more" if len(beside) > _BESIDE else ""
        yield Text(f"Stand out through the same rows only: {', '.join(clean(e, 60) for e in beside[:_BESIDE])}{more}")
    yield from _traced(audit)
    if audit.untested:
        yield Text("Not tested:", style="bold")
        yield from (Text(f"  {clean(gap)}") for gap in audit.untested)
    yield Text(f"Tried: {', '.join(f'{count:,} {kind}' for kind, count in audit.tried.items()) or 'nothing'}")
    yield Text(_least(audit))
    took = ", ".join(f"{stage} {duration(spent)}" for stage, spent in audit.seconds.items())
    yield Text(f"{audit.rows:,} rows, {audit.malicious:,} labelled malicious{f'; took {took}' if took else ''}")
    yield Text(f"Subject: {clean(audit.subject['set'])}, rows {audit.subject['rows'][:12]}, {audit.subject['read by']}")


def _entities(title: str, suspects: Sequence[Suspect]) -> Table:
    rows = [
        (str(s.entity), s.ruling, f"{s.association.benign}/{s.association.rows}", f"{s.association.expected:.0f}",
         f"{s.association.lift:+.2f}", _p(s.association.q), _p(s.p_read), "–" if s.share is None else f"{s.share:.0%}")
        for s in suspects
    ]  # fmt: skip
    columns = ("entity", "rules", "benign", "expected", "lift", "q", "p (text)", "malicious")
    return table_of(title, columns, rows)


def _doubts(suspects: Sequence[Suspect]) -> Table:
    """What three ways of looking at the same benign labels make of them."""
    rows = [(str(s.entity), len(s.flagged), len(s.doubted), len(s.doubted_ordinary)) for s in suspects]
    return table_of(
        "Benign labels in doubt", ("entity", "flagged", "row by row", "row by row, models that saw the entity"), rows
    )


def _flagged(audit: Audit) -> Table:
    first = sorted(audit.flagged, key=lambda row: (-row.chance, row.line))[:_ROWS]
    rows = [(row.line, row.uid, f"{row.chance:.2f}") for row in first]
    title = f"Rows to look at, {len(first):,} of {len(audit.flagged):,}"
    return table_of(title, ("line", "uid", "P(malicious)"), rows)


def _traced(audit: Audit) -> Iterator[RenderableType]:
    """What a short fit did with the suspects' attacks, and the rows that made it so."""
    if not audit.influence:
        if "traced with" in audit.subject and not audit.suspects:
            yield Text("Nothing stands out: there is nobody whose influence could be traced")
        return
    rows = [
        (str(t.entity), f"{t.escalated}/{t.probes}", f"{t.dismissed}/{t.escalated}", f"{t.own}/{len(t.top)}" if t.top else "–")
        for t in audit.influence
    ]  # fmt: skip
    columns = ("suspect", "escalated as drawn", "of these dismissed with it", "its own among most influential")
    yield table_of(f"Malicious probes put to a model fitted on {audit.influence[0].fitted:,} rows", columns, rows)
    if not any(t.dismissed for t in audit.influence):
        yield Text("No suspicious dismissal was found; so short a fit clears nobody")
    for traced in audit.influence:
        if others := [row for row in traced.top if not row.own]:
            named = ", ".join(f"line {row.line} ({clean(row.uid, 40)})" for row in others[:_BESIDE])
            more = f" and {len(others) - _BESIDE:,} more" if len(others) > _BESIDE else ""
            yield Text(f"Influential beside rows of {clean(traced.entity, 60)}: {named}{more}")


def _least(audit: Audit) -> str:
    if audit.smallest_rows is None:
        return "The labels are of one kind: nothing can stand out"
    sizes = ", ".join(f"{rows} rows {lift:+.2f}" for rows, lift in audit.smallest_lift.items())
    words = f"Smallest that an identity could have hidden behind: fewer than {audit.smallest_rows} rows, all labelled benign"
    return f"{words}; lift found with a chance of .8: {sizes or 'none'}"


def _p(value: float | None) -> str:
    return "–" if value is None else "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _influence_object(traced: Influence) -> dict[str, Any]:
    return {
        "entity": str(traced.entity),
        "probes": traced.probes,
        "escalated": traced.escalated,
        "dismissed": traced.dismissed,
        "rows_fitted": traced.fitted,
        "own_among_most_influential": traced.own,
        "most_influential": [asdict(row) for row in traced.top],
    }


def _suspect_object(suspect: Suspect) -> dict[str, Any]:
    a = suspect.association
    return {
        "entity": str(a.entity),
        "ruling": suspect.ruling,
        "why": suspect.why,
        "rows": a.rows,
        "benign": a.benign,
        "expected_benign": round(a.expected, 3),
        "lift": round(a.lift, 6),
        "p": a.p,
        "q": a.q,
        "p_read": suspect.p_read,
        "share_malicious": suspect.share,
        "flagged": [asdict(row) for row in suspect.flagged],
        "doubted_lines": list(suspect.doubted),
        "doubted_lines_ordinary_folds": list(suspect.doubted_ordinary),
        "beside": [str(entity) for entity in a.beside],
    }
