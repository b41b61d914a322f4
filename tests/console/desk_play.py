"""Plays the exercise at the desk as a person would: with keys, and by looking at the screen."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from turncoat.agent.exercise.engine import Exercise
from turncoat.console.tabletop.desk.app import DeskApp
from turncoat.console.tabletop.desk.screen import DeskScreen

SMALL, LARGE = (80, 24), (160, 50)


class Watch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Player:
    """Somebody at the keyboard."""

    def __init__(self, app: DeskApp, pilot: Pilot[None], watch: Watch) -> None:
        self.app, self._pilot, self._watch = app, pilot, watch
        self.exercise = app.exercise

    @property
    def desk(self) -> DeskScreen:
        return self.app.desk

    @property
    def page(self) -> str:
        """Class of the screen in front."""
        return type(self.app.screen).__name__

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def type(self, words: str) -> None:
        await self.press(*("space" if letter == " " else letter for letter in words))

    async def let_pass(self, seconds: float) -> None:
        """Real seconds, as far as the app can tell."""
        self._watch.now_s += seconds
        self.app.pulse()
        await self._pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await self._pilot.pause()

    def seen(self) -> str:
        """All that is on the screen, line by line."""
        return screen_text(self.app)

    async def begin(self) -> None:
        """Reads the briefing and starts the clock."""
        await self.press("enter")
        assert self.exercise.state.mode == "running"

    async def until_an_alert_is_handed_over(self) -> None:
        """Moves on to the next alert, and reads every notice on the way."""
        before = len(self.exercise.state.known)
        for _ in range(40):
            await self.press("n")
            await self.read_all()
            if len(self.exercise.state.known) > before:
                return
        raise AssertionError("the model hands nothing over")

    async def read_all(self) -> None:
        """Closes notices."""
        while self.page == "Page" and self.exercise.state.mode != "ended":
            await self.press("enter")


def screen_text(app: DeskApp) -> str:
    """The screen as plain text."""
    svg = app.export_screenshot()
    texts = re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', svg)
    rows: dict[str, list[str]] = {}
    for y, words in texts:
        rows.setdefault(y, []).append(html.unescape(words).replace("\xa0", " "))
    return "\n".join("".join(parts) for parts in rows.values())


def play(
    exercise: Exercise,
    script: Callable[[Player], Awaitable[None]],
    *,
    size: tuple[int, int] = SMALL,
    report: Callable[[Exercise], Path] | None = None,
) -> DeskApp:
    """Runs the app on a terminal of that size and lets the script play. Gives the app back once it has ended."""
    watch = Watch()
    app = DeskApp(exercise, report=report, seconds=watch)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(Player(app, pilot, watch))

    asyncio.run(run())
    return app
