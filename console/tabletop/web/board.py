"""What a page shows, as panels of HTML, and who is looking: every change goes to every viewer once, in order.

A board belongs to one role, so nothing on it needs filtering later. Each change gets the next version, and versions are the ids
of the event stream. A browser that comes back names the last one it had: it gets what it missed, or everything if that is too
long ago or from before a restart.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KEPT_MESSAGES = 256
KEPT_BYTES = 4 << 20
"""How much of the past a board keeps for browsers that come back."""
WAITING_MESSAGES = 128
"""How far one viewer may fall behind before it gets everything afresh instead."""


@dataclass(frozen=True)
class Message:
    """One entry of the event stream."""

    version: int
    text: bytes


class Viewer:
    """One open event stream. It holds at most `WAITING_MESSAGES` messages, each shared with the other viewers."""

    def __init__(self, board: Board, session_id: str, waiting: Iterable[Message]) -> None:
        self.session_id = session_id
        self.since_s = time.monotonic()
        self._board = board
        self._waiting = deque(waiting)
        self._stirred = asyncio.Event()
        self._lost = False
        self.closed = False

    def give(self, message: Message) -> None:
        """Queues a message, or notes that this viewer is too slow for single ones."""
        if len(self._waiting) >= WAITING_MESSAGES:
            self._waiting.clear()
            self._lost = True
        if not self._lost:
            self._waiting.append(message)
        self._stirred.set()

    def close(self) -> None:
        """Ends the stream after what is being sent."""
        self.closed = True
        self._stirred.set()

    async def next(self, patience_s: float) -> Message | None:
        """The next message; None if there is none within the time, or if the stream is closed."""
        if not self._waiting and not self._lost and not self.closed:
            try:
                await asyncio.wait_for(self._stirred.wait(), patience_s)
            except TimeoutError:
                return None
        self._stirred.clear()
        if self.closed:
            return None
        if self._lost:
            self._lost = False
            return self._board.everything()
        return self._waiting.popleft() if self._waiting else None

    def leave(self) -> None:
        """The browser is gone."""
        self.closed = True
        self._board.viewers.discard(self)


class Board:
    """The panels of one page."""

    def __init__(self) -> None:
        self.version = 0
        self.viewers: set[Viewer] = set()
        self.panels: dict[str, str] = {}
        self._boot = secrets.token_hex(4)
        self._kept: deque[Message] = deque()
        self._kept_bytes = 0

    @property
    def mark(self) -> str:
        """Names this board and its present state; what a page was rendered from, it hands to its event stream."""
        return f"{self._boot}.{self.version}"

    def show(self, panels: Mapping[str, str], said: str = "") -> None:
        """Takes over panels. Those that differ go to all viewers, as one message.

        Args:
            panels: Name -> inner HTML, safe to insert; panels that are not named stay as they are.
            said: HTML for screen readers, about what has just become visible.
        """
        changed = {name: html for name, html in panels.items() if self.panels.get(name) != html}
        if not changed:
            return
        first = not self.panels
        self.panels |= changed
        self.version += 1
        if first:
            return
        message = Message(self.version, self._encode(changed, said))
        self._keep(message)
        for viewer in self.viewers:
            viewer.give(message)

    def join(self, session_id: str, last_mark: str) -> Viewer:
        """A viewer that gets whatever came after that mark."""
        viewer = Viewer(self, session_id, self._since(last_mark))
        self.viewers.add(viewer)
        return viewer

    def everything(self) -> Message:
        """All panels as they are now."""
        return Message(self.version, self._encode(self.panels, ""))

    def _since(self, last_mark: str) -> list[Message]:
        boot, _, number = last_mark.partition(".")
        if boot != self._boot or not number.isascii() or not number.isdigit() or len(number) > 12:
            return [self.everything()]
        seen = int(number)
        if seen == self.version:
            return []
        oldest = self._kept[0].version if self._kept else self.version + 1
        if not oldest - 1 <= seen < self.version:
            return [self.everything()]
        missed = [message for message in self._kept if message.version > seen]
        return missed if len(missed) < WAITING_MESSAGES else [self.everything()]

    def _keep(self, message: Message) -> None:
        self._kept.append(message)
        self._kept_bytes += len(message.text)
        while len(self._kept) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().text)

    def _encode(self, panels: Mapping[str, str], said: str) -> bytes:
        parts = [_partial(name, html) for name, html in panels.items()]
        if said:
            parts.append(f'<hx-partial hx-target="#said" hx-swap="innerHTML">{said}</hx-partial>')
        lines = "\n".join(parts).splitlines()
        text = "".join(f"data: {line}\n" for line in lines)
        return f"id: {self.mark}\n{text}\n".encode()


def _partial(name: str, html: str) -> str:
    """Morphing keeps focus, scroll position and half-typed text where the panel is redrawn."""
    return f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>'
