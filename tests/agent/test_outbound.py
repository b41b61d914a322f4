from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpcore
import pytest

from turncoat.agent.outbound import MAX_BODY_BYTES, NoReply, Outbound, checked_url
from turncoat.agent.wire import loopback_addresses
from turncoat.scenarios.errors import InputError

from .servers import Answer, Asked, LocalServer

TOKEN = "s3cret-token-of-ours"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SOC_TOKEN", TOKEN)
    return TOKEN


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "none is given"),
        ("example.org/hook", "neither http nor https"),
        ("ftp://example.org/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://example.org/hook", "http off loopback"),
        ("http://10.0.0.5/hook", "http off loopback"),
        ("http://0.0.0.0/", "http off loopback"),
        ("http://2130706433/", "http off loopback"),
        ("http://127.1/", "http off loopback"),
        ("http://localhost.example.org/", "http off loopback"),
        ("http://127.0.0.1.example.org/", "http off loopback"),
        ("http://127.0.0.1@example.org/", "holds credentials"),
        ("https://alice:pa55@example.org/", "holds credentials"),
        ("https://@example.org/", "holds credentials"),
        ("https:///hook", "names no host"),
        ("https://soc..example/hook", "not a URL"),
        (f"https://{'a' * 64}.example/hook", "not a URL"),
        ("https://example.org:0/", "impossible port"),
        ("https://example.org:99999/", "impossible port"),
        ("https://example.org/a b", "spaces"),
        ("https://example.org/\r\nX: y", "spaces"),
        ("https://exämple.org/", "beyond ASCII"),
        ("https://example.org/#top", "fragment"),
        ("https://example.org/" + "a" * 2048, "longer than 2048"),
        ("http://[::1", "not a URL"),
    ],
)
def test_a_url_that_would_not_be_safe_is_refused_without_being_repeated(url: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as caught:
        Outbound(url)
    assert str(caught.value).startswith("url: ")
    assert "pa55" not in str(caught.value)
    assert "example.org" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c", "http://localhost:8080/", "http://127.9.9.9/", "http://[::1]:80/x"]
)
def test_https_anywhere_and_http_on_loopback_are_fine(url: str) -> None:
    assert checked_url(url).scheme in ("http", "https")


def test_a_name_counts_as_loopback_only_if_all_that_it_resolves_to_is() -> None:
    assert set(loopback_addresses("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(httpcore.ConnectError, match="not on loopback"):
        loopback_addresses("192.0.2.1", 80)


def test_a_body_arrives_with_its_headers_and_the_token(token: str) -> None:
    with LocalServer(lambda asked: Answer(202, b"taken")) as server:
        outbound = Outbound(server.url, token_env="SOC_TOKEN")
        reply = outbound.post(b'{"a":1}', {"Idempotency-Key": "k"})
        outbound.close()
    (asked,) = server.asked
    assert (reply.status, reply.body, reply.whole, reply.retry_after_s) == (202, b"taken", True, None)
    assert (asked.path, asked.body) == ("/hook", b'{"a":1}')
    assert asked.headers["authorization"] == f"Bearer {token}"
    assert (asked.headers["idempotency-key"], asked.headers["content-type"]) == ("k", "application/json")
    assert "cookie" not in asked.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, token: str) -> None:
    with LocalServer(lambda asked: Answer()) as elsewhere:
        target = elsewhere.url
        with LocalServer(lambda asked: Answer(status, headers={"Location": target})) as server:
            assert Outbound(server.url, token_env="SOC_TOKEN").post(b"{}").status == status
    assert len(server.asked) == 1
    assert elsewhere.asked == []


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(lambda asked: Answer(500)) as proxy, LocalServer(lambda asked: Answer()) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert Outbound(server.url).post(b"{}").status == 200
    assert proxy.asked == []


def test_cookies_are_not_kept() -> None:
    with LocalServer(lambda asked: Answer(headers={"Set-Cookie": "id=7; Path=/"})) as server:
        outbound = Outbound(server.url)
        outbound.post(b"{}")
        outbound.post(b"{}")
    assert all("cookie" not in asked.headers for asked in server.asked)


def test_of_a_huge_body_64_kib_are_read() -> None:
    with LocalServer(lambda asked: Answer(body=b"x" * (1 << 23))) as server:
        reply = Outbound(server.url).post(b"{}")
    assert (len(reply.body), reply.whole, MAX_BODY_BYTES) == (65536, False, 65536)


def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * (1 << 24))
    with LocalServer(lambda asked: Answer(body=bomb, headers={"Content-Encoding": "gzip"})) as server:
        reply = Outbound(server.url).post(b"{}")
    assert reply.body == bomb
    assert not reply.whole
    assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(cut_at=-1), "the connection broke|the reply was cut off"),
        (Answer(cut_at=3, body=b"x" * 400), "the reply was cut off"),
        (Answer(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), "the reply was cut off or is not HTTP"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n"), "the reply was cut off or is not HTTP"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000), "the reply was cut off or is not HTTP"),
    ],
)
def test_whatever_goes_wrong_is_no_reply(answer: Answer, fault: str) -> None:
    with LocalServer(lambda asked: answer) as server, pytest.raises(NoReply, match=fault):
        Outbound(server.url).post(b"{}")


