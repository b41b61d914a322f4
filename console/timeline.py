"""A campaign as a timeline to read."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turncoat.scenarios.schema import Campaign, Step

from .terminal import clean, text


def timeline(campaign: Campaign) -> RenderableType:
    """Who does what when, phase by phase; then noise, twins and lessons."""
    parts: list[RenderableType] = [
        Text.assemble((clean(campaign.title), "bold"), f"  ({clean(campaign.id)}, seed {campaign.seed})"),
        Text(clean(campaign.summary, 4_000)),
        Text(""),
        _fact(
            "actor",
            f"{campaign.actor.name} ({campaign.actor.login}), {campaign.actor.role}, {campaign.actor.department}",
        ),
        _fact("clock", f"{campaign.clock.days} days from {campaign.clock.start}, {campaign.clock.timezone}"),
        _fact("noise", f"{campaign.noise.per_day} alerts a day, {campaign.noise.lookalikes:.0%} of them look-alikes"),
        _fact("twins", ", ".join(twin.name for twin in campaign.counterfactuals.twins)),
    ]
    parts += [_fact("aims", objective) for objective in campaign.objectives]
    for phase in campaign.phases:
        parts += [Text(""), Text(clean(phase.title), style="bold"), _steps(phase.steps)]
    if campaign.lessons:
        parts += [Text(""), Text("Lessons", style="bold")]
        parts += [Text(f"· {clean(lesson, 2_000)}") for lesson in campaign.lessons]
    return Group(*parts)


def _fact(name: str, words: str) -> Text:
    return Text.assemble((f"{name:>6}  ", "dim"), clean(words))


def _steps(steps: tuple[Step, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False, show_edge=False)
    table.add_column("when", no_wrap=True, max_width=16)
    table.add_column("technique", no_wrap=True)
    table.add_column("what happens", ratio=1)
    table.add_column("expected", no_wrap=True)
    for step in steps:
        when = step.at or (f"{step.after.step} +{step.after.offset}" if step.after else "")
        happens = Text(clean(step.title))
        if step.alert is None:
            happens.append("\n  no alert: nothing detects this", style="dim")
        elif step.alert.activity:
            happens.append(f"\n  {clean(step.alert.activity)}", style="dim")
        table.add_row(text(when), text(step.technique), happens, _expected(step))
    return table


def _expected(step: Step) -> Text:
    if step.alert is None:
        return Text("–")
    if step.expect.escalate:
        return Text("▲ escalate", style="bold")
    return Text("· dismiss")
