"""Where a long piece of work stands, for whoever shows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a long piece of work stands."""

    stage: str
    done: int
    total: int
    loss: float | None
    seconds: float

    @property
    def seconds_left(self) -> float:
        """At the speed so far; infinite before the first step."""
        return self.seconds * (self.total - self.done) / self.done if self.done else math.inf


OnProgress = Callable[[Progress], None]
