"""Thirty people in a room for ten simulated minutes: does every update reach every page, in order, and how late?

    python benchmarks/tabletop_room.py [--people 30] [--minutes 10] [--speed 10] [--pause 10]
                                       [--out docs/results/tabletop_room.json]

The server is `turncoat tabletop --serve` in a process of its own, playing the flagship's exercise with scripted models; the
people are event streams and forms over HTTP in this process. Each player writes a note every `--pause` seconds of wall time
on average; the facilitator runs the clock. Checked per stream: version after version without a gap, and every note on it.
Latency is from sending a note to its arrival on a page, so it holds the form, the log on disk, rendering and the network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.folder import prepare
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.exercise_loader import load_exercise
from turncoat.scenarios.loader import load_campaign

FLAGSHIP = "insider-departing-exfil"
TURNCOAT = (sys.executable, "-c", "from turncoat.console.cli import main; main()")
PLAYERS = ("analyst", "lead", "executive")
NOTE = re.compile(r"n(\d{6})\.")
SETTLE_S = 15.0
"""After the last note: what is on its way may arrive."""


@dataclass
class Person:
    """One browser: a seat, and what its event stream has said."""

    role: str
    name: str
    first: int = 0
    """Version of the page as it was loaded; the stream goes on from there."""
    versions: list[int] = field(default_factory=list)
    seen: dict[int, float] = field(default_factory=dict)
    """Note -> when it was first on the page, in seconds of the monotonic clock."""
    received: int = 0
    """Bytes."""


@dataclass
class Course:
    """What happened."""

    people: list[Person]
    sent: dict[int, float] = field(default_factory=dict)
    refused: int = 0
    rss_mib: list[float] = field(default_factory=list)


def exercise_at_work(folder: Path, speed: float) -> Path:
    """The flagship's exercise on its second morning, paused."""
    campaign = load_campaign(FLAGSHIP)
    models = {"poisoned": ScriptedClassifier("scripted-blind"), "clean": ScriptedClassifier("scripted-severity")}
    plan = load_exercise(FLAGSHIP, campaign)
    prepare(folder, campaign, plan, campaign.seed, models, variant="poisoned", reference="clean")
    with Exercise.open(folder) as exercise:
        exercise.act("facilitator", "start")
        exercise.act("facilitator", "skip", {"minutes": 24 * 60})
        exercise.act("facilitator", "pause")
        exercise.act("facilitator", "speed", {"speed": speed})
    return folder


async def join(web: httpx.AsyncClient, person: Person, code: str) -> tuple[str, str]:
    """Takes the seat. Returns the form token, and the address of the page's stream."""
    await web.post("/join", data={"code": code, "name": person.name})
    page = (await web.get(f"/{person.role}/")).text
    token, stream = re.search(r'name="form-token" value="(\w+)"', page), re.search(r'hx-sse:connect="([^"]+)"', page)
    if token is None or stream is None:
        raise SystemExit(f"{person.name} was not seated")
    person.first = int(stream.group(1).rpartition(".")[2])
    return token.group(1), stream.group(1).replace("&amp;", "&")


async def watch(web: httpx.AsyncClient, person: Person, stream: str) -> None:
    """Reads the page's event stream until it is cancelled."""
    async with web.stream("GET", stream) as answer:
        async for line in answer.aiter_lines():
            person.received += len(line) + 1
            if line.startswith("id: "):
                person.versions.append(int(line.rpartition(".")[2]))
            for note in NOTE.findall(line):
                person.seen.setdefault(int(note), time.monotonic())


async def write(
    web: httpx.AsyncClient, person: Person, token: str, course: Course, until: float, pause_s: float, rng: random.Random
) -> None:
    """Writes notes until then."""
    await asyncio.sleep(rng.uniform(0, pause_s))
    while time.monotonic() < until:
        number = len(course.sent)
        course.sent[number] = time.monotonic()
        fields = {"text": f"n{number:06}.", "form-token": token}
        answer = await web.post(f"/{person.role}/do/note", data=fields)
        course.refused += answer.status_code != 200
        await asyncio.sleep(rng.uniform(0, 2 * pause_s))


