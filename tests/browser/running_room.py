"""`turncoat tabletop --serve` as a user runs it: a process with a socket, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..command_line import PROGRAM

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PATIENCE_MS = 60_000
"""For a browser on a machine that does much else."""


class RunningRoom(AbstractContextManager["RunningRoom"]):
    """A server for the exercise of a folder."""

    def __init__(self, folder: Path, port: int = 0, *options: str) -> None:
        self.folder = folder
        arguments = (*PROGRAM, "tabletop", "--serve", "--json", "--quiet", "--out", str(folder), "--port", str(port))
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            (*arguments, *options),
            cwd=folder.parent,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stderr
        first = self.process.stdout.readline()
        assert first, self.process.stderr.read()
        begun = json.loads(first)
        self.address: str = begun["address"]
        self.codes: dict[str, str] = begun["codes"]
        self.port = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        """As a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def seat(self, browser: Browser, role: str, name: str, context: BrowserContext | None = None) -> Page:
        """Somebody joins in a browser of their own, and looks at a page that is live."""
        from playwright.sync_api import expect

        page = (context or browser.new_context(viewport={"width": 1280, "height": 900})).new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.goto(self.address)
        page.fill("#code", self.codes[role])
        page.fill("#name", name)
        page.get_by_role("button", name="Join").click()
        page.wait_for_url(f"**/{role}/")
        live(page)
        return page

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(120)  # an exercise that has ended leaves its report first
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


def live(page: Page) -> None:
    """Waits until the page's event stream is open."""
    page.wait_for_selector("body[data-connection=live]")
