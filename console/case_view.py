"""One alert's whole case in a finished run: what was asked, answered, scored and decided.

Everything here comes from a run folder that anybody may have changed: all of it is cleaned before it is printed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from turncoat.agent.folder import plain_investigation
from turncoat.agent.records import Outcome
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert
from turncoat.tools.records import Evidence

from .live import decision_cell
from .terminal import clean, text

if TYPE_CHECKING:
    from .past_run import PastRun

_NAMED = 8
"""uids that a message lists."""
_LONG = 4_000


@dataclass(frozen=True)
class Case:
    """One alert of a run under one name, as every variant saw it."""

    run: PastRun
    alert: Alert
    principal: str
    shown: tuple[Outcome, ...]
    """The rows to tell in full: one per variant, or the one that was asked for."""
    missing: tuple[str, ...]
    """Variants that have no row yet."""
    everywhere: Mapping[str, Mapping[str, Outcome]]
    """Name -> variant -> row: all rows of this alert."""


def find_case(run: PastRun, uid: str, principal: str = "", variant: str = "") -> Case:
    """The case of an alert.

    Args:
        run: As read back.
        uid: The alert's, or the beginning of it if no other alert's begins so.
        principal: Under which name; the actor if empty.
        variant: Only this one; all if empty.

    Raises:
        InputError: No such alert, name or variant; near ones are named.
    """
    name = choose("--principal", principal, names_of(run)) if principal else run.principals[0]
    chosen = choose("--variant", variant, tuple(run.manifest.variants)) if variant else ""
    alerts = {alert.uid: alert for alert in run.streams[name].alerts}
    alert = alerts[_resolve(uid.strip(), alerts)]
    everywhere: dict[str, dict[str, Outcome]] = {}
    for outcome in run.outcomes:
        row = outcome.investigation
        if row.uid == alert.uid:
            everywhere.setdefault(row.principal, {})[row.variant] = outcome
    here = everywhere.get(name, {})
    asked = [chosen] if chosen else list(run.manifest.variants)
    missing = tuple(v for v in asked if v not in here)
    return Case(run, alert, name, tuple(here[v] for v in asked if v in here), missing, everywhere)


def names_of(run: PastRun) -> list[str]:
    """Under which names the run was played: the actor, the twins, the aliases."""
    return [name for name in (*run.principals, *run.aliases) if name in run.streams]


def choose(option: str, name: str, known: Sequence[str]) -> str:
    """The name, if it is among the known ones. Raises InputError that lists them otherwise."""
    if name not in known:
        raise InputError.at(option, f"the run has no {clean(name, 80)!r}", f"choose one of: {', '.join(known)}")
    return name


def _resolve(uid: str, alerts: Mapping[str, Alert]) -> str:
    """The uid that is meant: an exact one first, then the only one that begins so."""
    if uid in alerts:
        return uid
    begins = [known for known in alerts if uid and known.startswith(uid.lower())]
    if len(begins) == 1:
        return begins[0]
    if begins:
        more = f" and {len(begins) - _NAMED} more" if len(begins) > _NAMED else ""
        cure = f"give more digits: {', '.join(begins[:_NAMED])}{more}"
        raise InputError.at("--alert", f"{len(begins)} alerts begin with {clean(uid, 40)!r}", cure)
    near = difflib.get_close_matches(uid[:40].lower(), list(alerts), _NAMED, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`turncoat show RUN` lists the attack alerts"
    raise InputError.at("--alert", f"the run has no alert {clean(uid, 40)!r}", hint)


def case_view(case: Case) -> RenderableType:
    """The case to read: alert, evidence, every variant's verdict and decision, other names; the truth last."""
    run = case.run.manifest
    head = Text.assemble((f"Alert {clean(case.alert.uid)}", "bold"), f"  {clean(run.scenario)}  seed {run.seed}  as ")
    head.append(clean(case.principal), style="bold")
    parts: list[RenderableType] = [head, Text(""), pairs(alert_fields(case.alert))]
    for evidence, variants in evidence_groups(case.shown):
        who = f" ({', '.join(clean(v, 40) for v in variants)})" if len(variants) < len(case.shown) else ""
        parts += [Text(""), Text(f"Evidence{who}", style="bold"), _evidence_table(evidence)]
    parts += [Text(""), Text("Verdicts and decisions", style="bold")]
    parts += [_variant_block(case, outcome) for outcome in case.shown]
    parts += [Text(f"{clean(v, 40)}  not decided yet; turncoat resume finishes the run") for v in case.missing]
    if len(case.everywhere) > 1:
        parts += [Text(""), Text("The same alert under every name", style="bold"), _names_table(case)]
    if case.shown:
        parts += [Text(""), Text("The truth, which no agent, tool or model was told", style="bold")]
        parts.append(_truth(case.shown[0]))
    return Group(*parts)


