"""The event stream of one viewer as an answer over HTTP. A browser that takes nothing in is let go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .board import Viewer
from .guard import Message, Receive, Scope, Send

BEAT_S = 10.0
"""Time between signs of life, by which a browser notices a connection that died without a word."""
SEND_LIMIT_S = 30.0
"""A browser that leaves its socket full for so long is gone, or might as well be."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_BEAT = b"event: beat\ndata: 1\n\n"


@dataclass(frozen=True)
class EventStream:
    """An ASGI answer that lasts as long as the viewer."""

    viewer: Viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        sending = asyncio.ensure_future(self._send_all(send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.viewer.leave()
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _send(send, _BEAT)
        while not self.viewer.closed:
            message = await self.viewer.next(BEAT_S)
            if not self.viewer.closed:
                await _send(send, message.text if message else _BEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, text: bytes) -> None:
    message: Message = {"type": "http.response.body", "body": text, "more_body": True}
    await asyncio.wait_for(send(message), SEND_LIMIT_S)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
