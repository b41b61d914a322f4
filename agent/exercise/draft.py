"""The part of an after-action report that a person writes: proposed by us, finished by the facilitator, kept in the folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.loader import parse_part, part_text, text_of
from turncoat.scenarios.schema import Part
from turncoat.scenarios.vocabulary import Line, Text
from turncoat.scenarios.whole_file import write_whole

from .after_action import AfterAction, Rating, Times
from .records import ROLE_NAMES

DRAFT_FILE = "after-action.yaml"

Words = Annotated[str, Field(max_length=4_000)]


class Improvement(Part):
    """An area for improvement, with what is to be done about it, by whom and until when."""

    area: Line
    action: Words = ""
    owner: Annotated[str, Field(max_length=300)] = ""
    due: date | None = None


class Draft(Part):
    """What the facilitator adds."""

    schema_: Literal[1] = Field(1, alias="schema")
    final: bool = False
    """Not a draft any more: the report says so, or that it is one."""
    summary: Words = ""
    ratings: dict[str, Rating] = Field(default_factory=dict)
    """Objective -> rating; those that are not named keep the proposed one."""
    strengths: tuple[Text, ...] = ()
    improvements: tuple[Improvement, ...] = ()
    feedback: tuple[Text, ...] = ()
    """Of participants, beyond what they have entered themselves."""


def read_draft(folder: Path) -> Draft | None:
    """The draft of an exercise; None where none was written yet.

    Raises:
        ScenarioError: It has mistakes; all of them are listed.
    """
    file = folder / DRAFT_FILE
    if not file.exists():
        return None
    return parse_part(Draft, text_of(file), str(file), lambda values: iter(()), what="a draft")


def write_draft(folder: Path, draft: Draft) -> Path:
    """Writes the draft whole or not at all. Returns its file."""
    write_whole(folder / DRAFT_FILE, part_text(draft))
    return folder / DRAFT_FILE


def draft_of_form(fields: Mapping[str, Any]) -> Draft:
    """A draft out of what a web form sends: dates and truth values may be text, and keys are those of the file.

    Raises:
        InputError: Every field that does not fit is named.
    """
    try:
        return Draft.model_validate(dict(fields), strict=False)
    except ValidationError as fault:
        found = fault.errors(include_url=False, include_input=False)
        raise InputError(
            *(Mistake(".".join(map(str, e["loc"])), _fault(e), "mend the field and send it again") for e in found)
        ) from None


def _fault(error: ErrorDetails) -> str:
    """In our words where a check of ours refused it, and else in pydantic's."""
    return str(error.get("ctx", {}).get("fault", error["msg"]))


def proposed(after: AfterAction) -> Draft:
    """A draft to begin with: what the figures say for themselves, for a person to put right.

    It rates nothing: an objective without a rating has the one that the figures propose when the report is written.
    """
    return Draft(
        schema=1,
        summary=_summary(after),
        strengths=tuple(_strengths(after)),
        improvements=tuple(_improvements(after)),
    )


def _clock(after: AfterAction, times: Times, name: str) -> str:
    at = getattr(times, name)
    return f"{at.astimezone(after.material.calendar.zone):%A %H:%M}" if at else ""


def _summary(after: AfterAction) -> str:
    times = after.times
    begun, known, contained, reference = (
        _clock(after, times, name) for name in ("begun", "known", "contained", "reference_known")
    )
    said = [f"The attack began on {begun}." if begun else "The attack had not begun when the exercise ended."]
    said.append(
        f"Its first alert came before the team on {known}." if known else "None of its alerts came before the team."
    )
    if reference:
        said.append(f"With the {after.material.reference} model you would have known on {reference}.")
    said.append(f"It was contained on {contained}." if contained else "It was not contained.")
    return " ".join(said)


def _strengths(after: AfterAction) -> Iterator[str]:
    for rated in after.objectives:
        for met in rated.expected:
            if met.standing == "met":
                yield f"{ROLE_NAMES[met.expected.role]}: {met.expected.text}"


def _improvements(after: AfterAction) -> Iterator[Improvement]:
    for rated in after.objectives:
        for met in rated.expected:
            if met.standing != "met":
                what = "Done late" if met.standing == "late" else "Not done"
                yield Improvement(area=f"{what}: {met.expected.text}"[:300], owner=ROLE_NAMES[met.expected.role])
    if after.innocent:
        names = ", ".join(after.innocent)
        yield Improvement(area=f"Switched off without a part in the attack: {names}"[:300], owner=ROLE_NAMES["lead"])
    if not any(taken.kind == "audit" for taken in after.state.taken):
        area = "Nobody looks at what the model dismisses"
        yield Improvement(area=area, action="Audit a random sample every day.", owner=ROLE_NAMES["lead"])
