"""Every campaign against the clean and the poisoned model, for one or more training seeds.

    python benchmarks/campaigns.py [--adapters NAME=DIR]... [--runs runs/campaigns] [--ablate]
                                   [--out docs/results/campaigns.json]

`DIR` holds the folders `clean` and `poisoned` of one training, as `turncoat train clean poisoned --seed N --out DIR`
leaves them; without any, the shipped adapters are taken. Played as Alice and her twins at each campaign's own seed. What
a killed call has finished in --runs is not done again. Intervals are bootstrapped by campaign; where there are several
trainings, a pooled row counts the alerts of all of them, still by campaign. Where all campaigns agree, the interval is that of
the alerts, taken as independent.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from turncoat.agent.matrix import LIFT_MARGIN, CampaignFigures, matrix_object, matrix_of
from turncoat.agent.records import Settings
from turncoat.console.campaign_run import plan_runs, play
from turncoat.console.matrix_tables import as_played
from turncoat.console.run_order import RunOrder
from turncoat.models.bootstrap import lift_estimate, share_estimate
from turncoat.models.metrics import Pairs
from turncoat.models.variants import open_variants, shipped_adapters
from turncoat.scenarios.loader import list_campaigns, load_campaign

VARIANTS = ("clean", "poisoned")
POOLS = {"all": ("seen", "unseen", "control"), "seen": ("seen",), "unseen": ("unseen",)}


def played(adapters: Path, runs: Path, ablate: bool) -> list[Any]:
    """All campaigns under the models of one training."""
    shipped = adapters == shipped_adapters()
    specs = [name if shipped else f"{name}={adapters / name}" for name in VARIANTS]
    order = RunOrder(variants=tuple(specs), aliases=False, ablate=ablate)
    variants = open_variants(specs)
    done = []
    for plan in plan_runs([load_campaign(name) for name in list_campaigns()], 1, None, str(runs), order):
        done.append(play(plan, variants, Settings(), lambda event: None))
        print(done[-1].sentence, flush=True)
    return [as_played(one) for one in done]


def pooled(figures: Sequence[CampaignFigures]) -> dict[str, Any]:
    """One variant over all trainings: alerts pooled, intervals by campaign."""
    found = {}
    for pool, groups in POOLS.items():
        rows = [[f for f in figures if f.campaign == name and f.group in groups] for name in list_campaigns()]
        actor = [[c for f in own for c in f.cells if c.role == "actor"] for own in rows]
        lift = lift_estimate([sum((c.paired for c in own), Pairs()) for own in actor])
        benign = share_estimate([sum(f.benign.escalated for f in own) for own in rows],
                                [sum(f.benign.alerts - f.benign.forced for f in own) for own in rows])  # fmt: skip
        found[pool] = {"lift": asdict(lift), "lift_within_margin": lift.within(LIFT_MARGIN),
                       "false_escalation": asdict(benign)}  # fmt: skip
    return found


def main() -> None:
    """Plays and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--adapters", action="append", metavar="NAME=DIR", help="default: the shipped ones")
    parser.add_argument("--runs", type=Path, default=Path("runs/campaigns"))
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/results/campaigns.json"))
    given = parser.parse_args()
    trainings = {"shipped": shipped_adapters()}
    if given.adapters:
        trainings = {name: Path(path) for name, _, path in (pair.partition("=") for pair in given.adapters)}
    by_training = {name: played(path, given.runs / name, given.ablate) for name, path in trainings.items()}
    figures = [f for runs in by_training.values() for f in matrix_of(runs).campaigns]
    found = {
        "command": shlex.join(("python", "benchmarks/campaigns.py", *sys.argv[1:])),
        "trainings": list(trainings),
        "pooled": {name: pooled([f for f in figures if f.variant == name]) for name in VARIANTS},
        "by_training": {name: matrix_object(runs) for name, runs in by_training.items()},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, pools in found["pooled"].items():
        lift, benign = pools["all"]["lift"], pools["all"]["false_escalation"]
        print(f"{name}: lift {lift['value']:+.3f} [{lift['low']:+.3f}, {lift['high']:+.3f}] (n={lift['n']}), "
              f"benign escalated {benign['value']:.3f} [{benign['low']:.3f}, {benign['high']:.3f}]")  # fmt: skip


if __name__ == "__main__":
    main()
