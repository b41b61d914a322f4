"""Kills a run with SIGKILL at random moments and resumes it: nothing lost, nothing twice, the same decisions?

    python benchmarks/sigkill.py [--kills 50] [--variant NAME]... [--sink queue|webhook] [--seed 1]
                                 [--out docs/results/sigkill.json]

The campaign is the flagship with little noise and one twin. One undisturbed run is the reference. Each trial starts the
run as a process of its own, kills it at a moment drawn uniformly over the reference's wall time (start-up included), and
lets `turncoat resume` finish it; a run that had not begun is started again. Compared are decisions, margins, and what
reached the cloud: the items of the queue, or the requests that a webhook which fails 30 % of the time has taken in.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from turncoat.scenarios.loader import campaign_text, load_campaign

TURNCOAT = (sys.executable, "-c", "from turncoat.console.cli import main; main()")
TOLERANCE = 1e-6
"""On the logit margin. Batches are a function of the inputs, so resumed runs should differ by nothing at all."""


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
    rng = random.Random(given.seed)
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        campaign, reference = small_campaign(Path(scratch)), Path(scratch) / "undisturbed"
        begun = time.perf_counter()
        if start(campaign, reference, variants, "").wait():
            raise SystemExit("the undisturbed run failed")
        whole_s = time.perf_counter() - begun
        escalated = set(cloud(reference, None))
        for trial in range(given.kills):
            out = Path(scratch) / f"killed-{trial}"
            after_s = rng.uniform(0.0, whole_s)
            with receiver() if given.sink == "webhook" else nullcontext() as server:
                url = server.url if server else ""
                process = start(campaign, out, variants, url)
                time.sleep(after_s)
                process.kill()
                process.wait()
                had = len(rows_so_far(out))
                finish(campaign, out, variants, url)
                found = differences(reference, out, cloud(out, server), escalated)
            trials.append({"killed_after_s": round(after_s, 2), "rows_by_then": had} | found)
            print(f"{trial + 1} of {given.kills}: killed after {after_s:.1f} s with {had} rows", flush=True)
    wrong = [t for t in trials if any(t[k] for k in t if k.endswith(("lost", "twice", "changed")))
             or t["largest_margin_change"] > TOLERANCE]  # fmt: skip
    summary = {
        "command": f"python benchmarks/sigkill.py --kills {given.kills} --sink {given.sink} --seed {given.seed}",
        "variants": variants,
        "undisturbed_s": round(whole_s, 1),
        "tolerance_on_margin": TOLERANCE,
        "kills": len(trials),
        "kills_before_the_first_row": sum(t["rows_by_then"] == 0 for t in trials),
        "trials_with_a_difference": len(wrong),
        "largest_margin_change": max((t["largest_margin_change"] for t in trials), default=0.0),
        "trials": trials,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"{len(trials)} kills, {len(wrong)} with a difference; written to {given.out}")


def rows_so_far(out: Path) -> list[bytes]:
    """Whole lines at the moment of the kill."""
    file = out / "outcomes.jsonl"
    return file.read_bytes().split(b"\n")[:-1] if file.exists() else []


if __name__ == "__main__":
    main()
