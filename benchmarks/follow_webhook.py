"""Ten thousand alerts through `turncoat triage --follow` to a webhook that fails 30 % of the time.

    python benchmarks/follow_webhook.py [--alerts 10000] [--variant clean] [--out docs/results/follow_webhook.json]

A writer appends to a file while the real command follows it as a process of its own; a local receiver knows keys and
counts. Contents come from the world generator, each alert has a uid of its own, except that every hundredth repeats
the uid of the one before it, as a stranger's log may. Memory is the resident set of the child, sampled all along.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from turncoat.scenarios.emit import emit
from turncoat.scenarios.formats.jsonl import to_json
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.records import Alert

ROOT = Path(__file__).resolve().parent.parent
CAMPAIGN = "insider-departing-exfil"
CONTENTS = 500
SAMPLE_S = 2.0
STALL_S = 300.0
WRITTEN_AT_ONCE = 50


def contents(most: int) -> list[Alert]:
    """Alerts of different content: the flagship's, over as many worlds as it takes."""
    campaign = load_campaign(CAMPAIGN)
    found: dict[str, Alert] = {}
    seed = 70_000
    while len(found) < most:
        for alert in emit(campaign, seed)[0].alerts:
            found.setdefault(repr(replace(alert, uid="")), alert)
        seed += 1
    return list(found.values())[:most]


def lines(alerts: int, different: Sequence[Alert]) -> Iterator[str]:
    """One JSON line per alert."""
    for number in range(alerts):
        uid = f"outside-{number - (number % 100 == 99):06}"
        yield json.dumps(to_json(replace(different[number % len(different)], uid=uid))) + "\n"


def write(path: Path, text: Sequence[str], begun: Path, stop: threading.Event) -> None:
    """Appends in pieces that end anywhere, so that the follower meets unfinished lines; renames the file half-way.

    Not before the follower has noted its position, which `begun` shows: a file renamed earlier is none of its own.
    """
    half = len(text) // 2 // WRITTEN_AT_ONCE * WRITTEN_AT_ONCE
    for at in range(0, len(text), WRITTEN_AT_ONCE):
        if stop.is_set():
            return
        if at == half:
            while not begun.exists() and not stop.is_set():
                time.sleep(0.1)
            path.rename(path.with_name(f"{path.name}.1"))
        piece = "".join(text[at : at + WRITTEN_AT_ONCE]).encode()
        for part in (piece[: len(piece) // 3], piece[len(piece) // 3 :]):
            with path.open("ab") as file:
                file.write(part)
            time.sleep(0.01)


def receiver(failure_rate: float) -> Any:
    """The tests' receiver: fails before it takes anything in, and knows what it took in by key."""
    spec = importlib.util.spec_from_file_location("servers", ROOT / "tests" / "agent" / "servers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["servers"] = module
    spec.loader.exec_module(module)
    return module.FlakyReceiver(failure_rate=failure_rate, seed=1, loses_answers=0.05)


def resident_mib(pid: int) -> float:
    """Resident set of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stalled(samples: Sequence[tuple[float, int, float]]) -> bool:
    """Whether nothing was decided for so long that nothing will be; what is missing then counts as lost."""
    return bool(samples) and samples[-1][0] - next(at for at, n, _ in samples if n == samples[-1][1]) > STALL_S


def decided(path: Path) -> int:
    """Lines so far."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def measure(alerts: int, variant: str, failure_rate: float, folder: Path) -> dict[str, Any]:
    """Follows, delivers, counts."""
    text = list(lines(alerts, contents(min(CONTENTS, alerts))))
    log, state = folder / "alerts.jsonl", folder / "state"
    log.touch()
    server = receiver(failure_rate)
    command = [sys.executable, "-c", "from turncoat.console.cli import main; main()", "triage", str(log), "--follow",
               "--format", "jsonl", "--variant", variant, "--state", str(state),
               "--sink", "webhook", "--sink-url", server.url]  # fmt: skip
    child = subprocess.Popen(command, stdout=sys.stderr)
    stop = threading.Event()
    writer = threading.Thread(target=write, args=(log, text, state / "position.json", stop), daemon=True)
    samples: list[tuple[float, int, float]] = []
    try:
        writer.start()
        while child.poll() is None and not stalled(samples):
            samples.append((time.monotonic(), decided(state / "decisions.jsonl"), resident_mib(child.pid)))
            if samples[-1][1] >= alerts:
                break
            time.sleep(SAMPLE_S)
        child.send_signal(signal.SIGTERM)
        code = child.wait(120)
    finally:
        stop.set()
        child.kill()
        server.stop()
    counted = delivered(state / "decisions.jsonl", server)
    return {"exit_code": code, "undecided": alerts - counted["decisions"]} | counted | memory_and_speed(samples)


def delivered(decisions: Path, server: Any) -> dict[str, Any]:
    """Escalations held against what the receiver took in, by key."""
    rows = [json.loads(line) for line in decisions.read_text().splitlines()]
    escalated = {row["key"] for row in rows if row["decision"]["action"] == "escalate"}
    taken = [json.loads(body)["uid"] for body in server.bodies.values()]
    return {
        "decisions": len(rows),
        "decided_twice": len(rows) - len({(row["source"]["generation"], row["source"]["offset"]) for row in rows}),
        "repeated_uids": len(rows) - len({row["uid"] for row in rows}),
        "forced": sum(row["decision"]["forced"] for row in rows),
        "escalated": len(escalated),
        "delivered_exactly_once": sum(server.received[key] == 1 for key in server.bodies),
        "lost": len(escalated - set(taken)),
        "duplicates": len(taken) - len(set(taken)) + sum(count - 1 for count in server.received.values()),
        "not_ours": len(set(taken) - escalated),
        "answered_as_known": sum(server.repeats.values()),
    }


def memory_and_speed(samples: Sequence[tuple[float, int, float]]) -> dict[str, Any]:
    """First and last third of the samples that lie between the first decision and the last."""
    busy = [sample for sample in samples if sample[1]]
    third = max(1, len(busy) // 3)
    first, last = ([mib for _, _, mib in part] for part in (busy[:third], busy[-third:]))
    seconds = busy[-1][0] - busy[0][0]
    return {
        "rss_samples": len(busy),
        "rss_mib_first_third": round(statistics.mean(first), 1),
        "rss_mib_last_third": round(statistics.mean(last), 1),
        "rss_mib_most": round(max(mib for _, _, mib in busy), 1),
        "seconds": round(seconds, 1),
        "alerts_per_s": round((busy[-1][1] - busy[0][1]) / seconds, 1) if seconds else None,
    }


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--variant", default="clean")
    parser.add_argument("--failure-rate", type=float, default=0.3)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.alerts, chosen.variant, chosen.failure_rate, Path(folder))
    command = f"python benchmarks/follow_webhook.py --alerts {chosen.alerts} --variant {chosen.variant}"
    report = {"command": command, "alerts": chosen.alerts, "failure_rate": chosen.failure_rate} | found
    text = json.dumps(report, indent=1)
    print(text)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
