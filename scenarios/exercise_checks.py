"""Mistakes of an exercise file that show only beside the campaign, or when two of its places are read together.

Works on the plain values, as `crosschecks.py` does, so that one mistake hides no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .crosschecks import Found, Path, listed
from .exercise import MAX_BRANCHES, MAX_INJECTS, MAX_PARTS
from .schema import Campaign
from .vocabulary import quoted, suggestion

CONDITIONS = ("at", "dismissed", "escalated", "reviewed", "known", "done", "undone", "given", "all", "any")
_OF_STEPS = ("dismissed", "escalated", "reviewed", "known")
_ON_ALERTS = ("open", "ask", "override")
_MAX_DAY = re.compile(r"D([1-9]\d?) ")


def cross_check_exercise(campaign: Campaign) -> Callable[[Mapping[str, Any]], Found]:
    """The checks of a file that is to be an exercise of this campaign; each yields (path, fault, cure)."""

    def check(plan: Mapping[str, Any]) -> Found:
        if sum(1 for _ in listed(plan, "injects")) > MAX_INJECTS:
            yield ("injects",), f"more than {MAX_INJECTS} injects", "keep those that matter"
            return
        named = plan.get("campaign")
        if isinstance(named, str) and named != campaign.id:
            yield ("campaign",), f"is for {quoted(named)}, not for {campaign.id!r}", f"write campaign: {campaign.id}"
        yield from _repeated(plan)
        yield from _hours(plan, campaign)
        yield from _conditions(plan, campaign)
        yield from _given(plan)
        yield from _expected(plan, campaign)

    return check


def _ids(plan: Mapping[str, Any], key: str) -> list[str]:
    return [item["id"] for _, item in listed(plan, key) if isinstance(item.get("id"), str)]


def _repeated(plan: Mapping[str, Any]) -> Found:
    for key in ("objectives", "injects", "expected"):
        seen: set[str] = set()
        for i, item in listed(plan, key):
            id_ = item.get("id")
            if isinstance(id_, str) and id_ in seen:
                yield (key, i, "id"), f"id {quoted(id_)} is there twice", "give each its own id"
            elif isinstance(id_, str):
                seen.add(id_)


def _hours(plan: Mapping[str, Any], campaign: Campaign) -> Found:
    """Every moment lies within the campaign, and the play ends after it begins."""
    for path, moment in _moments((), plan):
        day = _MAX_DAY.match(moment)
        if day and int(day[1]) > campaign.clock.days:
            last = f"D{campaign.clock.days}"
            yield path, f"{quoted(moment)} is after the campaign's last day, {last}", "choose an earlier day"
    clock = plan.get("clock")
    begins, ends = (clock.get(key) if isinstance(clock, Mapping) else None for key in ("begins", "ends"))
    if isinstance(begins, str) and isinstance(ends, str) and _sortable(ends) <= _sortable(begins):
        yield ("clock", "ends"), "the play ends before it begins", "choose a later time"


def _sortable(moment: str) -> tuple[int, str]:
    day, _, clock = moment.partition(" ")
    return (int(day[1:]) if day[1:].isascii() and day[1:].isdigit() else 0, clock)


def _moments(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Texts under keys that hold moments."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("at", "by", "begins", "ends") and isinstance(item, str):
                yield (*path, key), item
            else:
                yield from _moments((*path, key), item)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _moments((*path, i), item)


def _conditions(plan: Mapping[str, Any], campaign: Campaign) -> Found:
    shown = [step.id for _, step in campaign.steps() if step.alert is not None]
    for i, inject in listed(plan, "injects"):
        whens: list[tuple[Path, Any]] = [(("injects", i, "when"), inject.get("when"))]
        whens += [(("injects", i, "then", j, "when"), branch.get("when")) for j, branch in listed(inject, "then")]
        if len(whens) > MAX_BRANCHES + 1:
            yield ("injects", i, "then"), f"more than {MAX_BRANCHES} branches", "keep those that matter"
            continue
        for path, condition in whens:
            if _parts(condition) > MAX_PARTS:
                yield path, f"a condition of more than {MAX_PARTS} parts", "keep those that matter"
            else:
                yield from _condition(path, condition, plan, shown)


def _parts(condition: Any) -> int:
    if not isinstance(condition, Mapping):
        return 0
    inside = [part for key in ("all", "any") if isinstance(condition.get(key), tuple) for part in condition[key]]
    return 1 + sum(_parts(part) for part in inside)


def _condition(path: Path, condition: Any, plan: Mapping[str, Any], shown: list[str]) -> Found:
    if not isinstance(condition, Mapping):
        return
    stated = [key for key in CONDITIONS if condition.get(key) is not None]
    if len(stated) != 1 and not set(condition) - set(CONDITIONS):
        yield path, f"a condition has one key, this has {len(stated)}", "join several with all: [...] or any: [...]"
    for key in stated:
        value, place = condition[key], (*path, key)
        if key in _OF_STEPS and isinstance(value, str) and value not in shown:
            yield place, f"no step {quoted(value)} that shows an alert", suggestion(value, shown)
        elif key == "given" and isinstance(value, str) and value not in _ids(plan, "injects"):
            yield place, f"unknown inject {quoted(value)}", suggestion(value, _ids(plan, "injects"))
        elif key in ("done", "undone"):
            yield from _deed(place, value, shown)
        elif key in ("all", "any") and isinstance(value, tuple):
            for i, part in enumerate(value):
                yield from _condition((*place, i), part, plan, shown)


def _deed(path: Path, deed: Any, shown: list[str]) -> Found:
    action, target = (deed.get(key) if isinstance(deed, Mapping) else None for key in ("action", "target"))
    if not isinstance(target, str):
        return
    if action in _ON_ALERTS and target not in shown:
        yield (*path, "target"), f"no step {quoted(target)} that shows an alert", suggestion(target, shown)
    if action == "call" and target not in ("hr", "legal"):
        yield (*path, "target"), f"nobody to call is named {quoted(target)}", "write hr or legal"


def _given(plan: Mapping[str, Any]) -> Found:
    """Every inject comes somehow, and by one way only, branches aside."""
    known, ways = _ids(plan, "injects"), dict[str, list[str]]()
    for i, inject in listed(plan, "injects"):
        for j, branch in listed(inject, "then"):
            for key in ("give", "otherwise"):
                target = branch.get(key)
                if isinstance(target, str) and target not in known:
                    place = ("injects", i, "then", j, key)
                    yield place, f"unknown inject {quoted(target)}", suggestion(target, known)
                elif isinstance(target, str) and isinstance(inject.get("id"), str):
                    ways.setdefault(inject["id"], []).append(target)
    begun = [item.get("id") for _, item in listed(plan, "injects") if "at" in item or "when" in item]
    reached = {id_ for id_ in begun if isinstance(id_, str)}
    waiting = list(reached)
    while waiting:
        fresh = [target for target in ways.get(waiting.pop(), ()) if target not in reached]
        reached.update(fresh)
        waiting += fresh
    for i, inject in listed(plan, "injects"):
        if "at" in inject and "when" in inject:
            cure = "keep one, or put the time into the condition: all: [{at: ...}, ...]"
            yield ("injects", i), "an inject comes at a time or on a condition, not both", cure
        elif isinstance(inject.get("id"), str) and inject["id"] not in reached:
            yield ("injects", i), "this inject never comes", "give it 'at' or 'when', or name it in a branch"


def _expected(plan: Mapping[str, Any], campaign: Campaign) -> Found:
    shown = [step.id for _, step in campaign.steps() if step.alert is not None]
    objectives, phases = _ids(plan, "objectives"), [phase.id for phase in campaign.phases]
    for i, item in listed(plan, "expected"):
        objective = item.get("objective")
        if isinstance(objective, str) and objective not in objectives:
            place = ("expected", i, "objective")
            yield place, f"unknown objective {quoted(objective)}", suggestion(objective, objectives)
        yield from _deed(("expected", i, "deed"), item.get("deed"), shown)
    for i, item in listed(plan, "discussion"):
        phase = item.get("phase")
        if isinstance(phase, str) and phase not in phases:
            yield ("discussion", i, "phase"), f"unknown phase {quoted(phase)}", suggestion(phase, phases)
