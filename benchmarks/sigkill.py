"""Kills a run with SIGKILL at random moments and resumes it: nothing lost, nothing twice, the same decisions?

    python benchmarks/sigkill.py [--kills 50] [--variant NAME]... [--sink queue|webhook] [--seed 1]
                                 [--out docs/results/sigkill.json]

The campaign is the flagship with little noise and one twin. One undisturbed run is the reference. Each trial starts the
run as a process of its own, kills it, and lets `turncoat resume` finish it; a run that had not begun is started again. One
kill in five strikes before the first row is written and one after the last, uniformly over the time that the reference took
for that; the others strike between, after a number of rows that is drawn uniformly. Compared are decisions, margins, and
what reached the cloud: the items of the queue, or the requests that a webhook which fails 30 % of the time has taken in.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turncoat.scenarios.loader import campaign_text, load_campaign

TURNCOAT = (sys.executable, "-c", "from turncoat.console.cli import main; main()")
TOLERANCE = 1e-6
"""On the logit margin. Batches are a function of the inputs, so resumed runs should differ by nothing at all."""


Trial = dict[str, Any]


def small_campaign(folder: Path) -> Path:
    """The flagship with two benign alerts a day, Alice and one twin."""
    flagship = load_campaign("insider-departing-exfil")
    noise = flagship.noise.model_copy(update={"per_day": 2})
    other = flagship.counterfactuals
    names = other.model_copy(update={"twins": other.twins[:1], "aliases": (), "no_name": False})
    path = folder / "small.yaml"
    small = flagship.model_copy(update={"noise": noise, "counterfactuals": names, "id": "small-flagship"})
    path.write_text(campaign_text(small), encoding="utf-8")
    return path


def start(campaign: Path, out: Path, variants: list[str], url: str) -> subprocess.Popen[bytes]:
    """The run as a user starts it."""
    chosen = [part for name in variants for part in ("--variant", name)]
    chosen += ["--sink", "webhook", "--sink-url", url] if url else []
    command = (*TURNCOAT, "run", str(campaign), *chosen, "--out", str(out), "--quiet", "--json")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(campaign: Path, out: Path, variants: list[str], url: str) -> None:
    """`turncoat resume`, or the run once more where none had begun."""
    if (out / "manifest.json").exists():
        again = (*TURNCOAT, "resume", str(out), "--quiet", "--json", *(("--sink-url", url) if url else ()))
        subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
    elif start(campaign, out, variants, url).wait():
        raise SystemExit("the run could not be started again")


def rows(file: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def key(row: dict[str, Any]) -> tuple[str, str, str]:
    """What names a row."""
    return row["uid"], row["variant"], row["principal"]


def receiver() -> Any:
    """The tests' local server: it knows keys, and fails three times in ten."""
    path = Path(__file__).parents[1] / "tests" / "agent" / "servers.py"
    spec = importlib.util.spec_from_file_location("servers", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules["servers"] = module
    spec.loader.exec_module(module)
    return module.FlakyReceiver(0.3, seed=1)


def cloud(out: Path, server: Any) -> list[tuple[str, str, str]]:
    """What has reached the cloud, in the queue or over HTTP, each as often as it did."""
    if server is None:
        return [key(row) for row in rows(out / "queue.jsonl")]
    return [key(json.loads(body)) for name, body in server.bodies.items() for _ in range(server.received[name])]


def differences(reference: Path, out: Path, arrived: list[Any], wanted_cloud: set[Any]) -> dict[str, Any]:
    """What a disturbed run has that the undisturbed one has not, and the other way round."""
    wanted = {key(row): row for row in rows(reference / "outcomes.jsonl")}
    got = rows(out / "outcomes.jsonl")
    by_key = {key(row): row for row in got}
    both = wanted.keys() & by_key.keys()
    margins = [abs(a["verdict"]["margin"] - b["verdict"]["margin"])
               for k in both if (a := wanted[k])["verdict"] and (b := by_key[k])["verdict"]]  # fmt: skip
    return {
        "rows_lost": len(wanted.keys() - by_key.keys()),
        "rows_twice": len(got) - len(by_key),
        "decisions_changed": sum(wanted[k]["decision"] != by_key[k]["decision"] for k in both),
        "largest_margin_change": max(margins, default=0.0),
        "cloud_lost": len(wanted_cloud - set(arrived)),
        "cloud_twice": len(arrived) - len(set(arrived)),
    }


@dataclass(frozen=True)
class Undisturbed:
    """The reference run."""

    out: Path
    rows: int
    before_s: float
    """From the start to the first row."""
    after_s: float
    """From the last row to the end."""


def undisturbed(campaign: Path, out: Path, variants: list[str]) -> Undisturbed:
    """Plays the campaign once, in peace."""
    begun = time.time()
    process = start(campaign, out, variants, "")
    wait_for_rows(1, process, out)
    before_s = time.time() - begun
    if process.wait():
        raise SystemExit("the undisturbed run failed")
    return Undisturbed(out, len(rows_so_far(out)), before_s, time.time() - (out / "outcomes.jsonl").stat().st_mtime)


def moments(kills: int, run: Undisturbed, rng: random.Random) -> list[tuple[int, float]]:
    """When to kill: so many seconds after there are so many rows. One in five before the first, one after the last."""
    drawn = []
    for trial in range(kills):
        phase = trial % 5
        after_rows = 0 if phase == 0 else run.rows if phase == 4 else rng.randrange(1, run.rows)
        longest_s = run.before_s if phase == 0 else run.after_s if phase == 4 else 0.01
        drawn.append((after_rows, rng.uniform(0.0, longest_s)))
    return drawn


def trial(
    campaign: Path, run: Undisturbed, out: Path, variants: list[str], sink: str, moment: tuple[int, float]
) -> Trial:
    """One kill and what was left to find after the resumption."""
    after_rows, wait_s = moment
    with receiver() if sink == "webhook" else nullcontext() as server:
        url = server.url if server else ""
        process = start(campaign, out, variants, url)
        wait_for_rows(after_rows, process, out)
        time.sleep(wait_s)
        process.kill()
        process.wait()
        had = len(rows_so_far(out))
        finish(campaign, out, variants, url)
        found = differences(run.out, out, cloud(out, server), set(cloud(run.out, None)))
    return {"after_rows": after_rows, "and_seconds": round(wait_s, 3), "rows_by_then": had} | found


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--variant", action="append", help="default: clean and poisoned")
    parser.add_argument("--sink", choices=("queue", "webhook"), default="queue")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/results/sigkill.json"))
    given = parser.parse_args()
    variants = given.variant or ["clean", "poisoned"]
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        campaign = small_campaign(Path(scratch))
        run = undisturbed(campaign, Path(scratch) / "undisturbed", variants)
        for number, moment in enumerate(moments(given.kills, run, random.Random(given.seed)), 1):
            trials.append(trial(campaign, run, Path(scratch) / f"killed-{number}", variants, given.sink, moment))
            print(f"{number} of {given.kills}: killed with {trials[-1]['rows_by_then']} of {run.rows} rows", flush=True)
    wrong = [t for t in trials if any(t[k] for k in t if k.endswith(("lost", "twice", "changed")))
             or t["largest_margin_change"] > TOLERANCE]  # fmt: skip
    summary = {
        "command": shlex.join(("python", "benchmarks/sigkill.py", *sys.argv[1:])),
        "variants": variants,
        "rows": run.rows,
        "undisturbed_s": {"before_the_first_row": round(run.before_s, 1), "after_the_last": round(run.after_s, 1)},
        "tolerance_on_margin": TOLERANCE,
        "kills": len(trials),
        "kills_before_the_first_row": sum(t["rows_by_then"] == 0 for t in trials),
        "kills_between": sum(0 < t["rows_by_then"] < run.rows for t in trials),
        "kills_after_the_last_row": sum(t["rows_by_then"] == run.rows for t in trials),
        "trials_with_a_difference": len(wrong),
        "largest_margin_change": max((t["largest_margin_change"] for t in trials), default=0.0),
        "trials": trials,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"{len(trials)} kills, {len(wrong)} with a difference; written to {given.out}")


def wait_for_rows(count: int, process: subprocess.Popen[bytes], out: Path) -> None:
    """Returns when a run has written so many rows, or has ended."""
    while len(rows_so_far(out)) < count and process.poll() is None:
        time.sleep(0.002)


def rows_so_far(out: Path) -> list[bytes]:
    """Whole lines that are in the file by now."""
    file = out / "outcomes.jsonl"
    return file.read_bytes().split(b"\n")[:-1] if file.exists() else []


if __name__ == "__main__":
    main()
