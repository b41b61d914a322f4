"""How the gathering of evidence about one alert went: a channel of the graph that only its own nodes read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .planner import Plan
from .state import State

_REMARK_CHARACTERS = 400


class PlannedState(State, total=False):
    """The state with the planner's part in it."""

    course: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """Lies in the checkpoint beside the evidence, so that an alert does not change its planner when a run is resumed."""

    ended: bool = False
    """The planner said that nothing more is worth asking."""
    fallback: str = ""
    """Why the playbook took over for this alert; empty if it did not."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """What the planner did wrong: kind -> how often."""

    def after(self, plan: Plan) -> Course:
        return replace(self, ended=plan.ended, faults=dict(Counter(self.faults) + Counter(plan.faults)))

    @property
    def remark(self) -> str:
        """For the decision's reason; empty if the planner did nothing that a reader must know."""
        said = [f"{kind} ({times})" for kind, times in sorted(self.faults.items())]
        parts = [f"the planner's faults: {', '.join(said)}"] if said else []
        parts += [f"the planner failed ({self.fallback}), so the playbook was asked"] if self.fallback else []
        return "; ".join(parts)[:_REMARK_CHARACTERS]


def course_of(state: PlannedState) -> Course:
    """The course in a state; a fresh one if there is none, or if somebody's checkpoint holds another thing there."""
    plain: object = state.get("course")
    if not isinstance(plain, dict) or set(plain) != {"ended", "fallback", "faults"}:
        return Course()
    ended, fallback, faults = plain["ended"], plain["fallback"], plain["faults"]
    if not (isinstance(ended, bool) and isinstance(fallback, str) and isinstance(faults, dict)):
        return Course()
    if not all(isinstance(kind, str) and isinstance(times, int) for kind, times in faults.items()):
        return Course()
    return Course(ended, fallback, faults)


def plain_course(course: Course) -> dict[str, Any]:
    return {"ended": course.ended, "fallback": course.fallback, "faults": dict(course.faults)}
