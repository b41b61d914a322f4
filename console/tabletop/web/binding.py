"""Where the room listens, and by which names browsers may call it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from turncoat.scenarios.errors import InputError, Mistake

DEFAULT_PORT = 8750
BACKLOG = 128


@dataclass(frozen=True)
class Binding:
    """An address, and how it is protected."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 for any free one."""
    tls_cert: str = ""
    tls_key: str = ""
    insecure: bool = False
    names: tuple[str, ...] = ()
    """Further names, with a port where it is another one, by which browsers reach the server."""

    @property
    def tls(self) -> bool:
        return bool(self.tls_cert)

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def check(self) -> None:
        """Refuses what would send codes and cookies in the clear through a network.

        Raises:
            InputError: An option is wrong or missing; lists all of it.
        """
        mistakes = []
        if bool(self.tls_cert) != bool(self.tls_key):
            missing = "--tls-key" if self.tls_cert else "--tls-cert"
            mistakes.append(Mistake(missing, "is missing", "give both the certificate and its key, as PEM files"))
        elif self.tls:
            mistakes += self._certificate_mistakes()
        if not self.tls and not self.insecure and not is_loopback(self.host):
            mistakes.append(
                Mistake(
                    "--host",
                    f"{self.host} is reachable from other machines, and codes would travel unencrypted",
                    "give --tls-cert and --tls-key, or say --insecure on a network that you trust",
                )
            )
        if mistakes:
            raise InputError(*mistakes)

    def _certificate_mistakes(self) -> list[Mistake]:
        options = (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key))
        missing = [Mistake(option, f"{name} is no file", "name a PEM file") for option, name in options
                   if not Path(name).is_file()]  # fmt: skip
        if missing:
            return missing
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key, _no_password)
        except (ssl.SSLError, OSError) as fault:
            reason = getattr(fault, "reason", None) or fault.strerror or "unreadable"
            return [Mistake("--tls-cert", f"certificate and key cannot be used ({reason})",
                            "give an unencrypted PEM key and the certificate that belongs to it")]  # fmt: skip
        return []

    def listen(self) -> socket.socket:
        """A socket that listens there.

        Raises:
            InputError: The address is not this machine's, or the port is taken.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except (OSError, UnicodeError) as fault:
            raise InputError.at("--host", f"{self.host!r} is no address of this machine", "try 127.0.0.1") from fault
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError as fault:
            listening.close()
            place = "--port" if fault.errno in (13, 98, 48) else "--host"
            cure = "choose another, or 0 for any free one" if place == "--port" else "try 127.0.0.1"
            raise InputError.at(place, f"cannot listen on {self.host}:{self.port} ({fault.strerror})", cure) from fault
        listening.setblocking(False)
        return listening

    def address(self, port: int) -> str:
        """The address to give to people, `http://127.0.0.1:8765`."""
        if self.names:
            name = self.names[0]
            return f"{self.scheme}://{name if _has_port(name) else f'{name}:{port}'}"
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def hosts(self, port: int) -> frozenset[str]:
        """What a browser may send as Host, in small letters."""
        names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), *self.names}
        names |= {self.host} - {"0.0.0.0", "::"}
        spelled = {f"[{name}]" if ":" in name and _is_address(name) else name for name in names}
        full = {name if _has_port(name) else f"{name}:{port}" for name in spelled}
        standard = 443 if self.tls else 80
        bare = {name.removesuffix(f":{standard}") for name in full}
        return frozenset(name.lower() for name in full | bare)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _has_port(name: str) -> bool:
    head, colon, port = name.rpartition(":")
    return bool(colon) and port.isdigit() and (":" not in head or head.endswith("]"))


def _no_password() -> str:
    """An encrypted key is refused: asking on the terminal would hang a server that nobody watches."""
    return ""
