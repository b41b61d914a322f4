"""Wires one replay: campaign, streams, run folder, loop, truth, comparison, files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turncoat.agent.comparison import Comparison, compare, to_csv
from turncoat.agent.conclusion import conclusion
from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.records import Outcome, Settings
from turncoat.agent.replay import OnEvent, replay
from turncoat.agent.scoring import score
from turncoat.models.classifier import AlertClassifier
from turncoat.scenarios.emit import emit, principals
from turncoat.scenarios.schema import Campaign


@dataclass(frozen=True)
class Plan:
    """One replay that is to be made."""

    campaign: Campaign
    seed: int
    folder: Path
    with_aliases: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The actor and the twins."""
        return (self.campaign.actor.login, *(twin.login for twin in self.campaign.counterfactuals.twins))

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names the actor is replayed under: aliases and, where the file asks for it, none."""
        return tuple(name for name in principals(self.campaign) if self.with_aliases and name not in self.names)


@dataclass(frozen=True)
class Replayed:
    """What a replay leaves behind."""

    plan: Plan
    comparison: Comparison
    sentence: str
    failed: tuple[Outcome, ...]
    """Alerts that the campaign expects to be escalated and that were not."""

    def as_json(self) -> dict[str, Any]:
        """The object of `turncoat run --json`."""
        return self.comparison.as_json() | {
            "conclusion": self.sentence,
            "expectations_failed": len(self.failed),
            "folder": str(self.plan.folder),
        }


def plan_runs(
    campaigns: list[Campaign], seeds: int, first_seed: int | None, out: str, with_aliases: bool = True
) -> list[Plan]:
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
        return [Plan(*wanted[0], Path(out), with_aliases)]
    if out:
        return [
            Plan(campaign, seed, Path(out) / f"{campaign.id}-seed{seed}", with_aliases) for campaign, seed in wanted
        ]
    taken: set[Path] = set()
    plans = []
    for campaign, seed in wanted:
        number = 1
        while (folder := Path("runs") / f"{campaign.id}-{number:03}") in taken or folder.exists():
            number += 1
        taken.add(folder)
        plans.append(Plan(campaign, seed, folder, with_aliases))
    return plans


def play(
    plan: Plan, variants: Mapping[str, AlertClassifier], settings: Settings, price: float, on_event: OnEvent
) -> Replayed:
    """Replays, scores, compares, and writes `comparison.json` and `comparison.csv` beside the rows."""
    played = {name: emit(plan.campaign, plan.seed, name) for name in (*plan.names, *plan.aliases)}
    streams = {name: stream for name, (stream, _) in played.items()}
    truths = played[plan.names[0]][1]
    folder = RunFolder.start(plan.folder, Manifest.of(streams, variants, settings))
    rows = list(replay(streams, variants, settings, folder, on_event))
    outcomes = score(rows, truths, streams)
    comparison = compare(
        outcomes,
        scenario=plan.campaign.id,
        seed=plan.seed,
        threshold=settings.threshold,
        principals=plan.names,
        aliases=plan.aliases,
        price_per_escalation=price,
    )
    failed = tuple(o for o in outcomes if o.expect_escalation and o.action != "escalate")
    result = Replayed(plan, comparison, conclusion(comparison), failed)
    folder.write_json(
        "comparison.json", json.loads(json.dumps(result.comparison.as_json() | {"conclusion": result.sentence}))
    )
    folder.write_text("comparison.csv", to_csv([comparison]))
    return result
