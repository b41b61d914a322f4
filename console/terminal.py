"""Makes text from outside safe to print: alerts, scenario files and model folders may hold anything.

A terminal obeys escape sequences, and rich obeys square brackets. Neither must reach it from an alert: a title that clears
the screen, recolours a verdict or renames the window is an attack on the person who reads it.
"""

from __future__ import annotations

import re
import unicodedata

from rich.markup import escape
from rich.text import Text

_SEQUENCES = re.compile(
    r"(?:\x1b\]|\x9d).*?(?:\x07|\x1b\\|\x9c|$)"  # OSC: titles, links, the clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f]).*?(?:\x1b\\|\x9c|$)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"  # CSI: colours, cursor, clearing
    r"|\x1b[ -/]*(?:[0-~]|$)",  # two-character and charset escapes
    re.DOTALL,
)
_SPACES = re.compile(r"[\t\n\r\v\f\x1c-\x1f\x85\u2028\u2029]+")
INVISIBLE = frozenset("\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0\ufeff\ufffc")
"""Drawn as nothing, yet not of a control category."""
_BRACKETS = re.compile(r"(\\+)\[(?![a-z#/@][^[]*?])")
"""An opening bracket behind backslashes, where rich sees no tag."""
DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, format characters (bidi controls, zero width, tags), surrogates, private, unassigned."""


def clean(text: object, limit: int = 400) -> str:
    """One printable line: escape sequences, controls, bidi controls and zero-width characters are gone.

    Args:
        text: Anything; `str` is taken of it.
        limit: Longest result; a longer one ends in an ellipsis.
    """
    # Cut before cleaning too: ten megabytes must not be searched for escapes.
    spaced = _SPACES.sub(" ", _SEQUENCES.sub("", str(text)[: limit * 20]))
    kept = "".join(c for c in spaced if unicodedata.category(c) not in DROPPED and c not in INVISIBLE)
    kept = _limit_marks(kept).strip()
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def plain(text: object, limit: int = 400) -> str:
    """`clean`, and with rich markup escaped: for strings that a rich console or table will parse as markup."""
    words = clean(text, limit)
    body = words.rstrip("\\")
    # rich takes one backslash away from before a bracket that opens no tag; `escape` leaves those alone.
    escaped = _BRACKETS.sub(r"\1\\[", escape(body))
    # Backslashes before rich's own closing tag would escape that tag, or be halved.
    return escaped + words[len(body) :] * 2


def text(words: object, style: str = "", limit: int = 400) -> Text:
    """`clean` as a rich `Text`, which is never parsed as markup."""
    return Text(clean(words, limit), style=style, no_wrap=True, overflow="ellipsis")


def _limit_marks(words: str, most: int = 2) -> str:
    """At most `most` combining marks in a row: stacks of them paint over the lines above."""
    kept: list[str] = []
    run = 0
    for character in words:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run <= most:
            kept.append(character)
    return "".join(kept)
