"""The door: joining by a code, slowed down for whoever guesses, and leaving."""

from __future__ import annotations

import math
import time

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from turncoat.scenarios.errors import InputError, RunError

from .access import RoomFull
from .forms import Join, checked, fields
from .seats import form_of, role_of, room_of, seat_of, seated, unseated
from .throttle import Throttle

WRONG_CODE = "That code opens nothing. Ask the facilitator."
"""For a wrong code, a revoked one and an old one alike."""
FULL = "The room is full. Ask the facilitator."

router = APIRouter()


@router.get("/")
async def door(request: Request) -> Response:
    """The page at which everybody arrives."""
    return _page(request)


@router.post("/join")
async def join(request: Request) -> Response:
    """Takes a code and a name; a right code seats its role."""
    room, throttle = room_of(request), _throttle(request)
    try:
        form = checked(Join, await fields(request))
    except InputError as fault:
        return _page(request, f"{fault}", status=422)
    address = request.client.host if request.client else ""
    # From here to the count of a failure nothing is awaited, so that many guesses at once are not one guess to the throttle.
    waits = throttle.wait_s(address, time.monotonic())
    if waits > 0:
        seconds = math.ceil(waits)
        words = f"Too many wrong codes. Try again in {seconds} s."
        return _page(request, words, form.name, status=429, headers={"Retry-After": str(seconds)})
    try:
        admitted = room.access.admit(form.code, form.name)
    except RoomFull:
        return _page(request, FULL, form.name, status=503)
    if admitted is None:
        throttle.failed(address, time.monotonic())
        return _page(request, WRONG_CODE, form.name, status=403)
    throttle.succeeded(address)
    role = role_of(admitted.session.role)
    try:
        room.exercise.join(role, form.name)
    except InputError as fault:
        room.access.remove(admitted.session.id)
        return _page(request, f"{fault}", form.name, status=503)
    except (OSError, RunError):
        room.access.remove(admitted.session.id)
        raise
    room.stir()
    return seated(request, admitted, RedirectResponse(f"/{role}/", status_code=303))


@router.post("/{role}/leave")
async def leave(request: Request, role: str) -> Response:
    """Ends the session of whoever asks."""
    seat, room = seat_of(request, role), room_of(request)
    await form_of(request, seat)
    room.access.remove(seat.session.id)
    room.close_viewers(seat.session.id)
    room.stir()
    return unseated(request, seat.role, RedirectResponse("/", status_code=303))


def _page(
    request: Request, fault: str = "", name: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    html = room_of(request).pages.html("join.html", {"fault": fault, "name": name})
    return HTMLResponse(html, status, headers)


def _throttle(request: Request) -> Throttle:
    throttle: Throttle = request.app.state.throttle
    return throttle
