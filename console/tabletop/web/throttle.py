"""Slows down whoever guesses codes, each client by itself.

A code has 80 bits, so no guesser ever finds one, however many guess together; the delays keep the server quiet. There is none
that all clients share, for by it guessers could keep everybody else out. A client that waits out its delay is heard again,
and whoever joined is never slowed: only the door is guarded.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

FREE_TRIES = 3
"""Wrong codes in a row that cost nothing: people mistype."""
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
FORGET_AFTER_S = 900.0
"""A client that was quiet for this long starts afresh."""
CLIENTS = 4096
"""Clients that are remembered at once; the one that was quiet longest is forgotten first."""


@dataclass
class _Client:
    failures: int = 0
    seen: float = 0.0
    free_at: float = 0.0


@dataclass
class Throttle:
    """Counts wrong codes. Times are seconds of any monotonic clock."""

    _clients: OrderedDict[str, _Client] = field(default_factory=OrderedDict)

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until a code from this address is looked at again; 0.0 if it is now."""
        client = self._clients.get(_network(address))
        return max(0.0, client.free_at - now) if client else 0.0

    def failed(self, address: str, now: float) -> None:
        """A wrong code was looked at. Codes that were refused unseen do not count, else a guesser could block all."""
        client = self._client(address, now)
        client.failures += 1
        over = client.failures - FREE_TRIES
        client.free_at = now + min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(over, 30)) if over >= 0 else now

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


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 machine may roam in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
