"""Text out of alerts, replies and errors before it goes anywhere: on one line, printable, bounded, decodable."""

from __future__ import annotations

from typing import Any


def one_line(text: str, limit: int = 300) -> str:
    """Printable, on one line, at most so many characters."""
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(text[: 4 * limit].split()))
    return _cut(shown, limit)


def error_line(error: Exception, limit: int = 200) -> str:
    """The kind of an error and what it says: an error may quote an alert, and alerts are hostile."""
    return one_line(f"{type(error).__name__}: {error}", limit)


def bounded(value: Any, limit: int) -> Any:
    """What JSON is made of, each text cut to so many characters, and such that any parser and database takes it."""
    if isinstance(value, list):
        return [bounded(part, limit) for part in value]
    if isinstance(value, dict):
        return {bounded(str(name), limit): bounded(part, limit) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    # Half a surrogate pair is no character, and databases refuse NUL.
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in _cut(value, limit))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
