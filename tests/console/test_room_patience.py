"""Connections that ask for nothing, and clients that open too many, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvicorn

from turncoat.console.tabletop.web import patience
from turncoat.console.tabletop.web.guard import Receive, Scope, Send

LIMIT_S = 0.3
ASKS = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(2 * LIMIT_S)  # an answer may take longer than a request
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def closed_after(reader: asyncio.StreamReader) -> float:
    """Seconds until the server closes without a word; infinite where it keeps the connection."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with suppress(TimeoutError):
        if await asyncio.wait_for(reader.read(1), 8 * LIMIT_S) == b"":
            return loop.time() - begun
    return float("inf")


def served(play: Callable[[int], Awaitable[object]]) -> object:
    """Plays against a server on a free port."""

    async def run() -> object:
        config = uvicorn.Config(
            answers, http=patience.PatientProtocol, ws="none", lifespan="off", port=0, log_config=None
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            return await play(server.servers[0].sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            await serving

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REQUEST_LIMIT_S", LIMIT_S)
    monkeypatch.setattr(patience, "CONNECTIONS_OF_ONE", 3)


def test_who_never_asks_is_closed_and_so_is_who_asks_letter_by_letter() -> None:
    async def play(port: int) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        silent = await closed_after(reader)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            with suppress(OSError):
                for letter in ASKS[:-2]:
                    writer.write(bytes([letter]))
                    await writer.drain()
                    await asyncio.sleep(LIMIT_S / 4)

        dripping = asyncio.ensure_future(drip())
        slow = await closed_after(reader)
        dripping.cancel()
        writer.close()
        return max(silent, slow)

    assert served(play) < 6 * LIMIT_S  # type: ignore[operator]


def test_a_request_is_answered_however_long_that_takes_and_the_next_one_too() -> None:
    async def play(port: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told = []
        for _ in range(2):
            writer.write(ASKS)
            told.append((await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).split(b"\r\n")[0])
        writer.close()
        return told

    assert served(play) == [b"HTTP/1.1 204 No Content"] * 2


def test_one_address_has_a_share_of_the_places_and_gets_them_back() -> None:
    async def play(port: int) -> tuple[bool, bytes]:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        too_many = await closed_after(reader) < LIMIT_S / 2
        writer.close()
        for _, kept in held:
            kept.close()
        await asyncio.sleep(LIMIT_S / 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKS)
        told = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).split(b"\r\n")[0]
        writer.close()
        return too_many, told

    assert served(play) == (True, b"HTTP/1.1 204 No Content")
