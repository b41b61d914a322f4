"""A room without a socket: the real application, called as a server would call it, for people with cookies of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import ROLES
from turncoat.console.tabletop.after_action import write_report
from turncoat.console.tabletop.web.access import Access
from turncoat.console.tabletop.web.app import application
from turncoat.console.tabletop.web.binding import Binding
from turncoat.console.tabletop.web.guard import App, Message
from turncoat.console.tabletop.web.render import Pages
from turncoat.console.tabletop.web.reports import Reports
from turncoat.console.tabletop.web.room import Room
from turncoat.console.tabletop.web.statics import Statics

PORT = 8765
HOME = f"http://127.0.0.1:{PORT}"


@dataclass
class Rig:
    """A room and what is around it."""

    room: Room
    app: App
    codes: dict[str, str]
    told: list[tuple[str, str]]
    """New codes that the terminal was told."""
    troubles: list[Exception] = field(default_factory=list)


@dataclass
class Person:
    """A browser with its cookies."""

    browser: httpx.AsyncClient
    role: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.browser.get(path, headers=headers)

    async def post(self, path: str, given: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        """Sends a form as the room's pages do, with the token that they hold."""
        fields = dict(given or {})
        if self.role:
            page = await self.browser.get(f"/{self.role}/")
            found = re.search(r'name="form-token" value="([0-9a-f]+)"', page.text)
            fields["form-token"] = found.group(1) if found else ""
        return await self.browser.post(path, data=fields, headers={"Origin": HOME} | headers)

    async def do(self, kind: str, **given: str) -> httpx.Response:
        return await self.post(f"/{self.role}/do/{kind}", given, **{"HX-Request": "true"})


def rig(exercise: Exercise, scheme: str = "http") -> Rig:
    """The room of an exercise."""

    def render(played: Exercise) -> Path:
        return write_report(played.path, played.material, played.events()).html

    statics, told, troubles = Statics(), list[tuple[str, str]](), list[Exception]()
    access = Access(exercise.path / "room.json", ROLES, lambda: 1_000_000.0)
    codes = {role: access.issue(role) for role in ROLES}
    room = Room(exercise, access, Pages(statics), Reports(exercise, render), troubles.append)
    hosts = Binding(names=("room.example.org",)).hosts(PORT)
    app = application(
        room, statics, scheme=scheme, hosts=hosts, port=PORT, tell_code=lambda role, code: told.append((role, code))
    )
    return Rig(room, app, codes, told, troubles)


@asynccontextmanager
async def browser(rig: Rig, home: str = HOME, address: str = "127.0.0.1") -> AsyncIterator[Person]:
    """Somebody who has not joined."""
    # A browser takes no file descriptors: the application is called in this process.
    transport = httpx.ASGITransport(app=rig.app, client=(address, 50000))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=home) as client:
        yield Person(client)


@asynccontextmanager
async def seated(rig: Rig, role: str, name: str = "") -> AsyncIterator[Person]:
    """Somebody who has joined as that role."""
    async with browser(rig) as person:
        answer = await person.post("/join", {"code": rig.codes[role], "name": name or role.capitalize()})
        assert answer.status_code == 303, answer.text
        person.role = role
        yield person


async def streamed(rig: Rig, person: Person, path: str, seconds: float = 0.05, **headers: str) -> tuple[int, str]:
    """What an event stream says within that time: the status and all that was sent."""
    sent: list[Message] = []
    given = {
        "host": f"127.0.0.1:{PORT}",
        "cookie": "; ".join(f"{c.name}={c.value}" for c in person.browser.cookies.jar),
    }
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in (given | headers).items()]
    where, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": where,
        "raw_path": where.encode(), "query_string": query.encode(), "headers": raw, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    first = True

    async def receive() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(seconds)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(rig.app(scope, receive, send), 10)
    body = b"".join(message.get("body", b"") for message in sent)
    return int(sent[0]["status"]), body.decode()
