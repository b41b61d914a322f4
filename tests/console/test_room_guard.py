"""What stands before the pages: names, origins, sizes, headers, and where the server may listen at all."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.console.tabletop.web.binding import Binding
from turncoat.console.tabletop.web.guard import MAX_BODY_BYTES, Guard
from turncoat.console.tabletop.web.statics import Statics
from turncoat.scenarios.errors import InputError

from ..agent.exercise.small_exercise import prepared
from .room_calls import HOME, PORT, Rig, browser, rig, seated, streamed

WEB = Path(__file__).parents[2] / "console/tabletop/web"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Exercise.open(prepared(tmp_path_factory.mktemp("exercise"))) as exercise:
        yield rig(exercise)


def asked(room: Rig, ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]], home: str = HOME) -> httpx.Response:
    async def play() -> httpx.Response:
        async with browser(room, home) as person:
            return await ask(person.browser)

    return asyncio.run(play())


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1:9999", "127.0.0.1", "", "localhost:80"]
)
def test_a_foreign_host_gets_nothing(room: Rig, host: str) -> None:
    answer = asked(room, lambda web: web.get("/", headers={"Host": host}))
    assert answer.status_code == 421
    assert "Join" not in answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765", "room.example.org:8765"]
)
def test_a_name_of_ours_is_answered(room: Rig, host: str) -> None:
    assert asked(room, lambda web: web.get("/", headers={"Host": host})).status_code == 200


def test_the_address_at_which_a_request_arrived_is_a_name_of_ours(room: Rig) -> None:
    assert asked(room, lambda web: web.get("/"), "http://192.0.2.7:8765").status_code == 200


@pytest.mark.parametrize(
    ("arrived", "host", "known"),
    [
        (("::ffff:192.0.2.10", 8765), "192.0.2.10:8765", True),  # an IPv4 client where --host is ::
        (("::ffff:192.0.2.10", 8765), "192.0.2.11:8765", False),
        (("192.0.2.10", 80), "192.0.2.10", True),  # browsers leave out the port that goes without saying
        (("192.0.2.10", 8765), "192.0.2.10", False),
        (("2001:db8::1", 80), "[2001:db8::1]", True),
    ],
)
def test_an_address_is_known_in_the_form_that_browsers_give_it(
    arrived: tuple[str, int], host: str, known: bool
) -> None:
    async def never(*_: object) -> None:
        raise AssertionError

    assert Guard(never, "http", frozenset())._known(host, {"server": arrived}) is known


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": HOME, "Sec-Fetch-Site": "cross-site"},
        {"Origin": HOME, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_from_elsewhere_is_refused_before_it_is_read(room: Rig, headers: dict[str, str]) -> None:
    answer = asked(room, lambda web: web.post("/join", data={"code": "x", "name": "y"}, headers=headers))
    assert answer.status_code == 403
    assert "room's own pages" in answer.text


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}])
def test_an_event_stream_is_not_given_to_pages_from_elsewhere(room: Rig, headers: dict[str, str]) -> None:
    async def play() -> tuple[int, str]:
        async with seated(room, "lead", "Stray") as lead:
            return await streamed(room, lead, "/lead/live", **headers)

    assert asyncio.run(play())[0] == 403


def test_a_form_that_is_too_long_is_refused(room: Rig) -> None:
    body = b"code=" + b"x" * MAX_BODY_BYTES
    headers = {"Origin": HOME, "Content-Type": "application/x-www-form-urlencoded"}
    assert asked(room, lambda web: web.post("/join", content=body, headers=headers)).status_code == 413


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"code": "x"}', "application/json"),
        (b"code=x&name=y", "text/plain"),
        (b"\xff\xfe=x", "application/x-www-form-urlencoded"),
        (b"code=%ff&name=y", "application/x-www-form-urlencoded"),
        (b"code=x", "application/x-www-form-urlencoded"),
        (b"code=x&name=y&role=facilitator", "application/x-www-form-urlencoded"),
        (b"code=x&name=%E2%80%AE", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(1000)), "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form_of_ours_is_refused(room: Rig, content: bytes, kind: str) -> None:
    answer = asked(room, lambda web: web.post("/join", content=content, headers={"Origin": HOME, "Content-Type": kind}))
    assert answer.status_code == 422
    assert "role=&quot;alert&quot;" not in answer.text
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(room: Rig, method: str) -> None:
    assert asked(room, lambda web: web.request(method, "/")).status_code == 405


@pytest.mark.parametrize("path", ["/", "/nothing", "/king/", "/static/none.css", "/analyst/", "/docs", "/openapi.json"])
def test_every_answer_carries_the_headers_that_bind_a_browser(room: Rig, path: str) -> None:
    answer = asked(room, lambda web: web.get(path))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


def test_static_files_are_served_under_their_checksum_alone(room: Rig) -> None:
    url = Statics().url("room.css")
    digest = hashlib.sha256((WEB / "static/room.css").read_bytes()).hexdigest()
    assert url == f"/static/room.{digest[:12]}.css"
    answer = asked(room, lambda web: web.get(url))
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/room.css", "/static/..%2Fapp.py", "/static/NOTICE", "/static/"):
        assert asked(room, lambda web, path=path: web.get(path)).status_code == 404  # type: ignore[misc]


def test_vendored_files_are_those_that_the_notice_names() -> None:
    notice = (WEB / "static/NOTICE").read_text()
    named = re.findall(r"^(\S+\.js) .*?SHA-256 ([0-9a-f]{64})$", notice, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in named] == ["htmx.min.js", "hx-sse.min.js"]
    for name, digest in named:
        assert hashlib.sha256((WEB / "static" / name).read_bytes()).hexdigest() == digest


def test_no_template_has_inline_script_or_style() -> None:
    templates = sorted((WEB / "templates").rglob("*.html"))
    assert len(templates) > 20
    for file in templates:
        text = file.read_text()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|hx-on|javascript:", text), file.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), file.name
        assert "| safe" not in text, file.name
        assert "autoescape" not in text, file.name


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "room.example.org"])
def test_another_address_than_loopback_needs_tls_or_a_word(host: str) -> None:
    with pytest.raises(InputError, match=r"--host: .* unencrypted; give --tls-cert and --tls-key, or say --insecure"):
        Binding(host).check()
    Binding(host, insecure=True).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_neither(host: str) -> None:
    Binding(host).check()


def test_half_a_certificate_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--tls-key: is missing"):
        Binding(tls_cert="cert.pem").check()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("no certificate")
    with pytest.raises(InputError, match=r"--tls-key: .* is no file"):
        Binding(tls_cert=str(cert), tls_key=str(key)).check()
    key.write_text("no key")
    with pytest.raises(InputError, match="certificate and key cannot be used"):
        Binding(tls_cert=str(cert), tls_key=str(key)).check()


def test_a_port_that_is_taken_is_a_mistake_with_a_cure() -> None:
    with Binding(port=0).listen() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port: cannot listen on 127.0.0.1:{port} .*choose another"):
            Binding(port=port).listen()
    with pytest.raises(InputError, match="--host: "):
        Binding("192.0.2.77", insecure=True, port=0).listen()


def test_names_with_and_without_a_port_are_taken_as_they_are() -> None:
    hosts = Binding(names=("Room.example.org", "proxy.example.org:8443", "2001:db8::1")).hosts(8765)
    assert {"room.example.org:8765", "proxy.example.org:8443", "[2001:db8::1]:8765"} <= hosts
    assert "room.example.org" not in hosts
    assert "localhost" in Binding().hosts(80)
