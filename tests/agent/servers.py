"""Real HTTP servers on loopback that fail, stall, redirect, answer garbage, cut connections and come back."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the server does about a request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Before the first byte."""
    cut_at: int | None = None
    """Breaks the connection after so many bytes of the body; -1: before the status line."""
    drip_s: float = 0.0
    """Sends byte by byte, the status line too, with so long in between."""
    raw: bytes | None = None
    """Sent in place of everything."""


class LocalServer:
    """Answers each POST as `answer` says; may be stopped and started again on the same port, which it keeps meanwhile."""

    def __init__(self, answer: Callable[[Asked], Answer], *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._port = port
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._kept: socket.socket | None = None
        self.asked: list[Asked] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{'localhost' if self._tls else '127.0.0.1'}:{self._port}/hook"

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # the sender was killed in the middle: an incomplete request, never taken in
                    self.close_connection = True
                    return
                asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with outer._turn:
                    outer.asked.append(asked)
                    answer = outer._answer(asked)
                outer._ended.wait(answer.delay_s)
                try:
                    outer._send(self, answer)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None: ...  # a client that was killed is no news

        self._ended.clear()
        if self._kept:
            self._kept.close()
        self._server = Server(("127.0.0.1", self._port), Handler)
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._kept = _bound(self._port)

    def _send(self, to: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.cut_at == -1:
            _reset(to)
            return
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        head = f"HTTP/1.1 {answer.status} Because\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n"
        whole = head.encode() + answer.body if answer.raw is None else answer.raw
        if answer.cut_at is not None:
            to.wfile.write(whole[: len(head) + answer.cut_at])
            to.wfile.flush()
            to.close_connection = True
            to.connection.shutdown(socket.SHUT_RDWR)
        elif answer.drip_s:
            for first in range(len(whole)):
                to.wfile.write(whole[first : first + 1])
                to.wfile.flush()
                if self._ended.wait(answer.drip_s):
                    return
        else:
            to.wfile.write(whole)
            to.wfile.flush()
            to.close_connection = to.close_connection or answer.raw is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def _bound(port: int) -> socket.socket:
    """Keeps a port from being given to anybody else, and refuses whoever connects to it: it does not listen."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the server are still being taken down
    kept.bind(("127.0.0.1", port))
    return kept


def _reset(to: BaseHTTPRequestHandler) -> None:
    """Ends the connection with RST, as a machine does that crashed."""
    to.close_connection = True
    to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    to.connection.close()


class FlakyReceiver(LocalServer):
    """A receiver of webhooks that knows keys. A share of requests fails before anything is taken in.

    Failures are 503, 500, 429 with Retry-After 0, or a reset connection, drawn from the seed. With `loses_answers`, a share of
    what was taken in is answered with a reset, so that the sender must come again and is answered 409.
    """

    def __init__(
        self,
        failure_rate: float = 0.0,
        seed: int = 0,
        delay_s: float = 0.0,
        *,
        loses_answers: float = 0.0,
        dedupes: bool = True,
        port: int = 0,
    ) -> None:
        self._rng = random.Random(seed)
        self._failure_rate, self._delay_s, self._loses_answers, self._dedupes = (
            failure_rate, delay_s, loses_answers, dedupes,
        )  # fmt: skip
        self.received: dict[str, int] = Counter()
        """Key -> how often its alert was taken in; stays at 1 if keys are known and `dedupes`."""
        self.repeats: dict[str, int] = Counter()
        """Key -> how often it came again after it had been taken in."""
        self.bodies: dict[str, bytes] = {}
        """Key -> body, in the order in which they were taken in."""
        self.changed: set[str] = set()
        """Keys that came again with another body."""
        super().__init__(self._take, port=port)

    def _take(self, asked: Asked) -> Answer:
        if self._rng.random() < self._failure_rate:
            return self._rng.choice(
                (Answer(503), Answer(500), Answer(429, headers={"Retry-After": "0"}), Answer(cut_at=-1))
            )
        key = asked.headers.get("idempotency-key", "")
        if not key:
            return Answer(400)
        if key in self.received:
            self.repeats[key] += 1
            if self.bodies[key] != asked.body:
                self.changed.add(key)
            if self._dedupes:
                return Answer(409)
        self.received[key] += 1
        self.bodies.setdefault(key, asked.body)
        if self._rng.random() < self._loses_answers:
            return Answer(cut_at=-1)
        return Answer(200, b'{"ok": true}', delay_s=self._delay_s)


def wait_until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Waits for something that another thread or process does. Raises AssertionError if it does not."""
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)
