"""What people do: every form becomes an event of the exercise, or a refusal that says why."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from turncoat.agent.exercise.telling import line_of
from turncoat.scenarios.errors import InputError

from .forms import ForPerson, ForRole, checked
from .render import ROLE_WORDS
from .seats import NoSuchPage, form_of, role_of, room_of, seat_of

MANY = frozenset({"to"})
"""Fields of which every value counts; of the others the last one does."""

router = APIRouter()


@router.post("/{role}/do/{kind}")
async def do(request: Request, role: str, kind: str) -> Response:
    """An action of a player or of the facilitator."""
    seat, room = seat_of(request, role), room_of(request)
    given = await form_of(request, seat)
    fields: dict[str, Any] = {name: values if name in MANY else values[-1] for name, values in given.items()}
    events = room.exercise.act(seat.role, kind, fields, seat.session.name)
    room.touch()
    own = [event for event in events if event.source == seat.role]
    words = line_of(own[-1], room.exercise.material).told if own else "Done."
    return answered(request, seat.role, words)


@router.post("/{role}/open")
async def open_case(request: Request, role: str) -> Response:
    """Opens a case and shows it."""
    seat, room = seat_of(request, role), room_of(request)
    uid = (await form_of(request, seat)).get("uid", [""])[-1]
    if room.alert(seat.role, uid) is None:
        raise NoSuchPage
    room.exercise.act(seat.role, "open", {"uid": uid}, seat.session.name)
    room.touch()
    return RedirectResponse(request.url_for("case_page", role=seat.role, uid=uid).path, status_code=303)


@router.post("/facilitator/renew")
async def renew(request: Request) -> Response:
    """A new code for a role, on the terminal."""
    seat, room = seat_of(request, "facilitator"), room_of(request)
    role = _role(checked(ForRole, await form_of(request, seat)))
    request.app.state.tell_code(role, room.access.issue(role))
    room.stir()
    return answered(request, seat.role, f"The new code for {ROLE_WORDS[role]} is on the terminal.")


@router.post("/facilitator/revoke")
async def revoke(request: Request) -> Response:
    """From now on nobody joins as that role."""
    seat, room = seat_of(request, "facilitator"), room_of(request)
    role = _role(checked(ForRole, await form_of(request, seat)))
    room.access.revoke(role)
    room.stir()
    return answered(request, seat.role, f"Nobody joins as {ROLE_WORDS[role]} any more.")


@router.post("/facilitator/remove")
async def remove(request: Request) -> Response:
    """Shows somebody the door."""
    seat, room = seat_of(request, "facilitator"), room_of(request)
    person = room.access.remove(checked(ForPerson, await form_of(request, seat)).id)
    if person is None:
        raise InputError.at("id", "nobody of that name is in the room", "load the page again")
    room.close_viewers(person.id)
    room.stir()
    return answered(request, seat.role, f"{person.name} was removed.")


def answered(request: Request, role: str, words: str, status: int = 200, version: str = "") -> Response:
    """The answer to a form: a line for a page that stays as it is, or the way back for a browser without scripts.

    `version` is what the page's form has to name when it is sent again, where it names one.
    """
    pages, home = room_of(request).pages, f"/{role}/" if role else "/"
    if request.headers.get("hx-request") == "true":
        told = {"words": words, "fault": status >= 400, "version": version}
        return HTMLResponse(pages.html("answer.html", told), status)
    if status < 400:
        return RedirectResponse(home, status_code=303)
    values = {"heading": "That did not work", "words": words, "fault": True, "back": home,
              "back_words": "Back to the room"}  # fmt: skip
    return HTMLResponse(pages.html("message.html", values), status)


def _role(form: ForRole) -> str:
    try:
        return role_of(form.role)
    except NoSuchPage:
        raise InputError.at("role", "there is no such role", "choose one of the page") from None
