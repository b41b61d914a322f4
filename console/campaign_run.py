"""Wires one replay: campaign, streams, run folder, loop, truth, comparison, files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from turncoat.agent.comparison import Comparison, compare, to_csv
from turncoat.agent.conclusion import conclusion
from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.planner import open_planner
from turncoat.agent.records import Outcome, Settings
from turncoat.agent.replay import OnEvent, replay
from turncoat.agent.scoring import score
from turncoat.agent.sinks import SPOOL_FILE
from turncoat.agent.spool import DeliveryReport, read_report
from turncoat.models.classifier import AlertClassifier
from turncoat.scenarios.emit import emit_as, principals
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.loader import campaign_text, load_campaign
from turncoat.scenarios.planting import Carried, acting_login, carried, planted_streams
from turncoat.scenarios.records import AlertStream, GroundTruth
from turncoat.scenarios.schema import Campaign
from turncoat.scenarios.triggers import Marks, parse_trigger

from .run_order import ORDER_FILE, Outside, RunOrder, order_text, read_order, said_again

CAMPAIGN_FILE = "campaign.yaml"
ABLATION_FOLDER = "no-evidence"
"""A run folder within the run folder: the same alerts, no tool asked."""


@dataclass(frozen=True)
class Plan:
    """One replay that is to be made."""

    campaign: Campaign
    seed: int
    folder: Path
    order: RunOrder = field(default_factory=RunOrder)

    @property
    def trigger(self) -> Marks | None:
        """What the actor's alerts carry; None: nothing but the actor's name."""
        return parse_trigger(self.order.trigger) if self.order.trigger else None

    @property
    def told(self) -> str:
        """Names, as a heading has them: `alice on WS-042, nora`."""
        rest = self.trigger.rest if self.trigger else None
        first, *twins = self.names
        return ", ".join((f"{first} {rest.told}" if rest else first, *twins))

    @property
    def names(self) -> tuple[str, ...]:
        """The actor, under the trigger's login where it has one, and the twins."""
        return (
            acting_login(self.campaign, self.trigger),
            *(twin.login for twin in self.campaign.counterfactuals.twins),
        )

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names the actor is replayed under: aliases and, where the file asks for it, none."""
        return tuple(name for name in principals(self.campaign)[1:] if self.order.aliases and name not in self.names)

    @property
    def attack_families(self) -> frozenset[str]:
        """Families of the actor's own attack alerts, those that talk to the model aside; none in a control."""
        own = (self.campaign.actor.login, None)
        return frozenset(
            step.alert.family
            for _, step in self.campaign.steps()
            if step.alert and step.alert.user in own and step.expect.truth == "malicious" and not step.expect.injected
        )

    def streams(self) -> tuple[dict[str, AlertStream], tuple[GroundTruth, ...]]:
        """What the world looks like under each name, and what is so under all of them."""
        if self.trigger:
            return planted_streams(self.campaign, self.seed, self.trigger, self.names[1:], self.aliases)
        return emit_as(self.campaign, self.seed, (*self.names, *self.aliases))


@dataclass(frozen=True)
class Replayed:
    """What a replay leaves behind."""

    plan: Plan
    outcomes: list[Outcome]
    comparison: Comparison
    sentence: str
    without_evidence: list[Outcome]
    """Rows of the context ablation; empty where none was asked for."""
    delivery: DeliveryReport | None = None
    """What became of the escalations, where the sink is a webhook."""
    carried: Carried | None = None
    """How far the campaign shows the trigger, where one was asked for."""

    @property
    def failed(self) -> list[Outcome]:
        """Alerts that the campaign expects to be escalated and that were not."""
        return [o for o in self.outcomes if o.expect_escalation and o.action != "escalate"]

    def as_json(self) -> dict[str, Any]:
        """The object of `turncoat run --json`."""
        return (
            self.comparison.as_json()
            | {
                "conclusion": self.sentence,
                "expectations_failed": len(self.failed),
                "folder": str(self.plan.folder),
            }
            | ({"delivery": asdict(self.delivery)} if self.delivery else {})
            | ({"trigger": asdict(self.carried)} if self.carried else {})
        )


