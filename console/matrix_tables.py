"""Many campaigns on a terminal of 80 columns: matrix, overall, thresholds, ablation. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turncoat.agent.ablation import Ablation, Change, ablation_of
from turncoat.agent.matrix import (
    LIFT_MARGIN,
    POOLS,
    CampaignFigures,
    Matrix,
    Overall,
    Role,
    lift_within,
    matrix_of,
)
from turncoat.agent.played import PlayedRun, join
from turncoat.agent.thresholds import FEWEST_CAMPAIGNS, TARGETS, Ranking, Thresholds, thresholds_of
from turncoat.scenarios.loader import campaign_text

from .matrix_cells import (
    area_cell,
    count,
    escalated_of,
    fraction,
    load_cell,
    percent,
    rate_cell,
    short,
    signed,
    span,
    tested,
)
from .terminal import clean, text

if TYPE_CHECKING:
    from .campaign_run import Replayed
    from .past_run import PastRun

ENOUGH_CAMPAIGNS = 30
"""Below, a bootstrap by campaign is too narrow to let that go unsaid; see `models.bootstrap.ratio_estimate`."""


def as_played(run: PastRun | Replayed) -> PlayedRun:
    """What the statistics need of a run, be it just played or read back."""
    return PlayedRun(
        campaign=run.plan.campaign.id,
        seed=run.plan.seed,
        principals=run.plan.names,
        aliases=run.plan.aliases,
        outcomes=run.outcomes,
        without_evidence=run.without_evidence,
        threshold=run.comparison.threshold,
        complete=getattr(run, "complete", True),
        families=run.plan.attack_families,
        terms={
            "trigger": run.plan.order.trigger,
            "planner": run.plan.order.planner + run.plan.order.planner_model,
            "version of the campaign": campaign_text(run.plan.campaign),
        },
    )


def matrix_view(runs: Sequence[PlayedRun], width: int = 80) -> RenderableType:
    """All tables about runs that are looked at together.

    Args:
        runs: At least one.
        width: Columns of the terminal; names are cut to fit from 80 on.

    Raises:
        InputError: There is no run, or the thresholds differ.
    """
    joined, name = join(runs), max(20, min(40, width - 52))
    matrix = matrix_of(joined)
    parts: list[RenderableType] = []
    attacked = [figures for figures in matrix.campaigns if figures.group != "control"]
    if attacked:
        parts += [_names_table(attacked, name), _load_table(attacked, name)]
        parts += [_overall_table(matrix, name), _other_names_table(matrix, name)]
        parts.append(_lines(statements(matrix)))
        parts += _threshold_parts(thresholds_of(joined), name)
        parts += _ablation_parts(ablation_of(joined), name)
    controls = [figures for figures in matrix.campaigns if figures.group == "control"]
    if controls:
        parts.append(_control_table(controls, name))
    parts.append(_lines([*_signs(matrix), *notes(matrix)]))
    return Group(*(part for whole in parts for part in (Text(""), whole)))


def _names_table(figures: Sequence[CampaignFigures], name: int) -> RenderableType:
    table = _table("campaign", name)
    for column in ("actor", "twin", "others", "alias", "no name"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("lift", justify="right", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    for one in _sections(table, figures):
        (own,) = (cell for cell in one.cells if cell.role == "actor")
        columns = [
            escalated_of(c for c in one.cells if c.role == r) for r in ("actor", "twin", "others", "alias", "nameless")
        ]
        lift = "–" if own.lift is None else f"{own.lift:+.2f}"
        table.add_row(_indented(one.variant), *columns, lift, str(own.pairs))
    return _titled("Own attack alerts escalated, under each name; lift against the twin", table)


def _load_table(figures: Sequence[CampaignFigures], name: int) -> RenderableType:
    table = _table("campaign", name)
    for column in ("dism.", "rev.", "forced", "injected▲", "bystander▲", "benign▲", "alike▲"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in _sections(table, figures):
        (own,) = (cell for cell in one.cells if cell.role == "actor")
        near = one.bystanders
        table.add_row(
            _indented(one.variant),
            *(count(n) for n in (own.attack.dismissed, own.attack.reviewed, own.attack.forced)),
            fraction(own.injected.escalated, own.injected.attack_alerts),
            fraction(near.attack_escalated, near.attack_alerts),
            load_cell(one.benign),
            load_cell(one.lookalikes),
        )
    return _titled("As the actor: attack alerts not escalated, and what else was (▲)", table)


def _overall_table(matrix: Matrix, name: int) -> RenderableType:
    table = _table("", name)
    for column in ("lift, not in %", "as actor▲", "as twin▲", "benign▲"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in _pools(table, matrix.overall):
        detection = one.detection
        lift = one.lift.get("actor")
        table.add_row(
            _indented(one.variant),
            signed(lift) if lift else "–",
            *(percent(detection[role]) if role in detection else "–" for role in ("actor", "twin")),
            percent(one.false_escalation),
        )
    return _titled("Over campaigns, in % [95 % interval by campaign]", table)


def _other_names_table(matrix: Matrix, name: int) -> RenderableType:
    table = _table("", name)
    for column in ("other twins▲", "alias▲", "no name▲", "look-alikes▲"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in _pools(table, [o for o in matrix.overall if o.pool == "all"]):
        names: tuple[Role, ...] = ("others", "alias", "nameless")
        table.add_row(
            _indented(one.variant),
            *(percent(one.detection[role]) if role in one.detection else "–" for role in names),
            percent(one.lookalike_escalation),
        )
    return _titled("Attack alerts escalated under further names, and look-alikes; in % [95 %]", table)


def _control_table(figures: Sequence[CampaignFigures], name: int) -> RenderableType:
    table = _table("campaign", name)
    for column in ("benign▲", "look-alikes▲", "the actor's own▲"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in _sections(table, figures):
        table.add_row(
            _indented(one.variant), *(load_cell(load) for load in (one.benign, one.lookalikes, one.own_benign))
        )
    return _titled("Benign control: no attack, so every escalation is a false one", table)


def statements(matrix: Matrix) -> Iterator[str]:
    """Whether each variant is blind to names, and to bystanders, in words."""
    for one in matrix.overall:
        lift = one.lift.get("actor")
        if one.pool != "all" or lift is None:
            continue
        margin = f"±{LIFT_MARGIN:g}".replace("0.", ".")
        inside = lift_within(one)
        if inside is None or lift.low is None or lift.high is None:
            few = "no campaign" if not lift.clusters else "one campaign"
            yield f"{one.variant}: {few} with pairs, so no interval of the lift; two are needed."
        elif inside:
            yield f"{one.variant}: the whole interval of its lift, {span(lift)}, lies within {margin}."
        else:
            yield f"{one.variant}: the interval of its lift, {span(lift)}, does not lie within {margin}."
        if one.bystander_lift.pairs:
            yield f"{one.variant}, bystanders' attack alerts against the twin's replay: {tested(one.bystander_lift)}."


def _signs(matrix: Matrix) -> Iterator[str]:
    if matrix.overall:
        yield "▲ escalated. Forced escalations count nowhere as such and are in no percentage and no lift."


def notes(matrix: Matrix) -> Iterator[str]:
    """What must be known to read the figures."""
    pooled = [one for one in matrix.overall if one.pool == "all"]
    number = max((len(one.campaigns) for one in pooled), default=0)
    if any(figures.group == "unseen" for figures in matrix.campaigns):
        yield "* unseen: every attack alert is of a family that training never saw."
    if 2 <= number < ENOUGH_CAMPAIGNS:
        yield "Intervals over few campaigns are too narrow: simulated, 95 % meant 9 in 10 with 10, 8 in 10 with 3 to 5."
    if any(len(one.campaigns) in (2, 3) for one in matrix.overall):
        yield "Of 2 or 3 campaigns an interval is the lowest and the highest campaign's own figure."
    if any(e.independent for one in matrix.overall for e in one.estimates):
        yield "Where all campaigns agree, an interval is that of the alerts, as if they were independent."
    for campaign, seed in matrix.incomplete:
        yield f"Incomplete: {campaign}, seed {seed}; `turncoat resume` finishes it."
    if matrix.repeated:
        yield f"{matrix.repeated} rows were there twice (same alert, model and name) and count once."


def _threshold_parts(found: Sequence[Thresholds], name: int) -> list[RenderableType]:
    if not found:
        return []
    table = _table("", name)
    for column in ("AUROC", "ECE", "n", *(f"at {100 * target:g} %" for target in TARGETS)):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        table.add_row(text(one.variant, style="bold"))
        _ranking_row(table, "  actor", one.actor)
        _ranking_row(table, "  twin", one.others)
        spent = [point.false_escalation for point in one.actor.points]
        table.add_row("  benign", "", "", str(spent[-1].n), *(rate_cell(rate) for rate in spent))
    halves = (
        "one half of the campaigns and measured on the other (n)"
        if all(one.halves == "campaign" for one in found)
        else f"one half of the alerts and measured on the other (n); fewer than {FEWEST_CAMPAIGNS} campaigns"
    )
    return [
        _titled("Would another threshold have saved us? Caught, in %, if so many benign go up", table),
        _lines([f"Thresholds are set on {halves}.", *(one.reading() for one in found)]),
    ]


def _ranking_row(table: Table, label: str, ranking: Ranking) -> None:
    error = "–" if ranking.calibration_error is None else short(ranking.calibration_error)
    recalls = [point.recall for point in ranking.points]
    table.add_row(label, area_cell(ranking.auroc), error, str(recalls[-1].n), *(rate_cell(rate) for rate in recalls))


def _ablation_parts(ablation: Ablation, name: int) -> list[RenderableType]:
    if not ablation.withheld:
        return []
    table = _table("", name)
    for column in ("n", "dismissed", "to benign", "to malicious", "|Δ margin|"):
        table.add_column(column, justify="right", no_wrap=True)
    for renamed in ablation.renamed:
        table.add_row(text(renamed.variant, style="bold"))
        for one in ablation.withheld:
            if one.variant == renamed.variant:
                _change_row(table, f"  {one.role}, {one.kind}", one.change)
        _change_row(table, "  twin's name", renamed.change)
    return [
        _titled("Evidence withheld: verdicts turned, in % [95 %]; dismissed: with → without", table),
        _lines(ablation.readings),
    ]


def _change_row(table: Table, label: str, change: Change) -> None:
    before, after = (f"{100 * (rate.value or 0):.0f}" for rate in (change.dismissed_before, change.dismissed_after))
    moved = change.margin_change
    span = "" if moved.low is None or moved.high is None else f" [{moved.low:.1f}-{moved.high:.1f}]"
    table.add_row(
        label,
        str(change.to_benign.n),
        f"{before} → {after}" if change.to_benign.n else "–",
        rate_cell(change.to_benign),
        rate_cell(change.to_malicious),
        "–" if moved.value is None else f"{moved.value:.1f}{span}",
    )


def _titled(title: str, table: Table) -> RenderableType:
    """Above the table and not in it, where a narrow table would wrap it."""
    return Group(Text(title, style="bold"), table)


def _table(first: str, width: int) -> Table:
    """Two columns of space between columns and none around."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, min_width=10, max_width=width)  # shrinks first, since only its cells do not wrap
    return table


def _sections(table: Table, figures: Sequence[CampaignFigures]) -> Iterator[CampaignFigures]:
    """Each in turn, with a row for every new campaign before it."""
    last = None
    for one in figures:
        if one.campaign != last:
            table.add_row(text(f"{'* ' if one.group == 'unseen' else ''}{one.campaign}", style="bold"))
            last = one.campaign
        yield one


def _pools(table: Table, overall: Sequence[Overall]) -> Iterator[Overall]:
    parted = {"seen", "unseen"} <= {one.pool for one in overall}
    for pool in POOLS if parted else POOLS[:1]:
        members = [one for one in overall if one.pool == pool]
        if members:
            number = max(len(one.campaigns) for one in members)
            table.add_row(text(f"{pool} ({number})", style="bold"))
        yield from members


def _indented(variant: str) -> Text:
    return Text.assemble("  ", text(variant), no_wrap=True, overflow="ellipsis")


def _lines(sentences: Iterable[str]) -> Text:
    return Text("\n".join(clean(sentence, 1_000) for sentence in sentences))
