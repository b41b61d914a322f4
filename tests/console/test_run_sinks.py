from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from turncoat.scenarios.loader import campaign_text

from ..command_line import Call
from .test_past_run import small


class Receiver(ThreadingHTTPServer):
    """Takes everything in, or answers 503 to everything."""

    up = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.taken: list[dict[str, object]] = []


class Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if server.up:
            server.taken.append(json.loads(body))
        self.send_response(200 if server.up else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def campaign(tmp_path: Path) -> str:
    file = tmp_path / "small.yaml"
    file.write_text(campaign_text(small()))
    return str(file)


def test_every_escalation_of_a_run_reaches_the_webhook_once_and_a_second_run_sends_nothing(
    turncoat: Call, tmp_path: Path, campaign: str, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/in"
    command = ("run", campaign, "--variant", "scripted-severity", "--out", str(tmp_path / "run"), "--quiet",
               "--sink", "webhook", "--sink-url", url)  # fmt: skip
    ended = turncoat(*command)
    assert ended.code == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "outcomes.jsonl").read_text().splitlines()]
    escalated = sorted((r["uid"], r["principal"]) for r in rows if r["decision"]["action"] == "escalate")
    assert len(escalated) > 4
    assert sorted((t["uid"], t["principal"]) for t in receiver.taken) == escalated
    assert f"{len(escalated)} delivered, 0 waiting, 0 refused" in ended.stdout
    assert turncoat(*command).code == 0
    assert len(receiver.taken) == len(escalated)


def test_what_a_receiver_that_is_down_did_not_take_is_delivered_by_resume(
    turncoat: Call, tmp_path: Path, campaign: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/in"
    monkeypatch.setattr("turncoat.agent.backoff.LONGEST_S", 0.05)
    receiver.up = False
    run = str(tmp_path / "run")
    ended = turncoat("run", campaign, "--variant", "scripted-severity", "--out", run, "--quiet", "--json",
                     "--sink", "webhook", "--sink-url", url)  # fmt: skip
    assert ended.code == 0
    waiting = json.loads(ended.stdout)["delivery"]["queued"]
    assert waiting > 4
    receiver.up = True
    assert turncoat("resume", run, "--quiet", "--sink-url", url).code == 0
    assert len(receiver.taken) == waiting


def test_the_url_of_a_webhook_is_in_no_file_of_the_run_folder(
    turncoat: Call, tmp_path: Path, campaign: str, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/very-secret-path"
    turncoat("run", campaign, "--variant", "scripted-severity", "--out", str(tmp_path / "run"), "--quiet",
             "--sink", "webhook", "--sink-url", url)  # fmt: skip
    assert len(receiver.taken) > 4
    for file in (tmp_path / "run").iterdir():
        assert b"very-secret-path" not in file.read_bytes()


def test_resuming_a_webhook_run_without_its_url_says_so(
    turncoat: Call, tmp_path: Path, campaign: str, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/in"
    turncoat("run", campaign, "--variant", "scripted-severity", "--out", str(tmp_path / "run"), "--quiet",
             "--sink", "webhook", "--sink-url", url)  # fmt: skip
    ended = turncoat("resume", str(tmp_path / "run"), "--quiet")
    assert ended.code == 2
    assert "url" in ended.stderr
    ended = turncoat("resume", str(tmp_path / "run"), "--quiet", "--sink-url", url, "--planner-url", url)
    assert (ended.code, ended.stderr) == (2, "turncoat: --planner-url: has no use here; leave it out\n")
