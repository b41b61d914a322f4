"""Finds and reads the exercise of a campaign: a file that is named, one that lies beside it, or a plain one for any."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from .clock import Calendar
from .errors import ScenarioError
from .exercise import (
    Briefs,
    Deed,
    Discussion,
    ExercisePlan,
    Expected,
    Objective,
    PlayClock,
)
from .exercise_checks import cross_check_exercise
from .loader import list_campaigns, parse_part, part_text, text_of
from .schema import Campaign

BESIDE = ".exercise.yaml"
"""`theft.yaml` has its exercise in `theft.exercise.yaml`."""


def list_exercises() -> tuple[str, ...]:
    """Ids of the shipped campaigns that are prepared as exercises, sorted."""
    folder = resources.files(__package__).joinpath("exercises")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_exercise(path_or_id: str | os.PathLike[str], campaign: Campaign, file: str = "") -> ExercisePlan:
    """The exercise of a campaign.

    Args:
        path_or_id: As the campaign was named.
        campaign: As it was read from there.
        file: Exercise file; if empty the prepared one of a shipped campaign, the one beside a campaign file, or else
            `plain_exercise`.

    Raises:
        ScenarioError: An unreadable file, or one with mistakes; all of them are listed.
    """
    name = os.fspath(path_or_id)
    if file:
        return parse_exercise(text_of(Path(file)), campaign, file)
    if name in list_campaigns():
        if name not in list_exercises():
            return plain_exercise(campaign)
        text = resources.files(__package__).joinpath(f"exercises/{name}.yaml").read_text(encoding="utf-8")
        return parse_exercise(text, campaign, f"{name}{BESIDE}")
    beside = Path(name).with_suffix(BESIDE)
    return parse_exercise(text_of(beside), campaign, str(beside)) if beside.is_file() else plain_exercise(campaign)


def parse_exercise(text: str, campaign: Campaign, source: str = "exercise.yaml") -> ExercisePlan:
    """The exercise that a YAML text describes; `source` is what mistakes name as its file.

    Raises:
        ScenarioError: With every mistake that was found, in the order of the file.
    """
    return parse_part(ExercisePlan, text, source, cross_check_exercise(campaign), what="an exercise")


def exercise_text(plan: ExercisePlan) -> str:
    """YAML that `parse_exercise` reads back to an equal exercise."""
    return part_text(plan)


def plain_exercise(campaign: Campaign) -> ExercisePlan:
    """An exercise of any campaign: no injects, and of the team what every campaign with a blind model asks.

    Raises:
        ScenarioError: The campaign shows no alert of an attack, so there is nothing to find.
    """
    attack = [step for _, step in campaign.steps() if step.alert is not None and step.expect.truth == "malicious"]
    if not attack:
        raise ScenarioError.at(campaign.id, "there is no attack to find", "choose a campaign with malicious steps")
    calendar = Calendar.of(campaign)
    times = calendar.steps(campaign.seed)
    middle = (
        f"D{min(max((times[attack[len(attack) // 2].id].date() - calendar.start).days + 1, 1), campaign.clock.days)}"
    )
    last = f"D{campaign.clock.days}"
    finding = Objective(id="find", text="Find what the alerts on the desk do not show.", capability="Threat detection")
    stopping = Objective(id="stop", text="Stop it, and keep what proves it.", capability="Incident containment")
    return ExercisePlan(
        schema=1,
        campaign=campaign.id,
        title="What the desk does not see",
        situation="An alert-triage model stands before your desk. It closes what it holds to be harmless.",
        opening="Say who plays which role, that the clock is simulated, and that everything is asked through the tools.",
        closing="Stop the clock. Ask everybody for one thing that went well and one that they would change.",
        clock=PlayClock(begins="D1 00:00", ends=f"{last} 23:59"),
        objectives=(finding, stopping),
        briefs=Briefs(
            analyst="You work the queue: open cases, ask the tools, and overrule the model where it is wrong.",
            lead="You answer for the desk: what is contained, and whether what stands before it may be relied on.",
            executive="You decide what the company does and says. You see what the desk tells you.",
        ),
        expected=(
            Expected(id="audit", role="lead", text="Looks at a sample of what the model dismissed.",
                     deed=Deed(action="audit"), by=f"{middle} 23:59", objective="find"),
            Expected(id="swap", role="lead", text="Replaces the model.",
                     deed=Deed(action="swap"), by=f"{last} 23:59", objective="find"),
            Expected(id="contain", role="lead", text=f"Disables the account of {campaign.actor.login}.",
                     deed=Deed(action="disable", target=campaign.actor.login), by=f"{last} 23:59", objective="stop"),
            Expected(id="declare", role="executive", text="Declares an incident.",
                     deed=Deed(action="declare"), by=f"{last} 23:59", objective="stop"),
        ),
        discussion=tuple(
            Discussion(phase=phase.id, minutes=max(5, 75 // len(campaign.phases)),
                       questions=("What do we know, and from where?", "What would we not see, if it happened?"))
            for phase in campaign.phases
        ),
        lessons=campaign.lessons,
    )  # fmt: skip
