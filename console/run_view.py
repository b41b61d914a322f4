"""A finished run to read: what was played, how the variants compare, and what each decided about every attack alert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turncoat.agent.conclusion import conclusion
from turncoat.agent.records import Outcome

from .case_view import choose, names_of, pairs, plain_decision, plain_truth, run_head, word_table
from .live import decision_cell
from .tables import comparison_view
from .terminal import clean, text

if TYPE_CHECKING:
    from .past_run import PastRun

_CELL = 10


def run_view(run: PastRun, principal: str = "", variant: str = "", width: int = 80) -> RenderableType:
    """The run to read: what was played, the comparison, and every attack alert with each variant's decision.

    Raises:
        InputError: The run has no such principal or variant.
    """
    name, variants = _chosen(run, principal, variant)
    models = Table.grid(padding=(0, 2))
    for one in variants:
        models.add_row(Text(clean(one, 40), style="bold"), Text(clean(run.manifest.variants[one], 80), style="dim"))
    known = len(run.streams[run.principals[0]].alerts) * len(run.streams) * len(run.manifest.variants)
    state = "complete" if run.complete else f"{len(run.outcomes):,} of {known:,} rows; `turncoat resume` finishes it"
    facts = {
        "run": f"{run.path}, {state}",
        "campaign": run.campaign.title,
        "settings": _settings(run),
        "computed on": run.manifest.versions.get("arithmetic"),
        "as": ", ".join(names_of(run)),
    }
    parts: list[RenderableType] = [pairs(facts), Text(""), Text("Variants, by fingerprint", style="bold"), models]
    if run.comparison.variants:
        parts.append(comparison_view(run.comparison, conclusion(run.comparison, complete=run.complete), width))
    parts += [Text(""), _attack_list(run, name, variants, width)]
    return Group(*parts, Text("A whole case: turncoat show RUN --alert UID (its first digits will do)", style="dim"))


def run_json(run: PastRun, principal: str = "", variant: str = "") -> dict[str, Any]:
    """The run as a plain object, with every alert of one name and each variant's decision.

    Raises:
        InputError: As `run_view`.
    """
    name, variants = _chosen(run, principal, variant)
    rows = _rows(run, name)
    return run_head(run) | {
        "variants": {one: run.manifest.variants[one] for one in variants},
        "principals": list(run.principals),
        "aliases": list(run.aliases),
        "comparison": run.comparison.as_json(),
        "conclusion": conclusion(run.comparison, complete=run.complete),
        "principal": name,
        "alerts": [
            {
                "uid": alert.uid,
                "time": alert.time.isoformat(),
                "title": alert.title,
                "decisions": {v: plain_decision(rows[alert.uid][v]) for v in variants if v in rows.get(alert.uid, {})},
                "truth": plain_truth(next(iter(rows[alert.uid].values()))) if alert.uid in rows else None,
            }
            for alert in run.streams[name].alerts
        ],
    }


def _chosen(run: PastRun, principal: str, variant: str) -> tuple[str, tuple[str, ...]]:
    every = tuple(run.manifest.variants)
    name = choose("--principal", principal, names_of(run)) if principal else run.principals[0]
    return name, (choose("--variant", variant, every),) if variant else every


def _rows(run: PastRun, principal: str) -> dict[str, dict[str, Outcome]]:
    """uid -> variant -> row, under one name."""
    rows: dict[str, dict[str, Outcome]] = {}
    for outcome in run.outcomes:
        if outcome.investigation.principal == principal:
            rows.setdefault(outcome.investigation.uid, {})[outcome.investigation.variant] = outcome
    return rows


def _attack_list(run: PastRun, principal: str, variants: Sequence[str], width: int) -> Table:
    """Every malicious alert; those that are not counted as the principal's attack say why."""
    cell = _CELL if len(variants) <= 3 or width >= 44 + 13 * len(variants) else 3
    table = word_table(f"Malicious alerts as {clean(principal, 40)}")
    table.add_column("uid", no_wrap=True, width=12)
    table.add_column("time", no_wrap=True, width=9)
    table.add_column("alert", no_wrap=True, overflow="ellipsis", width=max(12, width - 25 - (cell + 2) * len(variants)))
    for variant in variants:
        table.add_column(
            Text(clean(variant, 40)), overflow="fold", width=cell
        )  # whole: two may differ only at their end
    rows = _rows(run, principal)
    for alert in run.streams[principal].alerts:
        decided = rows.get(alert.uid, {})
        outcome = next(iter(decided.values()), None)
        if outcome is None or not outcome.malicious:
            continue
        table.add_row(
            text(alert.uid),
            f"{alert.time:%a %H:%M}",
            text(f"{_aside(outcome)}{alert.title}"),
            *(decision_cell(decided[v].investigation.decision) if v in decided else Text("") for v in variants),
        )
    return table


def _aside(outcome: Outcome) -> str:
    if outcome.injected:
        return "(injected) "
    return "" if outcome.own else "(bystander) "


def _settings(run: PastRun) -> str:
    settings = run.manifest.settings
    withheld = ", evidence withheld" if settings.withhold_evidence else ""
    return f"{run.manifest.scenario}, seed {run.manifest.seed}, threshold {settings.threshold:g}{withheld}"
