"""Requests that leave this machine: to one place, encrypted, bounded in time and size, with a token that stays hidden.

https anywhere; http on loopback alone. Redirects are not followed, proxies and credentials are not taken from the
environment or from ~/.netrc, cookies are not kept. Certificates are checked against the system's store (OpenSSL's
`SSL_CERT_FILE` names another). The bearer token lies in an environment variable and is read for each request.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx

from turncoat.scenarios.errors import InputError

from .wire import Wire, is_loopback

MAX_BODY_BYTES = 1 << 16
MAX_URL_CHARACTERS = 2048
LONGEST_RETRY_AFTER_S = 60.0
CONNECT_S = 5.0
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_TOKEN = re.compile(r"[!-~]{1,4096}")
_SHORTEST_SECRET = 8
"""Characters; a shorter token ("none", for a server that wants none) is no secret and may well be a word of a reply."""


class NoReply(OSError):
    """There was no reply, or none to its end. The text is ours: nothing that the other side sent is in it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Hostile."""

    status: int
    body: bytes = field(repr=False)
    """At most `MAX_BODY_BYTES`, as sent (no encoding is undone); the token is struck out."""
    whole: bool
    """False if the body was longer, or encoded though that was not asked for."""
    retry_after_s: float | None
    """At most `LONGEST_RETRY_AFTER_S`; None if the reply does not say."""


class Outbound:
    """Posts JSON to one URL, one request at a time."""

    def __init__(self, url: str, *, token_env: str = "", timeout_s: float = 10.0) -> None:
        """Looks at everything that can be wrong before a run starts; connects to nothing.

        Args:
            url: Where to; see the module for what is allowed.
            token_env: Name of the environment variable with the bearer token; empty for none.
            timeout_s: For a request from first to last byte; connecting has at most `CONNECT_S` of it.

        Raises:
            InputError: URL or token cannot be used. Neither is in the message.
        """
        self._url = checked_url(url)
        self._token_env = token_env
        self._timeout_s = timeout_s
        if token_env:
            _token(token_env)
        self._turn = threading.Lock()
        self._wire = Wire(tls=self._url.scheme == "https")
        self._client = httpx.Client(
            transport=self._wire,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            headers={"User-Agent": "turncoat", "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    def __repr__(self) -> str:
        return f"Outbound({self.place})"

    @property
    def place(self) -> str:
        """Scheme, host and port: what of the URL may be shown."""
        return f"{self._url.scheme}://{self._url.netloc.decode('ascii')}"

    @property
    def timeout_s(self) -> float:
        return self._timeout_s

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Sends a body of JSON.

        Raises:
            NoReply: Nobody answered, not in time, or not to the end.
        """
        own = {"Content-Type": "application/json", **(headers or {})}
        token = ""
        if self._token_env:
            try:
                token = _token(self._token_env)
            except InputError as fault:
                raise NoReply("the bearer token is no longer in the environment") from fault
            own["Authorization"] = f"Bearer {token}"
        with self._turn:
            self._wire.deadline.start(self._timeout_s)
            try:
                return self._exchange(body, own, token)
            # `from None`: below a refused header stands the header, and in it the token.
            except (httpcore.TimeoutException, httpx.TimeoutException):
                raise NoReply(f"no reply within {self._timeout_s:g} s") from None
            except (httpcore.ConnectError, httpx.ConnectError) as fault:
                raise NoReply(_why_not_connected(fault)) from None
            except (httpcore.NetworkError, httpx.NetworkError):
                raise NoReply("the connection broke") from None
            except (httpcore.ProtocolError, httpx.HTTPError):
                raise NoReply("the reply was cut off or is not HTTP") from None

    def close(self) -> None:
        """Gives back the connection."""
        self._client.close()

    def _exchange(self, body: bytes, headers: Mapping[str, str], token: str) -> Reply:
        with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            read = bytearray()
            for part in response.iter_raw():
                read += part
                if len(read) > MAX_BODY_BYTES:
                    break
            whole = len(read) <= MAX_BODY_BYTES and response.headers.get("content-encoding", "identity") == "identity"
            seen = bytes(read[:MAX_BODY_BYTES])
            if len(token) >= _SHORTEST_SECRET:
                seen = seen.replace(token.encode("ascii"), b"***")
            return Reply(response.status_code, seen, whole, _retry_after_s(response.headers.get("retry-after", "")))


def checked_url(url: str) -> httpx.URL:
    """The URL, if we may send to it.

    Raises:
        InputError: It is malformed, unencrypted off loopback, or carries credentials. Does not repeat the URL.
    """

    def wrong(fault: str, cure: str = "give https://host/path, or http:// on loopback") -> InputError:
        return InputError.at("url", fault, cure)

    if not url:
        raise wrong("none is given")
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise wrong(f"longer than {MAX_URL_CHARACTERS} characters, or with spaces, controls or letters beyond ASCII")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii").strip("[]")
        host.encode("idna")  # as the system will when it looks the name up: no empty part, none that is too long
    except (httpx.InvalidURL, ValueError) as fault:
        raise wrong("not a URL") from fault
    if parsed.scheme not in ("http", "https"):
        raise wrong("neither http nor https")
    if "@" in url.partition("//")[2].partition("/")[0] or parsed.userinfo:
        raise wrong("holds credentials", "keep the token in an environment variable and name that")
    if not host or (parsed.port is not None and not 0 < parsed.port < 1 << 16):
        raise wrong("names no host, or an impossible port")
    if parsed.fragment:
        raise wrong("has a fragment (#...), which no server sees")
    if parsed.scheme == "http" and host != "localhost" and not is_loopback(host):
        raise wrong("http off loopback would send alerts unencrypted", "use https")
    return parsed


def _token(name: str) -> str:
    """The bearer token out of the environment. Neither it nor what may be a token by mistake is ever in a message."""
    if not _NAME.fullmatch(name):
        cure = "give its NAME in capitals, digits and underscores, never the token itself"
        raise InputError.at("token_env", "not the name of an environment variable", cure)
    token = os.environ.get(name, "")
    if not token:
        raise InputError.at("token_env", f"the environment variable {name} is not set", "set it to the bearer token")
    if not _TOKEN.fullmatch(token):
        raise InputError.at(
            "token_env", f"what {name} holds cannot be sent", "printable ASCII without spaces is needed"
        )
    return token


def _retry_after_s(text: str) -> float | None:
    """Seconds to wait, out of a header that anybody may have written. Source: RFC 9110, 10.2.3."""
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        wait_s = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)


def _why_not_connected(fault: Exception) -> str:
    """One of a few sentences: a certificate's own words come from the other side."""
    text = str(fault)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not trusted here"
    if text == "not on loopback":
        return "http, and the name does not resolve to loopback alone"
    return "cannot be connected to"
