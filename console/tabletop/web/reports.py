"""The after-action report as the room hands it out: rendered when it is asked for, and again when something has changed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from turncoat.agent.exercise.after_action import after_action
from turncoat.agent.exercise.draft import Draft, proposed, read_draft, write_draft
from turncoat.agent.exercise.engine import Exercise
from turncoat.scenarios.errors import InputError

Render = Callable[[Exercise], Path]
"""Writes the report of an exercise and returns its HTML file, beside which lies the Markdown one."""


@dataclass
class Reports:
    """The draft and the report of one exercise."""

    exercise: Exercise
    render: Render
    _made: tuple[int, Draft | None] | None = None
    _file: Path = field(default_factory=Path)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def draft(self) -> Draft:
        """What the facilitator has written so far, or what the figures propose.

        Raises:
            ScenarioError: The file was changed by hand and has mistakes.
        """
        there = read_draft(self.exercise.path)
        return there or proposed(after_action(self.exercise.material, self.exercise.events()))

    def version(self) -> str:
        """Of the draft that lies there; changes with every `keep`."""
        return hashlib.sha256(repr(read_draft(self.exercise.path)).encode()).hexdigest()[:16]

    def keep(self, draft: Draft, version: str) -> None:
        """Writes the draft to the folder.

        Raises:
            InputError: The draft there is not the one of that version: somebody else has written meanwhile.
        """
        if not hmac.compare_digest(version.encode(), self.version().encode()):
            fault = "another page has kept a report since this one was loaded"
            raise InputError.at("review", fault, "copy what you wrote, load the page again, and put it in there")
        write_draft(self.exercise.path, draft)

    def final(self) -> bool:
        """Whether players may read it. A draft that cannot be read is none that anybody has finished."""
        try:
            draft = read_draft(self.exercise.path)
        except InputError:
            return False
        return draft is not None and draft.final and self.exercise.state.mode == "ended"

    async def file(self) -> Path:
        """The HTML file, up to date. The clock of the room goes on meanwhile."""
        async with self._one_at_a_time:
            wanted = (self.exercise.state.seq, read_draft(self.exercise.path))
            if self._made != wanted:
                self._file = await asyncio.to_thread(self.render, self.exercise)
                self._made = wanted
            return self._file
