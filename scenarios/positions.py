"""Safe YAML with places: plain values, and the line and column of each.

Campaign files come from outside. Anything but plain mappings, sequences and scalars is refused; so are documents that
are too deep, repeat themselves through too many aliases, or contain themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from .errors import Mistake, ScenarioError

MAX_DEPTH = 24
MAX_ALIASES = 16
MAX_VALUES = 50_000
"""Values after aliases are expanded; a campaign has about a thousand."""
MAX_INTEGER = 2**63
"""A longer number cannot be meant, and Python refuses to print one of more than 4,300 digits."""

Path = tuple[str | int, ...]
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_COLLECTIONS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq")}


class Mark(Protocol):
    """A place in a text, counted from 0; both of PyYAML's parsers have their own."""

    line: int
    column: int


@dataclass
class Document:
    """A YAML file as plain values (sequences are tuples), with a place for every path."""

    source: str
    values: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    places: dict[Path, Mark] = field(default_factory=dict)
    """Where the value of a path stands."""
    keys: dict[Path, Mark] = field(default_factory=dict)
    """Where the key of a path stands."""

    def place(self, path: Sequence[str | int], *, key: bool = False) -> str:
        """`file:line:column` of a path, or of the nearest part of it that the file has."""
        path = tuple(path)
        if key and path in self.keys:
            return self.at(self.keys[path])
        while path and path not in self.places:
            path = path[:-1]
        return self.at(self.places.get(path))

    def at(self, mark: Mark | None) -> str:
        """`file:line:column` of a mark."""
        return f"{self.source}:{mark.line + 1}:{mark.column + 1}" if mark else self.source


def read_document(text: str, source: str) -> Document:
    """Parse one YAML document.

    Raises:
        ScenarioError: The text cannot be read as one safe YAML document at all. Mistakes in single values are
            collected in `Document.mistakes`.
    """
    document = Document(source)
    try:
        _refuse_bombs(text, document)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        fault = " ".join(part for part in (error.context, error.problem) if part)
        cure = "mend the YAML there (quote text that holds ': ' or '#', indent with spaces)"
        raise ScenarioError(Mistake(document.at(error.problem_mark or error.context_mark), fault, cure)) from None
    except yaml.YAMLError as error:
        fault = str(error).splitlines()[0]
        raise ScenarioError(Mistake(source, fault, "remove control characters; save the file as UTF-8")) from None
    if node is None:
        raise ScenarioError(Mistake(f"{source}:1:1", "the file is empty", "start from `turncoat scenarios show`"))
    document.values = _Reader(document).value(node, (), ())
    return document


def _refuse_bombs(text: str, document: Document) -> None:
    """Count depth and aliases on the events, before anything recursive sees the text."""
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            fault = f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"more than {MAX_ALIASES} aliases"
            raise ScenarioError(Mistake(document.at(event.start_mark), fault, "write the values out flat"))


class _Reader:
    """Turns nodes into values and notes where each stands."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = yaml.SafeLoader("")
        self.count = 0

    def value(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        """The value of a node; `above` holds the nodes that contain it."""
        self.count += 1
        if id(node) in above or self.count > MAX_VALUES:
            fault = "an alias contains itself" if id(node) in above else f"more than {MAX_VALUES} values"
            place = self.document.at(node.start_mark)
            raise ScenarioError(Mistake(place, fault, "write the values out without anchors"))
        self.document.places[path] = node.start_mark
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
            self._mistake(node, f"tag {_short(node.tag)} is not read", "write the value without a tag")
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path, (*above, id(node))))
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(item, (*path, i), (*above, id(node))) for i, item in enumerate(node.value))
        return self._scalar(node)

    def _pairs(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag.endswith(":merge"):
                self._mistake(key_node, "a key must be plain text", "write the keys out; `<<` is not read")
                continue
            if key in seen:
                self._mistake(key_node, f"key {_short(key)} is there twice", "keep one")
                continue
            seen.add(key)
            self.document.keys[(*path, key)] = key_node.start_mark
            yield key, self.value(value_node, (*path, key), above)

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag not in _SCALARS:
            self._mistake(node, f"tag {_short(node.tag)} is not read", "write a plain value")
            return None
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, ArithmeticError, LookupError, AttributeError, yaml.YAMLError):
            # A tag that its text does not fit, such as `!!int ""`, fails in any of these ways within PyYAML.
            self._mistake(node, f"{_short(node.value)} is no valid value", "mend it, or put it in quotes")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._mistake(node, f"{_short(node.value)} is not a finite number", "write a number")
            return None
        if isinstance(value, int) and abs(value) >= MAX_INTEGER:
            self._mistake(node, f"{_short(node.value)} is too large a number", "write one of at most 18 digits")
            return None
        return value

    def _mistake(self, node: yaml.Node, fault: str, cure: str) -> None:
        self.document.mistakes.append(Mistake(self.document.at(node.start_mark), fault, cure))


def _short(text: str) -> str:
    """Text of the file as a message quotes it."""
    return repr(text[:40])
