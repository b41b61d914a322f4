"""Slows down whoever guesses codes: each client by itself, and all of them together.

A code has 80 bits, so no guesser ever finds one; the delays keep the log readable and the server quiet. A client that waits
out its delay is heard again, and whoever joined is never slowed: only the door is guarded.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field

FREE_TRIES = 3
"""Wrong codes in a row that cost nothing: people mistype."""
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
FORGET_AFTER_S = 900.0
"""A client that was quiet for this long starts afresh."""
CLIENTS = 4096
"""Clients that are remembered at once; the one that was quiet longest is forgotten first."""

WINDOW_S = 60.0
FREE_TRIES_OF_ALL = 20
"""Wrong codes of all clients within `WINDOW_S` from which on everybody waits. One client alone never gets there."""
LONGEST_DELAY_OF_ALL_S = 8.0
"""Short, so that guessers can delay those who belong to the room and never keep them out."""


@dataclass
class _Client:
    failures: int = 0
    seen: float = 0.0
    free_at: float = 0.0


@dataclass
class Throttle:
    """Counts wrong codes. Times are seconds of any monotonic clock."""

    _clients: OrderedDict[str, _Client] = field(default_factory=OrderedDict)
    _failures: deque[float] = field(default_factory=deque)
    _all_free_at: float = 0.0

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until a code from this address is looked at again; 0.0 if it is now."""
        client = self._clients.get(_network(address))
        own = client.free_at if client else 0.0
        return max(0.0, own - now, self._all_free_at - now)

    def failed(self, address: str, now: float) -> None:
        """A wrong code was looked at. Codes that were refused unseen do not count, else a guesser could block all."""
        client = self._client(address, now)
        client.failures += 1
        over = client.failures - FREE_TRIES
        client.free_at = now + _delay(over, LONGEST_DELAY_S) if over >= 0 else now
        self._failures.append(now)
        while self._failures and self._failures[0] < now - WINDOW_S:
            self._failures.popleft()
        over = len(self._failures) - FREE_TRIES_OF_ALL
        if over >= 0:
            self._all_free_at = now + _delay(over, LONGEST_DELAY_OF_ALL_S)

    def succeeded(self, address: str) -> None:
        """A right code came from this address."""
        self._clients.pop(_network(address), None)

    def _client(self, address: str, now: float) -> _Client:
        network = _network(address)
        client = self._clients.pop(network, None)
        if client is None or now - client.seen > FORGET_AFTER_S:
            client = _Client()
        client.seen = now
        self._clients[network] = client
        while len(self._clients) > CLIENTS:
            self._clients.popitem(last=False)
        return client


def _delay(over: int, longest: float) -> float:
    return min(longest, FIRST_DELAY_S * 2.0 ** min(over, 30))


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 machine may roam in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
