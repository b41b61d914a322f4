"""Stands before every page: who may be asked, by which name, from which page, and with how much.

A page elsewhere in the same browser must neither read nor move the exercise. SameSite cookies stop most of that; the checks of
Host (against names that are pointed at this machine after the fact), of Origin and of Sec-Fetch-Site stop the rest.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 256 << 10
"""The review of the report is the longest form: its fields are percent-encoded, nine bytes a character in some scripts."""
BODY_LIMIT_S = 10.0
METHODS = ("GET", "HEAD", "POST")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script, no inline style, no evaluation, nothing from elsewhere."""
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
    b"cache-control": b"no-store",
}
"""On every answer, unless the answer brings its own."""


@dataclass(frozen=True)
class Guard:
    """Wraps an application; see above."""

    app: App
    scheme: str
    hosts: frozenset[str]
    """As `Binding.hosts` gives them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in METHODS:
            return await _refuse(send, 405, "GET and POST are all that this server knows")
        host = _only(scope, b"host")
        if host is None or not self._known(host.lower(), scope):
            return await _refuse(send, 421, "this server does not go by that name; see --name")
        moves = scope["method"] == "POST"
        if (moves or scope["path"].endswith("/live")) and not self._same_origin(scope, host.lower(), moves):
            return await _refuse(send, 403, "only the room's own pages may do that")
        if not moves:
            return await self.app(scope, receive, send)
        try:
            body = await asyncio.wait_for(_body(receive), BODY_LIMIT_S)
        except TimeoutError:
            return await _refuse(send, 408, "the form did not arrive in time")
        if body is None:
            return await _refuse(send, 413, f"a form holds at most {MAX_BODY_BYTES >> 10} KiB")
        return await self.app(scope, _replay(body, receive), send)

    def _known(self, host: str, scope: Scope) -> bool:
        """A listed name, or the very address at which the request arrived: no foreign name can be that."""
        if host in self.hosts:
            return True
        address, port = scope.get("server") or ("", 0)
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if parsed.version == 6:
            parsed = parsed.ipv4_mapped or parsed  # an IPv4 client of a socket that serves both
        name = f"[{parsed}]" if parsed.version == 6 else f"{parsed}"
        standard = port == {"http": 80, "https": 443}[self.scheme]  # which browsers leave out
        return host == f"{name}:{port}" or (standard and host == name)

    def _same_origin(self, scope: Scope, host: str, moves: bool) -> bool:
        origins = _all(scope, b"origin")
        if origins and origins != [f"{self.scheme}://{host}"]:
            return False
        site = _all(scope, b"sec-fetch-site")
        if site and site != ["same-origin"]:
            return False
        # A form always has an Origin. Reading the stream of one's own page has none, yet browsers say where it is from.
        return bool(origins or site) if moves else True


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message["headers"] = given + [(n, v) for n, v in HEADERS.items() if n not in names]
        await send(message)

    return sending


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None if it is too long."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(parts)
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [body]

    async def receiving() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return receiving


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _only(scope: Scope, name: bytes) -> str | None:
    found = _all(scope, name)
    return found[0] if len(found) == 1 else None


async def _refuse(send: Send, status: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"turncoat: {words}\n".encode()})
