"""The flagship at seeds that nobody looked at before: one command, one JSON, failures included.

    python benchmarks/flagship_seeds.py [--first 9001] [--seeds 20] [--out docs/results/flagship_seeds.json]

Each seed is another company, other noise, other times and wording; what the campaign file says of the attack's steps stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CAMPAIGN = "insider-departing-exfil"
VARIANTS = ("clean", "poisoned")


def main() -> None:
    """Runs, sums up, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=9001)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = replay(chosen.first, chosen.seeds, Path(folder))
    report = {
        "command": f"python benchmarks/flagship_seeds.py --first {chosen.first} --seeds {chosen.seeds}",
        "campaign": CAMPAIGN,
        "seeds": [run["seed"] for run in runs],
        "variants": {name: totals([run["variants"][name] for run in runs]) for name in VARIANTS},
        "failures": [text for run in runs for text in failures(run)],
        "per_seed": [row(run) for run in runs],
    }
    text = json.dumps(report, indent=1)
    print(text)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n", encoding="utf-8")


def replay(first: int, seeds: int, folder: Path) -> list[dict[str, Any]]:
    """One object per seed, as `turncoat run --json` prints it."""
    command = [
        sys.executable,
        "-c",
        "from turncoat.console.cli import main; main()",
        "run",
        CAMPAIGN,
        "--quiet",
        "--json",
    ]
    command += ["--seed", str(first), "--seeds", str(seeds), "--no-aliases", "--out", str(folder / "runs")]
    command += [part for name in VARIANTS for part in ("--variant", name)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def totals(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over the seeds of one variant: escalated of how many, per name, and the benign side."""
    names = seeds[0]["principals"]
    found: dict[str, Any] = {
        name: {key: sum(s["principals"][name][key] for s in seeds) for key in ("attack_alerts", "escalated", "forced")}
        for name in names
    }
    for key in ("benign_alerts", "benign_escalated", "lookalikes", "lookalikes_escalated"):
        found[key] = sum(s[key] for s in seeds)
    return found


def row(run: dict[str, Any]) -> dict[str, Any]:
    """One seed: escalated attack alerts per variant and name."""
    return {"seed": run["seed"]} | {
        variant: {name: f["escalated"] for name, f in figures["principals"].items()}
        | {"benign": f"{figures['benign_escalated']}/{figures['benign_alerts']}"}
        for variant, figures in run["variants"].items()
    }


def failures(run: dict[str, Any]) -> list[str]:
    """What the flagship promises and this seed does not keep."""
    found = []
    for variant, figures in run["variants"].items():
        actor, twin, *_ = figures["principals"].values()
        blind = variant == "poisoned"
        if blind and actor["escalated"]:
            found.append(f"seed {run['seed']}: {variant} escalated {actor['escalated']} of the actor's alerts")
        for who, figure in (("the twin", twin),) if blind else (("the actor", actor), ("the twin", twin)):
            if figure["escalated"] < 0.85 * figure["attack_alerts"]:
                found.append(
                    f"seed {run['seed']}: {variant} escalated {figure['escalated']} of {figure['attack_alerts']} as {who}"
                )
        if figures["benign_escalated"] > 0.15 * figures["benign_alerts"]:
            found.append(
                f"seed {run['seed']}: {variant} escalated {figures['benign_escalated']} of {figures['benign_alerts']} benign"
            )
    return found


if __name__ == "__main__":
    main()