@pytest.mark.parametrize("answer", [Answer(delay_s=9.0), Answer(drip_s=0.05, body=b"x" * 400)])
def test_a_reply_that_stalls_or_drips_is_none_within_the_time_limit(answer: Answer) -> None:
    with LocalServer(lambda asked: answer) as server:
        begun = time.monotonic()
        with pytest.raises(NoReply, match=r"no reply within 0\.3 s"):
            Outbound(server.url, timeout_s=0.3).post(b"{}")
        assert time.monotonic() - begun < 5.0  # it would take nine seconds, or twenty


def test_where_nobody_listens_it_says_so() -> None:
    with LocalServer(lambda asked: Answer()) as server:
        outbound = Outbound(server.url)
    with pytest.raises(NoReply, match="cannot be connected to"):
        outbound.post(b"{}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0", 0.0), ("999999999999", 60.0), ("soon", None), ("-1", None), ("٣", None), ("", None)],
)
def test_retry_after_is_read_and_bounded(text: str, seconds: float | None) -> None:
    with LocalServer(lambda asked: Answer(503, headers={"Retry-After": text.encode().decode("latin-1")})) as server:
        assert Outbound(server.url).post(b"{}").retry_after_s == seconds


@pytest.mark.parametrize(("ahead_s", "least", "most"), [(20, 15.0, 20.0), (-20, 0.0, 0.0), (10**6, 60.0, 60.0)])
def test_retry_after_may_be_a_date(ahead_s: int, least: float, most: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
    with LocalServer(lambda asked: Answer(503, headers={"Retry-After": date})) as server:
        wait = Outbound(server.url).post(b"{}").retry_after_s
    assert wait is not None
    assert least <= wait <= most


def test_a_missing_token_is_named_by_its_variable_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOC_TOKEN", raising=False)
    with pytest.raises(InputError, match="token_env: the environment variable SOC_TOKEN is not set"):
        Outbound("https://example.org/", token_env="SOC_TOKEN")


@pytest.mark.parametrize("given", ["sk-live-0123456789abcdef", "ghp_0123456789abcdef", "A=B", "", " "])
def test_a_token_given_in_place_of_its_variable_is_not_repeated(given: str) -> None:
    if not given:
        assert repr(Outbound("https://example.org/x", token_env=given)) == "Outbound(https://example.org)"
        return
    with pytest.raises(InputError, match="never the token itself") as caught:
        Outbound("https://example.org/", token_env=given)
    assert given not in str(caught.value) or given == " "


@pytest.mark.parametrize("value", ["two words", "a\r\nX-Evil: 1", "schlüssel"])
def test_a_token_that_would_break_a_header_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOC_TOKEN", value)
    with pytest.raises(InputError, match="what SOC_TOKEN holds cannot be sent") as caught:
        Outbound("https://example.org/", token_env="SOC_TOKEN")
    assert value not in str(caught.value)


def test_the_token_is_read_for_each_request(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(lambda asked: Answer()) as server:
        outbound = Outbound(server.url, token_env="SOC_TOKEN")
        outbound.post(b"{}")
        monkeypatch.setenv("SOC_TOKEN", "another-token")
        outbound.post(b"{}")
        monkeypatch.delenv("SOC_TOKEN")
        with pytest.raises(NoReply, match="no longer in the environment"):
            outbound.post(b"{}")
    assert [a.headers["authorization"] for a in server.asked] == [f"Bearer {token}", "Bearer another-token"]


def test_a_token_that_is_echoed_is_struck_out_and_in_no_error(token: str) -> None:
    def echo(asked: Asked) -> Answer:
        if asked.body == b"broken":
            return Answer(raw=b"HTTP/1.1 200 OK\r\n" + asked.headers["authorization"].encode() + b"\r\n\r\n")
        return Answer(400, asked.headers["authorization"].encode())

    with LocalServer(echo) as server:
        outbound = Outbound(server.url, token_env="SOC_TOKEN")
        assert outbound.post(b"{}").body == b"Bearer ***"
        with pytest.raises(NoReply) as caught:
            outbound.post(b"broken")
    assert token not in f"{caught.value!r}{caught.value.__cause__!r}{outbound!r}{vars(outbound)}"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_https_needs_a_certificate_that_the_system_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with LocalServer(lambda asked: Answer(), tls=tls) as server:
        with pytest.raises(NoReply, match="certificate is not trusted"):
            Outbound(server.url).post(b"{}")
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert Outbound(server.url).post(b"{}").status == 200
