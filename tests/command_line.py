"""The command line as tests call it: in this process, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from turncoat.console.cli import main

PROGRAM = (sys.executable, "-c", "from turncoat.console.cli import main; main()")


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    stdout: str
    stderr: str


Call = Callable[..., Ended]


def exit_code(arguments: Sequence[str]) -> int:
    """Calls the entry point in this process. Anything that it raises but SystemExit would have been a traceback."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def process(*arguments: str, cwd: Path, **streams: Any) -> subprocess.Popen[str]:
    """Starts the command line in a process of its own; its home is in `cwd`."""
    env = os.environ | {"TURNCOAT_HOME": str(cwd / "home"), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen((*PROGRAM, *arguments), cwd=cwd, env=env, text=True, stderr=subprocess.PIPE, **streams)


def uncontrolled(text: str) -> list[str]:
    """Characters that would control a terminal; none but line breaks shall be printed."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