def case_json(case: Case) -> dict[str, Any]:
    """The case as a plain object; `truth` is its last key."""
    outcome = next(iter(case.shown), None)
    return {
        "run": run_head(case.run),
        "uid": case.alert.uid,
        "principal": case.principal,
        "alert": _plain_alert(case.alert),
        "cases": [
            plain_investigation(o.investigation) | {"fingerprint": case.run.manifest.variants[o.investigation.variant]}
            for o in case.shown
        ],
        "everywhere": {
            name: {variant: plain_decision(o) for variant, o in rows.items()} for name, rows in case.everywhere.items()
        },
        "truth": plain_truth(outcome) if outcome else None,
    }


def _variant_block(case: Case, outcome: Outcome) -> RenderableType:
    """Decision, verdict, reason and time of one variant."""
    row = outcome.investigation
    decision, verdict = row.decision, row.verdict
    head = Text.assemble((f"{clean(row.variant, 40)}  ", "bold"), decision_cell(decision))
    lines = {"verdict": "none"}
    if verdict is not None:
        words = f"{verdict.answer}, p_malicious {verdict.p_malicious:.3f}, margin {verdict.margin:+.2f}"
        left = f", left out: {', '.join(clean(name, 80) for name in verdict.left_out)}" if verdict.left_out else ""
        lost = ", a required field was lost" if verdict.lost_required else ""
        lines["verdict"] = f"{words}, {verdict.tokens} tokens{left}{lost}"
    lines["decided"] = f"by {clean(decision.policy, 80)}: {decision.reason}"
    lines["at"] = (
        f"{decision.simulated_time.isoformat(' ', 'seconds')}, {time_after(case.alert, outcome)} after the alert"
    )
    lines["model"] = case.run.manifest.variants[row.variant]
    if verdict is not None and verdict.fingerprint != lines["model"]:
        lines["model"] += f" (the verdict says {verdict.fingerprint})"
    return Group(head, Padding(pairs(lines), (0, 0, 0, 2)))


def time_after(alert: Alert, outcome: Outcome) -> str:
    """Simulated time from the alert to the decision."""
    seconds = (outcome.investigation.decision.simulated_time - alert.time).total_seconds()
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def evidence_groups(shown: Iterable[Outcome]) -> list[tuple[tuple[Evidence, ...], list[str]]]:
    """Variants that saw the same evidence stand together; another round, or another planner, makes another group."""
    groups: dict[tuple[Evidence, ...], list[str]] = {}
    for outcome in shown:
        groups.setdefault(outcome.investigation.evidence, []).append(outcome.investigation.variant)
    return list(groups.items())


