"""Makes text from outside safe for the page: nothing in it is markup, and nothing in it is invisible.

A reader of a report investigates: where the terminal drops a character that would control it, the page names it.
"""

from __future__ import annotations

import unicodedata

from markupsafe import Markup

from ..terminal import DROPPED, INVISIBLE

LONGEST = 2_000
"""Characters of one text that the page shows."""
_MARKS_IN_A_ROW = 2


def shown(value: object) -> object:
    """What a template prints of a value: text with every character to be seen; anything else as it is.

    Controls, bidi controls, zero-width and other invisible characters become `⟨U+202E⟩`, and so do combining marks that
    would pile up over the lines above. What is left out at the end is counted.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value)


def visible(text: str, longest: int = LONGEST) -> str:
    """The text, with what cannot be seen named and what is too long counted. Not yet escaped."""
    kept, marks = [], 0
    for character in text[:longest]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = category in DROPPED or character in INVISIBLE or marks > _MARKS_IN_A_ROW
        kept.append(f"⟨U+{ord(character):04X}⟩" if hidden else character)
    more = len(text) - longest
    return "".join(kept) + (f" … and {more:,} more characters" if more > 0 else "")
