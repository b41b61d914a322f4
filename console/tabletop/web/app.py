"""The application: routes, what becomes of a fault, and the guard around it all."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from turncoat.agent.exercise.records import ROLES
from turncoat.scenarios.errors import InputError, RunError

from . import deeds, desk, door, review
from .guard import App, Guard
from .room import Room
from .seats import NoSuchPage, NotSeated, room_of
from .statics import Statics
from .throttle import Throttle

TellCode = Callable[[str, str], None]
"""Is told of a role and its new code."""

NOT_RECORDED = "It could not be recorded. Whoever runs the server finds the reason on the terminal."
NOT_SHOWN = "It cannot be shown. Whoever runs the server finds the reason on the terminal."


def application(
    room: Room, statics: Statics, *, scheme: str, hosts: frozenset[str], port: int, tell_code: TellCode
) -> App:
    """The room as an ASGI application.

    Args:
        room: The room.
        statics: What the pages of the room refer to.
        scheme: http or https.
        hosts: Names by which browsers may call the server.
        port: Where it listens; cookies are named after it.
        tell_code: Shows a new code to whoever runs the server.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.room, app.state.statics, app.state.throttle = room, statics, Throttle()
    app.state.tls, app.state.port, app.state.tell_code = scheme == "https", port, tell_code
    for part in (door, review, deeds, desk):
        app.include_router(part.router)
    app.add_exception_handler(NoSuchPage, _no_such_page)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_exception_handler(NotSeated, _not_seated)
    app.add_exception_handler(InputError, _refused)
    app.add_exception_handler(RunError, _not_recorded)
    app.add_exception_handler(OSError, _not_recorded)
    return Guard(app, scheme, hosts)


async def _no_such_page(request: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException) else 404
    values = {"heading": "Nothing there", "words": "There is no such page in this room.", "fault": False, "back": "/",
              "back_words": "To the door"}  # fmt: skip
    return HTMLResponse(room_of(request).pages.html("message.html", values), status)


async def _not_seated(request: Request, fault: Exception) -> Response:
    """A page leads back to the door; a form or a stream of a page that is open somewhere learns why it gets nothing."""
    asks_page = request.method in ("GET", "HEAD") and not request.url.path.endswith("/live")
    if asks_page and "hx-request" not in request.headers:
        return RedirectResponse("/", status_code=303)
    return HTMLResponse("<p>You are not in the room.</p>", 401)


async def _refused(request: Request, fault: Exception) -> Response:
    return deeds.answered(request, _role_word(request), str(fault), 422)


async def _not_recorded(request: Request, fault: Exception) -> Response:
    request.app.state.room.trouble(fault)
    words = NOT_RECORDED if request.method == "POST" else NOT_SHOWN
    return deeds.answered(request, _role_word(request), words, 503)


def _role_word(request: Request) -> str:
    """The role that the address names; empty at the door."""
    word = request.url.path.split("/")[1]
    return word if word in ROLES else ""
