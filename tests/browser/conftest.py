"""The system's Chromium, a room in a process of its own, and axe-core.

Without them the tests are skipped and say so; where `TURNCOAT_BROWSER` is set, as in CI, that is a failure.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from turncoat.agent.exercise.engine import Exercise

from ..agent.exercise.small_exercise import prepared
from .running_room import RunningRoom

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE_CHECKSUM = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


def without(what: str) -> NoReturn:
    """There is something missing that the tests need."""
    if os.environ.get("TURNCOAT_BROWSER"):
        pytest.fail(f"TURNCOAT_BROWSER is set, and there is no {what}")
    pytest.skip(f"no {what}: pages are not looked at")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window; gone with the module, for Playwright keeps an event loop running in the process."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        without("Chromium on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as `.ci/fetch-axe` leaves it."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/tmp")) / ".cache"
    home = Path(os.environ.get("TURNCOAT_HOME") or Path(cache) / "turncoat")
    found = sorted((home / "tests").glob("axe-core-*.min.js"))
    sound = [file for file in found if hashlib.sha256(file.read_bytes()).hexdigest() == AXE_CHECKSUM]
    if not sound:
        without("axe-core; .ci/fetch-axe fetches it")
    return sound[0].read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def fresh_exercise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exercise that nobody has played; copy it."""
    return prepared(tmp_path_factory.mktemp("exercise"))


@pytest.fixture(scope="module")
def room(fresh_exercise: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRoom]:
    """A room in which nothing has happened yet."""
    with RunningRoom(copied(fresh_exercise, tmp_path_factory)) as running:
        yield running


@pytest.fixture(scope="module")
def playing(fresh_exercise: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRoom]:
    """A room in its second day: alerts on both sides, injects given. The tests of a file share it."""
    folder = copied(fresh_exercise, tmp_path_factory)
    with Exercise.open(folder) as exercise:
        exercise.act("facilitator", "start")
        exercise.act("facilitator", "skip", {"minutes": 1560})
        exercise.act("facilitator", "pause")
    with RunningRoom(folder) as running:
        yield running


def copied(exercise: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exercise in a folder of its own."""
    return Path(shutil.copytree(exercise, tmp_path_factory.mktemp("room") / "exercise"))
