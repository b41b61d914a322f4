"""Who asks: a cookie per role, so that one browser may hold several seats, and no seat opens the page of another role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from turncoat.agent.exercise.records import ROLES, Role
from turncoat.scenarios.errors import InputError

from .access import SESSION_LASTS_S, Admitted, Session
from .forms import fields
from .room import Room


@dataclass(frozen=True)
class Seat:
    """Somebody in the room, as the server knows them."""

    role: Role
    session: Session


class NotSeated(Exception):
    """The request comes from nobody who has that role."""


class NoSuchPage(Exception):
    """There is nothing there, or nothing that this role may know of: the answer is the same."""


def room_of(request: Request) -> Room:
    """The room that this server runs."""
    return cast(Room, request.app.state.room)


def role_of(word: str) -> Role:
    """The role of an address. Raises NoSuchPage for any other word."""
    for role in ROLES:
        if role == word:
            return role
    raise NoSuchPage


def seat_of(request: Request, role: str) -> Seat:
    """Whoever asks for a page of that role.

    Raises:
        NoSuchPage: There is no such role.
        NotSeated: Whoever asks has not joined as it, or was removed.
    """
    known = role_of(role)
    session = room_of(request).access.session(request.cookies.get(_cookie(request, known), ""), known)
    if session is None:
        raise NotSeated
    return Seat(known, session)


async def form_of(request: Request, seat: Seat) -> dict[str, list[str]]:
    """The fields of a form that a page of that seat sent, without its token.

    Raises:
        InputError: It is none of ours.
    """
    given = await fields(request)
    token = given.pop("form-token", [""])[-1]
    if not room_of(request).access.sealed(seat.role, token):
        raise InputError.at("form", "is not from this room's pages", "load the page again")
    return given


def seated(request: Request, admitted: Admitted, response: Response) -> Response:
    """The response, with the cookie that seats whoever gets it."""
    role = role_of(admitted.session.role)
    response.set_cookie(
        _cookie(request, role), admitted.token, max_age=int(SESSION_LASTS_S), path=f"/{role}/",
        secure=_secure(request), httponly=True, samesite="strict",
    )  # fmt: skip
    return response


def unseated(request: Request, role: Role, response: Response) -> Response:
    """The response, with the cookie taken away."""
    response.delete_cookie(
        _cookie(request, role), path=f"/{role}/", secure=_secure(request), httponly=True, samesite="strict"
    )
    return response


def _secure(request: Request) -> bool:
    return bool(request.app.state.tls)


def _cookie(request: Request, role: Role) -> str:
    """Cookies do not heed ports, so the name does: two rooms on one machine do not unseat each other's people."""
    prefix = "__Secure-" if _secure(request) else ""
    return f"{prefix}turncoat-{request.app.state.port}-{role}"
