"""The candidate's own prompt: a text file with named places, for models that do not read ours.

A place is a field's name in braces, `{title}`; `{{` and `}}` are braces. Nothing else has a meaning: no attributes, no
formats, no code. A line of which every place is empty for an alert (no host, no address) is left out. What an alert says is
written as our own prompt writes it: one visible line a field, control and format characters as escapes, long values cut.

Limits: special tokens of a chat format are read as plain text, in the file as in an alert.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from turncoat.models.classifier import Case
from turncoat.models.prompt import FIELD_CHARACTERS, escaped
from turncoat.scenarios.errors import InputError, Mistake

_LARGEST_BYTES = 64 * 1024
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")

PLACES: Mapping[str, Callable[[Case], str | None]] = {
    "title": lambda case: case.alert.title,
    "severity": lambda case: case.alert.severity.value,
    "product": lambda case: case.alert.product,
    "technique": lambda case: case.alert.technique,
    "time": lambda case: f"{case.alert.time:%a %H:%M}",
    "user": lambda case: case.alert.entities.user,
    "host": lambda case: case.alert.entities.host,
    "process": lambda case: case.alert.entities.command_line or case.alert.entities.process,
    "address": lambda case: case.alert.entities.address,
    "domain": lambda case: case.alert.entities.domain,
    "file": lambda case: case.alert.entities.file,
    "resource": lambda case: case.alert.entities.resource,
    "activity": lambda case: case.alert.activity,
}
"""What can stand in braces; besides `evidence`, which is one line per tool."""
EVIDENCE = "evidence"
REQUIRED = ("title", "user")
"""A prompt that does not show who acted cannot be asked about a name."""


@dataclass(frozen=True)
class PromptFile:
    """A prompt with places; calling it writes a case."""

    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file's text, 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def __call__(self, case: Case) -> str:
        """The case as the candidate reads it."""
        found = {name: _shown(read(case) or "") for name, read in PLACES.items()}
        found[EVIDENCE] = "\n".join(f"{_shown(e.tool)}: {_shown(e.answer)}" for e in case.context.evidence)
        lines = (_filled(line, found) for line in self.text.split("\n"))
        return "\n".join(line for line in lines if line is not None)


def read_prompt(path: Path) -> PromptFile:
    """Reads a prompt file.

    Raises:
        InputError: No readable text, an unknown place (the nearest are named), a brace that stands alone, or a required
            place that is missing; every mistake is told.
    """
    try:
        if not path.is_file():
            raise InputError.at(path, "is no regular file", "give a text with places such as {title} and {user}")
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError.at(path, f"is larger than {_LARGEST_BYTES // 1024} KiB", "give the prompt alone")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError.at(path, f"cannot be read as text ({type(fault).__name__})", "save it as UTF-8") from None
    mistakes, seen = [], set[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        for match in _TOKEN.finditer(line):
            if mistake := _mistake(f"{path}:{number}:{match.start() + 1}", match):
                mistakes.append(mistake)
            seen.add(match[1] or "")
    for name in REQUIRED:
        if name not in seen and not mistakes:
            mistakes.append(Mistake(str(path), f"has no {{{name}}}", "every alert must show it"))
    if mistakes:
        raise InputError(*mistakes[:20])
    return PromptFile(text.rstrip("\n"))


def _mistake(place: str, match: re.Match[str]) -> Mistake | None:
    name = match[1]
    if name is None:
        alone = match[0] in ("{", "}")
        return Mistake(place, f"{match[0]!r} stands alone", "double it for a brace of the text") if alone else None
    if name in PLACES or name == EVIDENCE:
        return None
    known = [*PLACES, EVIDENCE]
    near = get_close_matches(name, known, n=2)
    cure = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
    return Mistake(place, f"unknown place {name[:40]!r}", cure)


def _filled(line: str, found: Mapping[str, str]) -> str | None:
    """A line with its places filled; None where it has places and all are empty."""
    names = [name for name in (match[1] for match in _TOKEN.finditer(line)) if name is not None]
    if names and not any(found[name] for name in names):
        return None
    # One pass: what a value says is never looked at for places.
    return _TOKEN.sub(lambda match: found[match[1]] if match[1] is not None else match[0][0], line)


def _shown(value: str) -> str:
    return escaped(value[:FIELD_CHARACTERS])