def _evidence_table(evidence: Sequence[Evidence]) -> RenderableType:
    if not evidence:
        return Text("none was asked for", style="italic")
    table = word_table()
    table.add_column("tool", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("question and answer", ratio=1, overflow="fold")
    table.add_column("cost", justify="right", no_wrap=True)
    for item in evidence:
        answer = Text(clean(item.answer, _LONG), style="bold red" if item.failed else "")
        said = Text.assemble((clean(item.question, _LONG), "dim"), "\n", "✗ failed: " if item.failed else "", answer)
        table.add_row(text(item.tool), said, f"{item.cost_s:g} s")
    return table


def _names_table(case: Case) -> Table:
    variants = [o.investigation.variant for o in case.shown]
    table = word_table()
    table.add_column("as", no_wrap=True, overflow="ellipsis", max_width=16)
    for variant in variants:
        table.add_column(Text(clean(variant, 40)), overflow="fold")  # whole: two may differ only at their end
    for name in names_of(case.run):
        rows = case.everywhere.get(name, {})
        table.add_row(
            text(name, style="bold" if name == case.principal else ""),
            *(_scored(rows[v]) if v in rows else Text("") for v in variants),
        )
    return table


def _scored(outcome: Outcome) -> Text:
    verdict = outcome.investigation.verdict
    scored = f" {verdict.p_malicious:.3f}" if verdict else ""
    return Text.assemble(decision_cell(outcome.investigation.decision), scored)


def _truth(outcome: Outcome) -> RenderableType:
    truth = plain_truth(outcome)
    words = {name: _word(value) for name, value in truth.items() if value not in (None, "", False)}
    return pairs({"so": "malicious" if truth["malicious"] else "benign"} | _without(words, "malicious"))


def plain_truth(outcome: Outcome) -> dict[str, Any]:
    """What is so about an alert, as JSON has it."""
    return {
        "malicious": outcome.malicious,
        "own": outcome.own,
        "phase": outcome.phase,
        "step": outcome.step,
        "lookalike": outcome.lookalike,
        "injected": outcome.injected,
        "family": outcome.family,
        "expect_escalation": outcome.expect_escalation,
    }


def alert_fields(alert: Alert) -> dict[str, str]:
    """All that an alert says, name by name; empty fields are left out. Nothing is cleaned."""
    plain = _plain_alert(alert)
    named = {key: value for key, value in plain.pop("entities").items() if value is not None}
    raw = {f"raw {key}": value for key, value in plain.pop("raw").items()}
    plain["technique"] = f"{alert.technique} (as the rule claims)" if alert.technique else None
    plain["time"] = f"{alert.time:%A} {alert.time.isoformat(' ', 'seconds')}"
    return {key: str(value) for key, value in (_without(plain, "uid") | named | raw).items() if value}


def _plain_alert(alert: Alert) -> dict[str, Any]:
    return {
        "uid": alert.uid,
        "time": alert.time.isoformat(),
        "title": alert.title,
        "severity": str(alert.severity),
        "product": alert.product,
        "technique": alert.technique,
        "kind": alert.kind,
        "activity": alert.activity,
        "entities": asdict(alert.entities),
        "raw": dict(alert.raw),
    }


def plain_decision(outcome: Outcome) -> dict[str, Any]:
    """A decision in three words, as JSON has it; `p_malicious` is None where there is no verdict."""
    row = outcome.investigation
    return {
        "action": row.decision.action,
        "forced": row.decision.forced,
        "p_malicious": row.verdict.p_malicious if row.verdict else None,
    }


def run_head(run: PastRun) -> dict[str, Any]:
    """Which run it is, as JSON has it."""
    return {
        "scenario": run.manifest.scenario,
        "seed": run.manifest.seed,
        "threshold": run.manifest.settings.threshold,
        "arithmetic": run.manifest.versions.get("arithmetic"),
        "complete": run.complete,
        "folder": str(run.path),
    }


def pairs(words: Mapping[str, object]) -> Table:
    """Names and what stands for them, one a line; empty ones are left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=20)
    grid.add_column(ratio=1, overflow="fold")
    for name, value in words.items():
        if value:
            grid.add_row(Text(clean(name, 40), style="dim"), Text(clean(value, _LONG)))
    return grid


def word_table(title: str | None = None) -> Table:
    """A table with two columns of space between columns and none around."""
    return Table(
        title=None if title is None else Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD,
        pad_edge=False, show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip


def _word(value: object) -> str:
    return "yes" if value is True else str(value)


def _without(words: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in words.items() if key != name}
