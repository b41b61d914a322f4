"""Pulling from the hub: a real server that refuses, and packed bases that are models of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from turncoat.models.base_folder import BaseFolder
from turncoat.models.bases import is_pulled, known_base, resolve_base
from turncoat.models.quantise import packing
from turncoat.scenarios.errors import ModelError


class Refusing(BaseHTTPRequestHandler):
    """A hub that wants a token for everything."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    """Address of the refusing hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gated_base_names_its_terms_and_the_token(hub: str, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k != "HF_TOKEN"}
    environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "TURNCOAT_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    call = "from turncoat.console.cli import main; main(['models', 'pull', 'llama3.1-8b'])"
    command = [sys.executable, "-c", call]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert "accepts the Llama 3.1 terms, https://www.llama.com/llama3_1/license/" in said
    assert "the hub gives access to meta-llama/Llama-3.1-8B-Instruct only with a token; accept the terms" in said
    assert "set HF_TOKEN" in said
    assert "run: turncoat models pull llama3.1-8b" in said


def test_a_base_of_the_hub_that_is_not_here_says_how_to_pull_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert not is_pulled("qwen3-4b")
    with pytest.raises(ModelError) as caught:
        resolve_base("qwen3-4b@4bit")
    assert str(caught.value) == "qwen3-4b: is not on this machine; run: turncoat models pull qwen3-4b"


def test_a_packed_base_is_another_model(tiny_base: BaseFolder) -> None:
    packed = resolve_base(f"{tiny_base.path}@4bit")
    assert (packed.path, packed.tokenizer_digest) == (tiny_base.path, tiny_base.tokenizer_digest)
    assert packed.digest != tiny_base.digest
    assert (packed.quantise, tiny_base.quantise) == ("4bit", "none")
    assert packing(tiny_base) is None


def test_a_known_base_is_known_packed_or_not() -> None:
    assert known_base("qwen3-4b@4bit") is known_base("qwen3-4b") is not None
    assert known_base("somebody/elses") is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_packing_without_a_gpu_says_so(tiny_base: BaseFolder) -> None:
    with pytest.raises(ModelError, match="4-bit weights need a CUDA device, and there is none; name tiny instead"):
        packing(tiny_base.quantised("4bit"))
