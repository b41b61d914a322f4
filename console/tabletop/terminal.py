"""`turncoat tabletop SCENARIO` in the terminal: one person plays the exercise, and may leave and come back."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from turncoat.scenarios.errors import InputError

if TYPE_CHECKING:
    from turncoat.agent.exercise.engine import Exercise


def require_terminal() -> None:
    """Says so where there is nothing to play in. Raises InputError that names the other ways to play."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return
    raise InputError.at(
        "tabletop",
        "there is no terminal to play in",
        "give --solo to let it play itself, or --serve to play in browsers",
    )


def run_terminal(exercise: Exercise, *, speed: float | None = None) -> None:
    """Plays until the person quits; everything is recorded as it happens.

    Args:
        exercise: Opened; it stays open.
        speed: Simulated seconds per second; None leaves it as it is.

    Raises:
        InputError: No terminal, or an impossible speed.
        RunError, OSError: The exercise could not be recorded any further.
    """
    from .desk.app import PLAYER, DeskApp

    require_terminal()
    if speed is not None and exercise.state.mode != "ended":
        exercise.act("facilitator", "speed", {"speed": speed}, PLAYER)
    app = DeskApp(exercise, report=_report)
    app.run()
    if app.fault is not None:
        raise app.fault


def _report(exercise: Exercise) -> Path:
    from .after_action import write_report

    return write_report(exercise.path, exercise.material, exercise.events()).html