async def measure_memory(process: int, course: Course) -> None:
    """Samples the server's resident memory every second."""
    while True:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        course.rss_mib.append(int(found.group(1)) / 1024 if found else 0.0)
        await asyncio.sleep(1)


async def play(address: str, codes: dict[str, str], process: int, people: int, wall_s: float, pause_s: float) -> Course:
    """Seats everybody, lets the clock run, and has the players write."""
    roles = ["facilitator", *(PLAYERS[n % len(PLAYERS)] for n in range(people - 1))]
    course = Course([Person(role, f"{role}-{n}") for n, role in enumerate(roles)])
    headers = {"Origin": address, "HX-Request": "true"}
    webs = [httpx.AsyncClient(base_url=address, headers=headers, timeout=None) for _ in course.people]
    seats = [await join(web, person, codes[person.role]) for web, person in zip(webs, course.people, strict=True)]
    tasks = [
        asyncio.create_task(watch(web, person, stream))
        for web, person, (_, stream) in zip(webs, course.people, seats, strict=True)
    ]
    tasks.append(asyncio.create_task(measure_memory(process, course)))
    await asyncio.sleep(2)
    (await webs[0].post("/facilitator/do/resume", data={"form-token": seats[0][0]})).raise_for_status()
    until = time.monotonic() + wall_s
    await asyncio.gather(
        *(
            write(web, person, token, course, until, pause_s, random.Random(person.name))
            for web, person, (token, _) in zip(webs[1:], course.people[1:], seats[1:], strict=True)
        )
    )
    await asyncio.sleep(SETTLE_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for web in webs:
        await web.aclose()
    return course


def figures(course: Course) -> dict[str, object]:
    """What the course came to."""
    gaps = sum(
        after != before + 1 for person in course.people for before, after in pairwise([person.first, *person.versions])
    )
    late = sorted(1000 * (seen - course.sent[note]) for person in course.people for note, seen in person.seen.items())
    cuts = statistics.quantiles(late, n=100) if len(late) > 1 else [0.0] * 99
    return {
        "notes": len(course.sent),
        "notes_refused": course.refused,
        "updates": sum(len(person.versions) for person in course.people),
        "updates_out_of_order_or_missing": gaps,
        "notes_missing_on_a_page": sum(len(course.sent) - len(person.seen) for person in course.people),
        "latency_ms_p50": round(cuts[49], 1),
        "latency_ms_p95": round(cuts[94], 1),
        "latency_ms_max": round(late[-1], 1) if late else None,
        "mib_received": round(sum(person.received for person in course.people) / 2**20, 1),
        "rss_mib_first": round(course.rss_mib[0], 1),
        "rss_mib_most": round(max(course.rss_mib), 1),
    }


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=10.0)
    parser.add_argument("--out", default="")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = exercise_at_work(Path(scratch) / "exercise", chosen.speed)
        command = (*TURNCOAT, "tabletop", "--serve", "--json", "--quiet", "--port", "0", "--out", str(folder))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            begun = json.loads(server.stdout.readline() if server.stdout else "")
            wall_s = 60 * chosen.minutes / chosen.speed
            course = asyncio.run(
                play(begun["address"], begun["codes"], server.pid, chosen.people, wall_s, chosen.pause)
            )
            server.terminate()
    found = {
        "command": f"python benchmarks/tabletop_room.py --people {chosen.people} --minutes {chosen.minutes:g} "
        f"--speed {chosen.speed:g} --pause {chosen.pause:g}",
        "people": chosen.people,
        "simulated_minutes": chosen.minutes,
        "speed": chosen.speed,
        "wall_s": wall_s,
        "cpu_cores": os.cpu_count(),
        "load_average_at_the_end": round(os.getloadavg()[0], 1),
        **figures(course),
    }
    text = json.dumps(found, indent=1)
    print(text)
    if chosen.out:
        Path(chosen.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
