"""Forms that arrive: bounded, decoded strictly, and checked by a model before anything looks at them."""

from __future__ import annotations

from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from turncoat.scenarios.errors import InputError, Mistake

from ...terminal import clean

MAX_FIELDS = 400
FORM_TYPE = "application/x-www-form-urlencoded"

Model = TypeVar("Model", bound=BaseModel)


def _one_line(text: str) -> str:
    cleaned = clean(text)
    if not cleaned:
        raise ValueError("says nothing")
    return cleaned


class Form(BaseModel):
    """What every form has."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Join(Form):
    """Somebody at the door."""

    code: Annotated[str, Field(max_length=100)]
    name: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_one_line)]


class ForRole(Form):
    """A facilitator's choice of a role's code."""

    role: Annotated[str, Field(max_length=20)]


class ForPerson(Form):
    """A facilitator's choice of a person in the room."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


async def fields(request: Request) -> dict[str, list[str]]:
    """The fields of a form with all their values, empty ones left out.

    Raises:
        InputError: It is no form, or none that a page of ours sends.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise InputError.at("form", "is no form", "send it from the room's own page")
    try:
        body = (await request.body()).decode("ascii")
        pairs = parse_qsl(body, keep_blank_values=False, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as fault:
        raise InputError.at("form", "cannot be read", "send it from the room's own page") from fault
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def checked(model: type[Model], given: dict[str, list[str]]) -> Model:
    """The form as a record; of a field that came twice the last value counts.

    Raises:
        InputError: A field is missing, strange or too long; lists all of them.
    """
    try:
        return model.model_validate({name: values[-1] for name, values in given.items()})
    except ValidationError as fault:
        raise InputError(*(_mistake(error["loc"], error["msg"]) for error in fault.errors())) from fault


def _mistake(place: tuple[int | str, ...], words: str) -> Mistake:
    return Mistake(".".join(map(str, place)), words[:1].lower() + words[1:], "")
