"""Reads campaign files, and tells every mistake of a file at once, each with its place and cure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .crosschecks import Found, cross_check
from .errors import Mistake, ScenarioError
from .positions import Document, read_document
from .schema import Campaign, Part
from .vocabulary import quoted, suggestion

P = TypeVar("P", bound=Part)

MAX_BYTES = 1024 * 1024
MAX_MISTAKES = 100
"""A file of junk makes tens of thousands; these are told, and that there are more."""


def list_campaigns() -> tuple[str, ...]:
    """Ids of the campaigns that come with turncoat, sorted."""
    folder = resources.files(__package__).joinpath("campaigns")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_campaign(path_or_id: str | os.PathLike[str]) -> Campaign:
    """The campaign of a file, or the shipped one of that id.

    Raises:
        ScenarioError: No such campaign, an unreadable file, or a file with mistakes; all of them are listed.
    """
    name = os.fspath(path_or_id)
    if name in list_campaigns():
        text = resources.files(__package__).joinpath(f"campaigns/{name}.yaml").read_text(encoding="utf-8")
        return parse_campaign(text, f"{name}.yaml")
    return parse_campaign(text_of(Path(name)), name)


def parse_campaign(text: str, source: str = "campaign.yaml") -> Campaign:
    """The campaign that a YAML text describes; `source` is what mistakes name as its file.

    Raises:
        ScenarioError: With every mistake that was found, in the order of the file.
    """
    return parse_part(Campaign, text, source, cross_check, what="a campaign")


def parse_part(
    model: type[P], text: str, source: str, crossed: Callable[[Mapping[str, Any]], Found], *, what: str
) -> P:
    """Any part that has a file of its own.

    Args:
        model: Of the whole file.
        text: YAML.
        source: What mistakes name as the file.
        crossed: Yields the mistakes that the schema cannot see, from the plain values.
        what: What the file is, with its article.

    Raises:
        ScenarioError: With every mistake that was found, in the order of the file.
    """
    document = read_document(text, source)
    found = document.mistakes[: MAX_MISTAKES + 1]
    part = None
    if isinstance(document.values, dict):
        try:
            part = model.model_validate(document.values)
        except ValidationError as error:
            found += _schema_mistakes(document, error, model)
        told = islice(crossed(document.values), MAX_MISTAKES + 1)
        found += [Mistake(document.place(path), fault, cure) for path, fault, cure in told]
    else:
        found.append(Mistake(document.place(()), f"{what} is a mapping of keys", "start with `schema: 1`"))
    if found or part is None:
        named = sorted(_unique(found), key=lambda m: _order(m.place))
        more = [Mistake(source, "and there are more mistakes", "mend these first")] if len(named) > MAX_MISTAKES else []
        raise ScenarioError(*named[:MAX_MISTAKES], *more)
    return part


def campaign_text(campaign: Campaign) -> str:
    """YAML that `parse_campaign` reads back to an equal campaign; comments and layout of its file are lost."""
    return part_text(campaign)


def part_text(part: Part) -> str:
    """YAML that reads back to an equal part."""
    return yaml.safe_dump(_plain(part), sort_keys=False, allow_unicode=True, width=120)


def _plain(value: Any) -> Any:
    """Mappings and lists of what was stated. A stated null stays, for it says that there is nothing to find."""
    if isinstance(value, Part):
        names = {field: info.alias or field for field, info in type(value).model_fields.items()}
        return {names[field]: _plain(getattr(value, field)) for field in names if field in value.model_fields_set}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def campaign_json_schema() -> dict[str, Any]:
    """JSON Schema of a campaign file, for editors."""
    return part_json_schema(Campaign)


def part_json_schema(model: type[Part]) -> dict[str, Any]:
    """JSON Schema of a file that holds one such part."""
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def text_of(path: Path) -> str:
    """The text of a file that somebody names. Raises ScenarioError where it is none that a campaign can be in."""
    try:
        if path.is_dir():
            raise ScenarioError(Mistake(str(path), "this is a folder", "name a campaign file"))
        if not path.is_file():
            cure = suggestion(str(path), list_campaigns())
            raise ScenarioError(Mistake(str(path), "there is no such campaign file or id", cure))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError(Mistake(str(path), f"cannot be read: {reason}", "check the path and its rights")) from None
    if len(content) > MAX_BYTES:
        raise ScenarioError(Mistake(str(path), "larger than 1 MiB", "a campaign is a few KiB; split the file"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"byte {error.start} is not UTF-8"
        raise ScenarioError(Mistake(str(path), fault, "save the file as UTF-8")) from None


def _schema_mistakes(document: Document, error: ValidationError, model: type[Part]) -> list[Mistake]:
    """What pydantic found, but for values that the reader of the YAML has already refused and left empty."""
    refused = {mistake.place for mistake in document.mistakes}
    details = error.errors(include_url=False)[: MAX_MISTAKES + 1]
    return [
        mistake for mistake in (_mistake(document, detail, model) for detail in details) if mistake.place not in refused
    ]


def _mistake(document: Document, detail: ErrorDetails, model: type[Part]) -> Mistake:
    """pydantic's finding in our words."""
    path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    # Keys of mappings are reported under a path that ends in "[key]".
    path = tuple(part for part in path if part != "[key]")
    name = str(path[-1]) if path else ""
    if kind == "turncoat":
        cure = context["cure"]
        place = document.place(path, key="[key]" in detail["loc"])
        return Mistake(place, context["fault"], cure() if callable(cure) else cure)
    if kind == "missing":
        return Mistake(document.place(path), f"{name!r} is missing", "add it")
    if kind == "extra_forbidden":
        return Mistake(
            document.place(path, key=True), f"unknown key {quoted(name)}", suggestion(name, _siblings(path, model))
        )
    fault = f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
    return Mistake(document.place(path), fault, f"found {_shown(detail['input'])}")


_json_schema = cache(part_json_schema)


def _siblings(path: Sequence[str | int], model: type[Part]) -> list[str]:
    """The keys that the schema knows at the place of an unknown one."""
    schema = _json_schema(model)
    node: Mapping[str, Any] = schema
    for part in path[:-1]:
        node = _resolved(schema, node.get("items", {}) if isinstance(part, int) else node["properties"].get(part, {}))
        if not isinstance(part, int) and "properties" not in node and "items" not in node:
            return []
    return list(node.get("properties", ()))


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow `$ref`, and the part of an `anyOf` that is not null."""
    for option in node.get("anyOf", ()):
        if option.get("type") != "null":
            node = option
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unique(mistakes: Sequence[Mistake]) -> Iterator[Mistake]:
    """Drop what is said twice."""
    return iter(dict.fromkeys(mistakes))


def _order(place: str) -> tuple[int, int]:
    parts = place.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0)
