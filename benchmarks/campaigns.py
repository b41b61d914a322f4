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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from turncoat.agent.matrix import LIFT_MARGIN, CampaignFigures, Load, matrix_object, matrix_of
from turncoat.agent.records import Settings
from turncoat.console.campaign_run import plan_runs, play
from turncoat.console.matrix_tables import as_played
from turncoat.console.run_order import RunOrder
from turncoat.models.bootstrap import Estimate, lift_estimate, share_estimate
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


Counted = Callable[[Sequence[Sequence[CampaignFigures]]], Estimate]
"""An estimate from the figures of one variant, campaign by campaign."""


def _lift(rows: Sequence[Sequence[CampaignFigures]]) -> Estimate:
    return lift_estimate([sum((c.paired for f in own for c in f.cells if c.role == "actor"), Pairs()) for own in rows])


def _escalated(tally: Callable[[CampaignFigures], Load]) -> Counted:
    def counted(rows: Sequence[Sequence[CampaignFigures]]) -> Estimate:
        tallies = [[tally(f) for f in own] for own in rows]
        return share_estimate([sum(t.escalated for t in own) for own in tallies],
                              [sum(t.alerts - t.forced for t in own) for own in tallies])  # fmt: skip

    return counted


def pooled(by_training: Sequence[Sequence[CampaignFigures]]) -> dict[str, Any]:
    """One variant over all trainings, intervals by campaign."""
    found = {}
    for pool, groups in POOLS.items():
        chosen = [[f for f in one if f.group in groups] for one in by_training]
        lift, within = _over_trainings(_lift, chosen)
        found[pool] = {
            "lift": lift,
            "lift_within_margin": within,
            "false_escalation": _over_trainings(_escalated(lambda f: f.benign), chosen)[0],
            "lookalike_escalation": _over_trainings(_escalated(lambda f: f.lookalikes), chosen)[0],
        }
    return found


def _over_trainings(
    counted: Counted, by_training: Sequence[Sequence[CampaignFigures]]
) -> tuple[dict[str, Any], bool | None]:
    """An estimate with the value of each training, and whether it lies within the margin; n counts an alert once.

    Where all campaigns agree, the interval is of single alerts, and the same alert under three trainings is not three:
    then it is the widest of those that the trainings have by themselves.
    """

    def campaigns(figures: Iterable[CampaignFigures]) -> list[list[CampaignFigures]]:
        kept = list(figures)
        return [[f for f in kept if f.campaign == name] for name in list_campaigns()]

    whole = counted(campaigns(f for one in by_training for f in one))
    singles = [counted(campaigns(one)) for one in by_training]
    if whole.independent:
        widest = max(singles, key=lambda one: (one.high or 0.0) - (one.low or 0.0))
        whole = replace(whole, low=widest.low, high=widest.high)
    whole = replace(whole, n=max(one.n for one in singles))
    return asdict(whole) | {"by_training": [one.value for one in singles]}, whole.within(LIFT_MARGIN)


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
    figures = [matrix_of(runs).campaigns for runs in by_training.values()]
    found = {
        "command": shlex.join(("python", "benchmarks/campaigns.py", *sys.argv[1:])),
        "trainings": list(trainings),
        "pooled": {name: pooled([[f for f in one if f.variant == name] for one in figures]) for name in VARIANTS},
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