def plan_runs(campaigns: list[Campaign], seeds: int, first_seed: int | None, out: str, order: RunOrder) -> list[Plan]:
    """One replay per campaign and seed, each with a folder of its own.

    Without `out` a replay gets the first free `runs/<campaign>-001`, `-002`, ...; with it, a single replay gets the
    folder itself, and several get `<campaign>-seed<seed>` in it. A folder that holds the same run is gone on with.
    """
    wanted = [
        (campaign, (campaign.seed if first_seed is None else first_seed) + step)
        for campaign in campaigns
        for step in range(seeds)
    ]
    if len(wanted) == 1 and out:
        return [Plan(*wanted[0], Path(out), order)]
    if out:
        return [Plan(campaign, seed, Path(out) / f"{campaign.id}-seed{seed}", order) for campaign, seed in wanted]
    taken: set[Path] = set()
    plans = []
    for campaign, seed in wanted:
        number = 1
        while (folder := Path("runs") / f"{campaign.id}-{number:03}") in taken or folder.exists():
            number += 1
        taken.add(folder)
        plans.append(Plan(campaign, seed, folder, order))
    return plans


def play(
    plan: Plan,
    variants: Mapping[str, AlertClassifier],
    settings: Settings,
    on_event: OnEvent,
    outside: Outside | None = None,
) -> Replayed:
    """Replays, scores, compares, and writes `comparison.json` and `comparison.csv` beside the rows.

    The ablation escalates to a queue of its own, never to the sink of the run.

    Raises:
        KeyboardInterrupt: Says how to go on.
    """
    try:
        return _played(plan, variants, settings, on_event, outside)
    except KeyboardInterrupt as stopped:
        if not (plan.folder / ORDER_FILE).exists():
            raise
        again = shlex.join(["turncoat", "resume", str(plan.folder), *said_again(plan.order)])
        raise KeyboardInterrupt(f"`{again}` goes on where it was") from stopped


def _played(
    plan: Plan, variants: Mapping[str, AlertClassifier], settings: Settings, on_event: OnEvent, outside: Outside | None
) -> Replayed:
    streams, truths = plan.streams()
    order, outside = plan.order, outside or Outside()
    with closing(open_planner(order.planner, outside.planner_of(order))) as planner:
        folder = _open_folder(plan, plan.folder, Manifest.of(streams, variants, settings, planner.identity), streams)
        rows = list(
            replay(streams, variants, settings, folder, on_event,
                   sink=order.sink, sink_options=outside.sink, planner=planner)
        )  # fmt: skip
    outcomes = score(rows, truths, streams)
    comparison = comparison_of(plan, outcomes, settings)
    bare: list[Outcome] = []
    if order.ablate:
        pair = {name: streams[name] for name in plan.names[:2]}
        withheld = replace(settings, withhold_evidence=True)
        below = _open_folder(plan, plan.folder / ABLATION_FOLDER, Manifest.of(pair, variants, withheld), pair)
        bare = score(list(replay(pair, variants, withheld, below, on_event)), truths, pair)
    delivery = read_report(plan.folder / SPOOL_FILE)
    shown = carried(streams[plan.names[0]], plan.trigger, plan.names[1]) if plan.trigger else None
    result = Replayed(plan, outcomes, comparison, conclusion(comparison), bare, delivery, shown)
    folder.write_json("comparison.json", result.comparison.as_json() | {"conclusion": result.sentence})
    folder.write_text("comparison.csv", to_csv([comparison]))
    return result


def comparison_of(plan: Plan, outcomes: list[Outcome], settings: Settings) -> Comparison:
    """The figures of a replay that was made as planned."""
    return compare(
        outcomes,
        scenario=plan.campaign.id,
        seed=plan.seed,
        threshold=settings.threshold,
        principals=plan.names,
        aliases=plan.aliases,
        price_per_escalation=plan.order.price,
    )


def _open_folder(plan: Plan, path: Path, manifest: Manifest, streams: Mapping[str, AlertStream]) -> RunFolder:
    """The folder, with all that `turncoat resume`, `compare` and `show` need to know of the run.

    Raises:
        RunError: It holds a run with another trigger or version of the campaign, or something else.
    """
    begun = (path / "manifest.json").exists() and (path / ORDER_FILE).exists()
    if begun:
        before = read_order(path).trigger
        if before != plan.order.trigger:
            fault = f"holds a run with the trigger {before}" if before else "holds a run without a trigger"
            raise RunError(f"{path}: {fault}; choose an empty folder")
        if load_campaign(path / CAMPAIGN_FILE) != plan.campaign:
            raise RunError(f"{path}: holds a run of another version of the campaign; choose an empty folder")
    rows = len(manifest.variants) * sum(len(stream.alerts) for stream in streams.values())
    beside = {CAMPAIGN_FILE: campaign_text(plan.campaign), ORDER_FILE: order_text(plan.order)}
    folder = RunFolder.start(path, manifest, beside, rows)
    if begun and read_order(path) != plan.order:
        folder.write_text(ORDER_FILE, order_text(plan.order))  # `resume`, `show` and `report` go by the latest
    return folder
