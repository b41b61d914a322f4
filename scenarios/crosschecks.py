"""Mistakes that show only when two places of a campaign file are read together.

Works on the plain values, not on the parsed campaign: a file with a typing mistake still gets all of its other
mistakes named. Whatever is not of the expected form is left to the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .families import families
from .vocabulary import NAMELESS_LOGIN, quoted, suggestion

NEEDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "host_inventory": ("host", frozenset({"endpoint", "network"})),
    "process_tree": ("host", frozenset({"endpoint"})),
    "reputation": ("indicator", frozenset({"identity", "data", "mail", "network"})),
    "network_flows": ("peer", frozenset({"identity", "data", "mail", "network"})),
}
"""Tool -> the subject of its fact, and the alert classes whose alerts have such a one."""

MAX_STEPS = 500
"""A campaign has about twenty. Chains of steps cost their length squared."""
MOST_PEOPLE = 500
"""Named in a file, twins and aliases among them; some thousands would not find room in the company's networks."""

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str, str]]


def cross_check(campaign: Mapping[str, Any]) -> Found:
    """Yield (path, fault, cure) for every mistake."""
    steps = list(_steps(campaign))
    if len(steps) > MAX_STEPS:
        yield ("phases",), f"{len(steps)} steps are more than {MAX_STEPS}", "split the campaign"
        return
    yield from _repeated_ids(campaign, steps)
    yield from _times(campaign, steps)
    yield from _chains(steps)
    yield from _names(campaign)
    yield from _owners(campaign, steps)
    yield from _subjects(steps)


def _steps(campaign: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for i, phase in listed(campaign, "phases"):
        for j, step in listed(phase, "steps"):
            yield ("phases", i, "steps", j), step


def listed(holder: Any, key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The mappings in a list, with their index; nothing where the file has something else."""
    items = holder.get(key) if isinstance(holder, Mapping) else None
    for i, item in enumerate(items if isinstance(items, tuple) else ()):
        if isinstance(item, Mapping):
            yield i, item


def _repeated_ids(campaign: Mapping[str, Any], steps: list[tuple[Path, Mapping[str, Any]]]) -> Found:
    phases = [(("phases", i), phase) for i, phase in listed(campaign, "phases")]
    for what, group in (("phase", phases), ("step", steps)):
        seen: set[str] = set()
        for path, item in group:
            id_ = item.get("id")
            if isinstance(id_, str) and id_ in seen:
                yield (*path, "id"), f"{what} {quoted(id_)} is there twice", "give each its own id"
            elif isinstance(id_, str):
                seen.add(id_)


def _times(campaign: Mapping[str, Any], steps: list[tuple[Path, Mapping[str, Any]]]) -> Found:
    clock = campaign.get("clock")
    days = clock.get("days") if isinstance(clock, Mapping) else None
    for path, step in steps:
        if ("at" in step) == ("after" in step):
            yield path, "a step needs one of 'at' and 'after'", "write at: D2 21:40, or after: {step: ..., offset: 2h}"
        yield from _day((*path, "at"), step.get("at"), days)
    for i, outage in listed(campaign, "outages"):
        for key in ("since", "until"):
            yield from _day(("outages", i, key), outage.get(key), days)


def _day(path: Path, moment: object, days: object) -> Found:
    match = re.match(r"D(\d{1,4}) ", moment) if isinstance(moment, str) else None
    if match and isinstance(days, int) and int(match[1]) > days:
        yield (
            path,
            f"{quoted(match.string)} is after the last day, D{days}",
            "raise clock.days or choose an earlier day",
        )


def _chains(steps: list[tuple[Path, Mapping[str, Any]]]) -> Found:
    """`after` must name a step, and the chain must end at one with `at`."""
    parents: dict[str, str] = {}
    for _, step in steps:
        after = step.get("after")
        if isinstance(after, Mapping) and isinstance(after.get("step"), str) and isinstance(step.get("id"), str):
            parents[step["id"]] = after["step"]
    known = [step["id"] for _, step in steps if isinstance(step.get("id"), str)]
    for path, step in steps:
        id_ = step.get("id")
        if not isinstance(id_, str) or id_ not in parents:
            continue
        place = (*path, "after", "step")
        if parents[id_] not in known:
            yield place, f"unknown step {quoted(parents[id_])}", suggestion(parents[id_], known)
        elif _circles(id_, parents):
            yield place, f"step {quoted(id_)} waits for itself", "give one step of the circle an 'at'"


def _circles(id_: str, parents: Mapping[str, str]) -> bool:
    seen = {id_}
    while (id_ := parents.get(id_, "")) and id_ not in seen:
        seen.add(id_)
    return bool(id_)


def _names(campaign: Mapping[str, Any]) -> Found:
    """Every principal and every further person has a login of their own."""
    actor = campaign.get("actor")
    own = actor.get("login") if isinstance(actor, Mapping) else None
    seen = {own} if isinstance(own, str) else set()
    other = campaign.get("counterfactuals")
    if isinstance(other, Mapping) and other.get("no_name") is True:
        seen.add(NAMELESS_LOGIN)
    named = [(("entities", "people", i), p) for i, p in listed(campaign.get("entities"), "people")]
    named += [(("counterfactuals", "twins", i), p) for i, p in listed(other, "twins")]
    named += [(("counterfactuals", "aliases", i), p) for i, p in listed(other, "aliases")]
    if len(named) > MOST_PEOPLE:
        yield ("entities", "people"), f"more than {MOST_PEOPLE} people are named", "leave those to the company's own"
    for path, person in named:
        login = person.get("login")
        if isinstance(login, str) and login in seen:
            yield (*path, "login"), f"login {quoted(login)} is taken", "choose another first name"
        elif isinstance(login, str):
            seen.add(login)


def _owners(campaign: Mapping[str, Any], steps: list[tuple[Path, Mapping[str, Any]]]) -> Found:
    """A further host, and an alert in another name, belong to somebody whom the file knows."""
    entities, actor = campaign.get("entities"), campaign.get("actor")
    people = [person.get("login") for _, person in listed(entities, "people")]
    people += [actor.get("login")] if isinstance(actor, Mapping) else []
    known = [login for login in people if isinstance(login, str)]
    for i, host in listed(entities, "hosts"):
        owner = host.get("owner")
        if isinstance(owner, str) and owner not in known:
            yield ("entities", "hosts", i, "owner"), f"unknown person {quoted(owner)}", suggestion(owner, known)
    for path, step in steps:
        alert = step.get("alert")
        user = alert.get("user") if isinstance(alert, Mapping) else None
        if isinstance(user, str) and user not in known:
            yield (*path, "alert", "user"), f"unknown person {quoted(user)}", suggestion(user, known)


def _subjects(steps: list[tuple[Path, Mapping[str, Any]]]) -> Found:
    """A fact must have something that it is about: from the alert, or written out."""
    for path, step in steps:
        alert, stated = step.get("alert"), step.get("facts")
        name = alert.get("family") if isinstance(alert, Mapping) else None
        family = families().get(name) if isinstance(name, str) else None
        for tool, (subject, kinds) in NEEDS.items():
            fact = stated.get(tool) if isinstance(stated, Mapping) else None
            if family and isinstance(fact, Mapping) and subject not in fact and family.kind not in kinds:
                place = (*path, "facts", tool)
                yield place, f"alerts of family {family.id!r} have no {subject}", f"write `{subject}:` in that fact"
