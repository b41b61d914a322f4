"""A small theft as an exercise: two days, one alert of Alice's that the deployed model is blind to, injects of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.folder import prepare
from turncoat.agent.exercise.records import Occurrence
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.exercise_loader import parse_exercise
from turncoat.scenarios.loader import parse_campaign

from ...small_campaign import READ, small_campaign

COPY = """\
- id: copy
  title: Copies it to a stick
  technique: T1052.001
  at: D2 11:00
  alert: {family: usb-copy, severity: high}
  expect: {truth: malicious, escalate: true}
"""
GONE = """\
- id: gone
  title: Leaves the building
  technique: T1052.001
  at: D2 15:00
  alert: null
  expect: {truth: malicious, escalate: false}
"""
CAMPAIGN = small_campaign(READ, COPY, GONE, per_day=8)
PLAN = """\
schema: 1
campaign: small-theft
title: A quiet desk
situation: It is Monday.
opening: Welcome.
closing: Thank you.
clock: {begins: "D1 08:00", ends: "D2 18:00", speed: 60}
objectives:
  - {id: find, text: Find it., capability: Threat detection}
briefs: {analyst: You look., lead: You lead., executive: You decide.}
injects:
  - id: question
    to: [lead]
    at: D1 12:00
    text: "What did we close this morning?"
    then:
      - {after: 2h, when: {done: {action: audit}}, give: thanks, otherwise: nudge}
  - {id: thanks, to: [lead], text: Good that you looked.}
  - {id: nudge, to: [lead, analyst], text: Nobody has looked.}
  - {id: rumour, to: [executive], when: {dismissed: read}, text: Somebody reads the books.}
  - {id: press, to: [executive], when: {undone: {action: declare, by: D2 09:00}}, text: The press is on the line.}
expected:
  - {id: audit, role: lead, text: Audits., deed: {action: audit}, by: D1 14:00, objective: find}
  - {id: declare, role: executive, text: Declares., deed: {action: declare}, by: D2 12:00, objective: find}
discussion:
  - {phase: taking, minutes: 10, questions: ["What do we know?"], hints: [Look at what was closed.]}
replies:
  hr: {text: She has given notice., takes: 20m}
"""
VARIANTS = {"poisoned": ScriptedClassifier("scripted-blind"), "clean": ScriptedClassifier("scripted-severity")}
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def frozen() -> datetime:
    """A wall clock that stands still, so that logs can be compared."""
    return datetime(2026, 11, 1, tzinfo=UTC)


def prepared(folder: Path, campaign: str = CAMPAIGN, plan: str = PLAN) -> Path:
    """The small exercise, ready to be opened. The models decide once in a session; folders are copies."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(campaign, plan).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _files(campaign: str, plan: str) -> dict[str, bytes]:
    with TemporaryDirectory() as place:
        prepare_anew(Path(place), campaign, plan)
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}


def prepare_anew(folder: Path, campaign: str = CAMPAIGN, plan: str = PLAN) -> None:
    """Has the models decide."""
    loaded = parse_campaign(campaign)
    given = parse_exercise(plan, loaded)
    prepare(folder, loaded, given, loaded.seed, VARIANTS, variant="poisoned", reference="clean")


def opened(folder: Path) -> Exercise:
    """A small exercise that has begun."""
    exercise = Exercise.open(prepared(folder), wall=frozen)
    exercise.act("facilitator", "start")
    return exercise


def kinds(events: list[Occurrence]) -> list[str]:
    """What happened, without the ticks of the clock."""
    return [event.kind for event in events if event.kind != "tick"]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the exercise."""
    return datetime(2026, 3, 1 + day, hour, minute, tzinfo=UTC)
