"""The network below `outbound`: one deadline over everything a request does, and no name that leaves loopback."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any, cast

import httpcore
import httpx

_SLICE_BYTES = 1 << 14


class Deadline:
    """When the request under way must have ended. The time limits of httpx start anew with every byte that drips in."""

    def __init__(self) -> None:
        self._at = float("inf")

    def start(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Seconds that the next step may take. Raises httpcore.ReadTimeout if there are none."""
        left = self._at - time.monotonic()
        if left <= 0.0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), _SLICE_BYTES):
            self._inner.write(buffer[first : first + _SLICE_BYTES], self._deadline.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline, *, loopback_only: bool) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline
        self._loopback_only = loopback_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        fault: Exception = httpcore.ConnectError("no address")
        # The address that was looked at is the one that is connected to: a name cannot change in between.
        for address in loopback_addresses(host, port) if self._loopback_only else [host]:
            try:
                left = self._deadline.left(timeout)
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectError as error:
                fault = error
            except UnicodeError:
                fault = httpcore.ConnectError("not a name that can be looked up")
        raise fault


def loopback_addresses(host: str, port: int) -> list[str]:
    """What a host resolves to. Raises httpcore.ConnectError unless all of it is loopback."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as fault:
        raise httpcore.ConnectError("unknown host") from fault
    if not all(is_loopback(address) for address in found):
        raise httpcore.ConnectError("not on loopback")
    return list(dict.fromkeys(found))


def is_loopback(host: str) -> bool:
    """Whether it is an address, written out, in 127.0.0.0/8 or ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts

    def close(self) -> None:
        cast("Any", self._parts).close()


class Wire(httpx.BaseTransport):
    """A transport of one connection at a time: HTTP/1.1, no proxy, the certificates of the system.

    What fails raises an exception of httpcore. Looking up a name is bounded by the system's resolver alone.
    """

    def __init__(self, *, tls: bool) -> None:
        self.deadline = Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context() if tls else None,
            max_connections=1,
            network_backend=_Backend(self.deadline, loopback_only=not tls),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        response = self._pool.handle_request(
            httpcore.Request(
                request.method, url, headers=request.headers.raw, content=request.read(), extensions=request.extensions
            )
        )
        parts = cast("Iterable[bytes]", response.stream)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(parts))

    def close(self) -> None:
        self._pool.close()
