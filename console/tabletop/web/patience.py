"""Keeps connections that never ask for anything, and clients that open too many, from shutting the room to everybody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 600
"""Open at once, of all clients together."""
CONNECTIONS_OF_ONE = CONNECTIONS // 2
"""From one address: a whole room may sit behind one, and still no single address takes every place."""
REQUEST_LIMIT_S = 10.0
"""From the first byte that a client could send to the end of a request's headers."""


class PatientProtocol(H11Protocol):
    """uvicorn's own, with a limit of the time in which a request has to arrive and of connections from one address."""

    _of: ClassVar[Counter[str]] = Counter()
    """Address -> its open connections."""
    _address = ""
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request, unless the address has its share."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._of[self._address] += 1
        if self._of[self._address] > CONNECTIONS_OF_ONE:
            transport.close()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room."""
        self._stop_waiting()
        self._of[self._address] -= 1
        if self._of[self._address] <= 0:
            del self._of[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Waits no longer once a request is being answered, and again if what has come is the beginning of another."""
        super().data_received(data)
        if self._answers():
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def _answers(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(REQUEST_LIMIT_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self._answers():
            self.transport.close()
