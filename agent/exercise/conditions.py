"""Whether a condition of an exercise holds, and at which moments it could begin to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from turncoat.scenarios.exercise import Condition, Deed

from .material import Material
from .state import State, Taken


def holds(condition: Condition, material: Material, state: State, at: datetime) -> bool:
    """Whether it holds at that simulated time, if nothing happens until then."""
    steps = {"dismiss": condition.dismissed, "escalate": condition.escalated, "review": condition.reviewed}
    for fate, step in steps.items():
        if step is not None:
            passed = state.fates.get(material.uids.get(step, ""))
            return passed is not None and passed.fate == fate
    if condition.known is not None:
        return material.uids.get(condition.known) in state.known
    if condition.at is not None:
        return at >= material.calendar.moment(condition.at)
    if condition.given is not None:
        return condition.given in state.given
    if condition.done is not None:
        return first_deed(condition.done, material, state) is not None
    if condition.undone is not None:
        due = material.calendar.moment(condition.undone.by)
        done = first_deed(condition.undone, material, state)
        return at >= due and (done is None or done.at > due)
    if condition.all is not None:
        return all(holds(part, material, state, at) for part in condition.all)
    return any(holds(part, material, state, at) for part in condition.any or ())


def moments(condition: Condition, material: Material) -> Iterator[datetime]:
    """The times at which it may become true without anything happening."""
    if condition.at is not None:
        yield material.calendar.moment(condition.at)
    if condition.undone is not None:
        yield material.calendar.moment(condition.undone.by)
    for part in (*(condition.all or ()), *(condition.any or ())):
        yield from moments(part, material)


def first_deed(deed: Deed, material: Material, state: State) -> Taken | None:
    """The first action of the team that is this deed; None if there was none. An override counts if it escalates."""
    target = (
        material.uids.get(deed.target or "", deed.target) if deed.action in ("open", "ask", "override") else deed.target
    )
    return next((x for x in state.taken if x.kind == deed.action and target in (None, x.target)), None)
