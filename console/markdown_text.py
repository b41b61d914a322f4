"""Text from files as Markdown takes it for text, in the tables and lists that studies write."""

from __future__ import annotations

import html
import re

from .terminal import clean

_SIGNS = re.compile(r"([\\`*_\[\]|~])")


def markdown_cell(words: object, limit: int = 2_000) -> str:
    """For a table or list: no control characters, and no sign that Markdown or HTML would obey."""
    return _SIGNS.sub(r"\\\1", html.escape(clean(words, limit), quote=False))


def markdown_code(words: object, limit: int = 500) -> str:
    """As code. Within backticks nothing can be escaped, and no command of ours has these signs."""
    return f"`{re.sub(r'[`<>]', '', clean(words, limit))}`"
