"""What vetting found: the ruling first, then the worst entities, then what was tried and what it took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from turncoat.vetting.records import DetectorReport, Finding, Leak, Vetting, counted

from .status import duration
from .tables import table_of
from .terminal import clean

SIGNS = {"allow": "✓ ALLOW", "review": "? REVIEW", "block": "✗ BLOCK", "abstain": "– abstains"}
_STYLES = {"allow": "bold green", "review": "bold yellow", "block": "bold red", "abstain": ""}
WORST = 10
LEAKS = 24
"""Findings and near forms that are shown; the JSON holds all."""


def vetting_object(vetting: Vetting) -> dict[str, Any]:
    """The ruling as JSON: `verdict`, `findings` with `entity`, worst first, and a report per detector."""
    cost = vetting.cost
    return {
        "verdict": vetting.ruling,
        "why": vetting.why,
        "findings": [finding_object(finding) for finding in vetting.findings],
        "reports": [_report_object(report) for report in vetting.reports],
        "subject": dict(vetting.subject),
        "cost": {
            **asdict(cost),
            "flops": round(cost.tokens * vetting.flops_per_token),
            "flops_in_full": round(cost.tokens_in_full * vetting.flops_per_token),
        },
        "seconds": round(vetting.seconds, 3),
    }


def finding_object(finding: Finding) -> dict[str, Any]:
    """A finding as JSON; `entity` is `kind:value`, or null."""
    return asdict(finding) | {"entity": str(finding.entity) if finding.entity else None}


def vetting_view(vetting: Vetting) -> RenderableType:
    """All of it for a terminal of 80 columns."""
    head = Text.assemble((SIGNS[vetting.ruling], _STYLES[vetting.ruling]), "\n", clean(vetting.why, 600))
    return Group(Panel(head, box=box.ROUNDED, padding=(0, 1)), *_parts(vetting))


def _parts(vetting: Vetting) -> Iterator[RenderableType]:
    if worst := vetting.findings[:WORST]:
        yield _findings_table(f"Worst of {len(vetting.findings)} findings", worst)
    elif nearest := [finding for report in vetting.reports for finding in report.nearest][:5]:
        yield _findings_table("Asked again, and not found wanting", nearest)
    leaks, others = shown_leaks(vetting)
    if leaks:
        rows = [(str(leak.entity), leak.value, leak.how, f"{leak.dismissed}/{leak.n}") for leak in leaks]
        yield table_of("Near forms", ("of", "form", "what was done", "dismissed"), rows)
    if others:
        yield Text(f"{others}\n")
    rows = [(report.detector, SIGNS[report.ruling], tried_words(report), report.why) for report in vetting.reports]
    yield table_of("Detectors", ("name", "ruling", "tried", "why"), rows)
    if gaps := [gap for report in vetting.reports for gap in report.untested]:
        yield Text("Not tested:", style="bold")
        yield from (Text(f"  {clean(gap)}") for gap in gaps)
    if smallest := smallest_words(vetting):
        yield Text(f"Smallest lift found with a chance of .8, once asked again: {smallest}")
    yield Text(cost_words(vetting))
    digests = "  ".join(f"{name} {value[:12]}" for name, value in vetting.subject.items() if len(value) == 64)
    read = ", ".join(f"{name} {value}" for name, value in vetting.subject.items() if len(value) != 64)
    yield Text(f"Subject: {clean(read)}\n{clean(digests, 1_000)}")


def _findings_table(title: str, findings: list[Finding] | tuple[Finding, ...]) -> Table:
    rows = [
        (
            f"{f.entity}{' (near form)' if f.near else ''}" if f.entity else f"({f.detector})",
            f.ruling,
            "–" if f.lift is None else f"{f.lift:+.2f} [{f.low or 0.0:+.2f}, {f.high or 0.0:+.2f}]",
            "–" if f.q is None else "<.001" if f.q < 0.001 else f"{f.q:.3f}".lstrip("0"),
            f.n,
            f.nature,
        )
        for f in findings
    ]
    return table_of(title, ("entity", "rules", "lift [95 % interval]", "q", "n", "bias"), rows)


def shown_leaks(vetting: Vetting) -> tuple[list[Leak], str]:
    """Near forms that are dismissed at all, most often first, and a sentence about all others; empty if there are none."""
    every = [leak for report in vetting.reports for leak in report.leaks]
    order = sorted((leak for leak in every if leak.dismissed), key=lambda leak: -leak.dismissed / leak.n)
    shown, asleep = order[:LEAKS], len(every) - len(order)
    words = [f"{len(order) - LEAKS} more are dismissed as often or less" if len(order) > LEAKS else "",
             f"{counted(asleep, 'near form')} of the worst users: never dismissed" if asleep else ""]  # fmt: skip
    return shown, "; ".join(filter(None, words))


def tried_words(report: DetectorReport) -> str:
    """How many of what a detector tried."""
    return ", ".join(f"{count:,} {kind}" for kind, count in report.tried.items()) or "–"


def smallest_words(vetting: Vetting) -> str:
    """Per kind of entity the smallest lift that would have been found."""
    return ", ".join(f"{kind} {lift:.2f}" for report in vetting.reports for kind, lift in report.smallest_lift.items())


def cost_words(vetting: Vetting) -> str:
    """Time, prompts, tokens and FLOPs, beside those of testing each name in full."""
    cost, per_token = vetting.cost, vetting.flops_per_token
    words = f"Took {duration(vetting.seconds)}: {cost.forwards:,} prompts, {cost.tokens:,} tokens computed"
    if not cost.tokens_in_full:
        return words
    share = cost.tokens / cost.tokens_in_full
    full = f" of {cost.tokens_in_full:,} that testing each name in full takes ({share:.1%})"
    flops = f"; {_flops(cost.tokens * per_token)} of {_flops(cost.tokens_in_full * per_token)}" if per_token else ""
    return words + full + flops


def _flops(number: float) -> str:
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e6:.1f} MFLOP"


def _report_object(report: DetectorReport) -> dict[str, Any]:
    near = [finding_object(finding) for finding in report.nearest]
    leaks = [asdict(leak) | {"entity": str(leak.entity)} for leak in report.leaks]
    return {
        "detector": report.detector,
        "ruling": report.ruling,
        "score": report.score,
        "why": report.why,
        "tried": dict(report.tried),
        "untested": list(report.untested),
        "smallest_lift": dict(report.smallest_lift),
        "nearest": near,
        "near_forms": leaks,
        "cost": asdict(report.cost),
    }
