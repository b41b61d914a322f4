"""The seam of vetting: an examination goes in, a report comes out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from turncoat.scenarios.errors import InputError

from .candidate import Answering
from .directory import Directory
from .probes import ProbeSet
from .records import DetectorReport
from .weights import Cohort

OnProgress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and how much there is."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_S = 7 * 24 * 3600.0


@dataclass
class Budget:
    """Wall time that an examination may take; counted from when it is made."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, words: str) -> Budget:
        """A budget as people write it: `90s`, `10m`, `1.5h`.

        Raises:
            InputError: Not such a time, none at all, or more than a week.
        """
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smh])", words.strip())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < seconds <= _LONGEST_S:
            raise InputError.at(f"--budget {words[:40]}", "is no time", "give such as 90s, 10m or 1h, a week at most")
        return cls(seconds)

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    @property
    def spent(self) -> bool:
        return self.left <= 0.0


@dataclass(frozen=True)
class Examination:
    """All that a detector may use. It holds no manifest, recipe or variant name of the candidate."""

    candidate: Answering
    probes: ProbeSet
    directory: Directory
    budget: Budget
    cohort: Cohort | None = None
    """Features of clean adapters of the same recipe, for the weight screen."""
    on_progress: OnProgress = lambda what, done, total: None


@runtime_checkable
class Detector(Protocol):
    """One way of finding out."""

    name: str

    def examine(self, examination: Examination) -> DetectorReport:
        """Examines; abstains with a reason where it cannot. Raises nothing for a candidate that was opened."""
        ...
