"""The error tree of turncoat.

TurncoatError                 anything that a person can mend; the command line prints it and exits with 2
├── InputError                a file or an argument is wrong: place, fault, cure
│   ├── ScenarioError         a campaign file; carries every mistake that it found
│   └── ModelError            a base model or an adapter that cannot be trusted or does not fit
└── RunError                  a run cannot start or go on: disk full, folder in use
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Mistake:
    """One fault in a file: where, what, and how to mend it."""

    place: str
    """`file:line:column`, `file`, or the name of an option."""
    fault: str
    cure: str

    def __str__(self) -> str:
        # A path of thousands of letters must not push fault and cure out of the message.
        place = self.place if len(self.place) <= 300 else f"{self.place[:140]}...{self.place[-140:]}"
        text = f"{place}: {self.fault}; {self.cure}" if self.cure else f"{place}: {self.fault}"
        return " ".join(text.splitlines())  # one line per mistake, whatever a path holds


class TurncoatError(Exception):
    """Root of every error that a person can mend."""


class InputError(TurncoatError):
    """One or more mistakes in what was given to us."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(str(m) for m in mistakes))
        self.mistakes: Sequence[Mistake] = mistakes

    @classmethod
    def at(cls, place: object, fault: str, cure: str = "") -> Self:
        """Shorthand for a single mistake."""
        return cls(Mistake(str(place), fault, cure))


class ScenarioError(InputError):
    """A campaign file is wrong; `mistakes` lists all that was found."""


class ModelError(InputError):
    """A base model or adapter is missing, broken, hostile or does not fit."""


class RunError(TurncoatError):
    """A run cannot start or go on."""
