"""The board and its event streams: every change once, in order, also for a browser that was away or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from turncoat.console.tabletop.web.board import KEPT_MESSAGES, WAITING_MESSAGES, Board, Viewer
from turncoat.console.tabletop.web.guard import Message
from turncoat.console.tabletop.web.stream import EventStream


async def taken(viewer: Viewer) -> list[str]:
    """Everything that waits for a viewer."""
    found = []
    while (message := await viewer.next(0.001)) is not None:
        found.append(message.text.decode())
    return found


def numbered(texts: Sequence[str]) -> list[int]:
    return [int(text.splitlines()[0].rpartition(".")[2]) for text in texts]


def shown(count: int = 1) -> Board:
    board = Board()
    for number in range(count):
        board.show({"clock": f"<p>{number}</p>", "log": "<p>log</p>"})
    return board


def test_a_viewer_of_the_present_state_gets_only_what_changes() -> None:
    async def play() -> list[str]:
        board = shown()
        viewer = board.join("ada", board.mark)
        board.show({"clock": "<p>1</p>", "log": "<p>log</p>"})
        board.show({"clock": "<p>1</p>"})
        return await taken(viewer)

    (text,) = asyncio.run(play())
    assert '<hx-partial hx-target="#clock" hx-swap="innerMorph"><p>1</p></hx-partial>' in text
    assert "log" not in text
    assert text.startswith("id: ")
    assert text.endswith("\n\n")


def test_a_browser_that_comes_back_gets_what_it_missed_in_order() -> None:
    async def play() -> tuple[list[int], int]:
        board = shown(3)
        mark = board.mark
        for number in range(10, 15):
            board.show({"clock": f"<p>{number}</p>"})
        return numbered(await taken(board.join("ada", mark))), board.version

    versions, last = asyncio.run(play())
    assert versions == [4, 5, 6, 7, 8]
    assert last == 8


def test_a_mark_of_another_process_or_of_nonsense_brings_everything() -> None:
    async def play(mark: str) -> list[str]:
        board = shown(3)
        return await taken(board.join("ada", mark))

    for mark in ("", "beefbeef.2", "x", ".", "9" * 50, shown(3).mark, "é.²"):
        (text,) = asyncio.run(play(mark))
        assert "<p>2</p>" in text
        assert "<p>log</p>" in text


def test_a_mark_from_too_long_ago_or_from_the_future_brings_everything() -> None:
    async def play(number: int) -> list[int]:
        board = shown(2)
        boot = board.mark.partition(".")[0]
        for step in range(KEPT_MESSAGES + 20):
            board.show({"clock": f"<p>step {step}</p>"})
        return numbered(await taken(board.join("ada", f"{boot}.{number}")))

    last = 2 + KEPT_MESSAGES + 20
    assert asyncio.run(play(3)) == [last]
    assert asyncio.run(play(last + 1)) == [last]
    assert asyncio.run(play(last)) == []
    assert asyncio.run(play(last - 2)) == [last - 1, last]


def test_a_slow_viewer_holds_a_bounded_queue_and_then_gets_everything() -> None:
    async def play() -> tuple[int, list[str], list[int]]:
        board = shown()
        viewer = board.join("ada", board.mark)
        for number in range(WAITING_MESSAGES + 30):
            board.show({"clock": f"<p>late {number}</p>"})
        held = len(viewer._waiting)
        first = await taken(viewer)
        board.show({"clock": "<p>after</p>"})
        return held, first, numbered(await taken(viewer))

    held, first, after = asyncio.run(play())
    assert held == 0
    assert len(first) == 1
    assert f"late {WAITING_MESSAGES + 29}" in first[0]
    assert "<p>log</p>" in first[0]
    assert after == [WAITING_MESSAGES + 32]


def test_line_breaks_of_a_panel_cannot_end_an_event() -> None:
    async def play() -> list[str]:
        board = shown()
        viewer = board.join("ada", board.mark)
        board.show({"log": "<p>a\n\nevent: evil\r\rdata: x</p>"})
        return await taken(viewer)

    (text,) = asyncio.run(play())
    assert text.count("\n\n") == 1
    assert "\r" not in text
    assert all(line.startswith(("id: ", "data: ")) for line in text.strip().split("\n"))


def test_the_stream_sends_its_head_then_messages_and_leaves_when_the_browser_does() -> None:
    async def play() -> tuple[list[Message], int]:
        board = shown()
        viewer = board.join("ada", board.mark)
        sent: list[Message] = []
        away = asyncio.Event()

        async def receive() -> Message:
            await away.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        running = asyncio.ensure_future(EventStream(viewer)({"type": "http"}, receive, send))
        await asyncio.sleep(0.01)
        board.show({"clock": "<p>new</p>"})
        await asyncio.sleep(0.01)
        away.set()
        await asyncio.wait_for(running, 1)
        return sent, len(board.viewers)

    sent, viewers = asyncio.run(play())
    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert b"<p>new</p>" in sent[2]["body"]
    assert viewers == 0


def test_a_closed_stream_ends_by_itself() -> None:
    async def play() -> list[Message]:
        board = shown()
        viewer = board.join("ada", board.mark)
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        running = asyncio.ensure_future(EventStream(viewer)({"type": "http"}, receive, send))
        await asyncio.sleep(0.01)
        viewer.close()
        await asyncio.wait_for(running, 1)
        return sent

    assert asyncio.run(play())[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
