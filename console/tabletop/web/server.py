"""Runs the room: a socket, the pump that keeps the clock going, and what the terminal shows."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from pathlib import Path

import uvicorn

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import ROLES
from turncoat.scenarios.errors import RunError

from ...output import print_json_line, results
from ...terminal import plain
from .access import Access
from .app import application
from .binding import DEFAULT_PORT, Binding
from .patience import CONNECTIONS, PatientProtocol
from .render import ROLE_WORDS, Pages
from .reports import Render, Reports
from .room import Room
from .statics import Statics

ACCESS_FILE = "room.json"
PUMP_S = 0.25
"""Time between two looks at the clock."""
GATHER_S = 0.04
"""Time in which changes gather before they are published together."""
RETRY_S = 2.0
AGAIN_S = 600.0
HEADER_BYTES = 16 << 10
GOODBYE_S = 3


def serve(
    exercise: Exercise,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    tls_cert: str = "",
    tls_key: str = "",
    insecure: bool = False,
    report: Render,
    names: tuple[str, ...] = (),
    new_codes: bool = False,
    as_json: bool = False,
) -> None:
    """Serves an exercise to a room, until Ctrl-C.

    Args:
        exercise: Opened; stays open.
        host: Address to listen on.
        port: Port; 0 for any free one.
        tls_cert: PEM file with the certificate; empty for none.
        tls_key: PEM file with its key.
        insecure: Whether another address than loopback may be served without TLS.
        report: Renders the after-action report and returns the HTML file.
        names: Further names by which browsers reach the server, such as `exercise.example.org`.
        new_codes: Whether codes of an earlier start shall no longer work.
        as_json: Whether the terminal gets JSON lines instead of text.

    Raises:
        InputError: It cannot listen there, or must not.
        RunError: `room.json` in the exercise's folder is not ours.
    """
    binding = Binding(host, port, tls_cert, tls_key, insecure, names)
    binding.check()
    access = Access(exercise.path / ACCESS_FILE, ROLES, time.time)
    with binding.listen() as listening:
        bound: int = listening.getsockname()[1]
        teller = Teller(as_json)
        statics = Statics()
        room = Room(exercise, access, Pages(statics), Reports(exercise, report), teller.trouble)
        app = application(
            room, statics, scheme=binding.scheme, hosts=binding.hosts(bound), port=bound, tell_code=teller.code
        )
        teller.begin(binding.address(bound), exercise.path, _codes(access, new_codes))
        config = uvicorn.Config(
            app, http=PatientProtocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, limit_concurrency=CONNECTIONS, h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=30, timeout_graceful_shutdown=GOODBYE_S,
            ssl_certfile=tls_cert or None, ssl_keyfile=tls_key or None,
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):  # that is how a room is closed
            asyncio.run(_run(uvicorn.Server(config), room, listening))


async def _run(server: uvicorn.Server, room: Room, listening: socket.socket) -> None:
    """Until Ctrl-C. A clock that broke ends it too: a room whose clock stands still without a word would be worse."""
    pumping = asyncio.ensure_future(_pump(server, room))
    pumping.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await server.serve(sockets=[listening])
    pumping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pumping


async def _pump(server: uvicorn.Server, room: Room) -> None:
    """Keeps the clock going. A log that cannot be written stops it, and is tried again."""
    while True:
        try:
            room.exercise.advance(time.monotonic())
        except (OSError, RunError) as fault:
            room.trouble(fault)
            await asyncio.sleep(RETRY_S)
        begun = time.monotonic()
        room.publish()
        if server.should_exit:
            return room.close_viewers()  # else they would keep the server until it loses patience
        # However much happens, publishing takes a third of the time at most, and forms get the rest.
        await room.rest(max(GATHER_S, 2 * (time.monotonic() - begun)), PUMP_S)


def _codes(access: Access, new: bool) -> dict[str, str]:
    """Codes to show: those of a first start, or new ones. Those that were shown before are not known any more."""
    return access.issue_each(ROLES) if new or not access.known else {}


class Teller:
    """What the terminal of whoever runs the server shows: the address, codes, and trouble."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._told: dict[str, float] = {}

    def begin(self, address: str, folder: Path, codes: dict[str, str]) -> None:
        """At the beginning, once the socket listens."""
        if self._json:
            return print_json_line({"address": address, "folder": str(folder), "codes": codes})
        console = results()
        console.print(f"The room is open at {plain(address)}", soft_wrap=True)
        if codes:
            console.print("\nCode of each role; give a role's code to its players alone:\n")
            for role, code in codes.items():
                console.print(f"  {ROLE_WORDS[role]:<12}  {code}")
            console.print()
        else:
            console.print("Codes of the first start still open it; --new-codes makes others.")
        console.print("Ctrl-C closes the room. To open it again where it was:")
        console.print(f"  turncoat tabletop --serve --out {plain(str(folder), 4_096)}", soft_wrap=True)
        return None

    def code(self, role: str, code: str) -> None:
        """A new code that the facilitator asked for."""
        if self._json:
            return print_json_line({"role": role, "code": code})
        return results().print(f"New code, {ROLE_WORDS[role]}: {code}")

    def trouble(self, fault: Exception) -> None:
        """Something that whoever runs the server has to mend; the same thing is told once in ten minutes."""
        words, now = str(fault), time.monotonic()
        if now - self._told.get(words, -math.inf) < AGAIN_S:
            return None
        self._told[words] = now
        if self._json:
            return print_json_line({"trouble": words})
        return results().print(f"The exercise cannot be recorded: {plain(words)}. Make room; it goes on by itself.",
                               soft_wrap=True)  # fmt: skip
