"""The pages that people look at, and the event stream that keeps each of them up to date."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from turncoat.agent.exercise.views import whole_log

from .board import Board
from .room import Room
from .seats import NoSuchPage, Seat, room_of, seat_of
from .stream import EventStream

STREAMS = 12
"""Event streams that one person may have open; the next one closes the oldest, which may be one that nobody reads any more."""

router = APIRouter()


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Style and script; the only thing that browsers may keep."""
    found = request.app.state.statics.get(name)
    if found is None:
        raise NoSuchPage
    return Response(
        found.content, media_type=found.media_type, headers={"Cache-Control": "public, max-age=31536000, immutable"}
    )


@router.get("/{role}/")
async def room_page(request: Request, role: str) -> Response:
    """A role's main page."""
    seat, room = seat_of(request, role), room_of(request)
    template = "facilitator.html" if seat.role == "facilitator" else "player.html"
    return page(room, seat, template, room.board(seat.role), {})


@router.get("/{role}/case/{uid}")
async def case_page(request: Request, role: str, uid: str) -> Response:
    """An alert with its evidence."""
    seat, room = seat_of(request, role), room_of(request)
    board, alert = room.case_board(seat.role, uid), room.alert(seat.role, uid)
    if board is None or alert is None:
        raise NoSuchPage
    return page(room, seat, "case.html", board, {"uid": uid}, alert=alert)


@router.get("/{role}/all")
async def all_page(request: Request, role: str) -> Response:
    """Every alert and the whole log."""
    seat, room = seat_of(request, role), room_of(request)
    log = whole_log(seat.role, room.exercise.material, room.exercise.state)
    return page(room, seat, "all.html", room.board(seat.role), {}, log=log)


@router.get("/{role}/feedback")
async def feedback_page(request: Request, role: str) -> Response:
    """A player's word on the exercise."""
    seat, room = seat_of(request, role), room_of(request)
    if seat.role == "facilitator":
        raise NoSuchPage
    return page(room, seat, "feedback.html", room.board(seat.role), {})


@router.get("/{role}/live")
async def live(request: Request, role: str, since: str = "", uid: str = "") -> Response:
    """What changes on a page from now on, or from where the browser left off."""
    seat, room = seat_of(request, role), room_of(request)
    board = room.case_board(seat.role, uid) if uid else room.board(seat.role)
    if board is None:
        raise NoSuchPage
    for oldest in room.viewers(seat.session.id)[: -STREAMS + 1]:
        oldest.close()
    viewer = board.join(seat.session.id, request.headers.get("last-event-id") or since)
    room.stir()
    return _Stream(EventStream(viewer), room)


class _Stream(Response):
    """Hands the connection over to the event stream."""

    def __init__(self, stream: EventStream, room: Room) -> None:
        super().__init__()
        self._stream, self._room = stream, room

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._stream(scope, receive, send)
        finally:
            self._room.stir()  # somebody is away


def page(room: Room, seat: Seat, template: str, board: Board, query: dict[str, str], **more: Any) -> Response:
    """A whole page, and in it the address of the stream that goes on from what the page shows."""
    stream = f"/{seat.role}/live?{urlencode({'since': board.mark, **query})}"
    panels = {name: Markup(html) for name, html in board.panels.items()}
    values = room.values(seat.role) | {"panels": panels, "stream": stream, "person": seat.session.name}
    return HTMLResponse(room.pages.html(template, values | more))
