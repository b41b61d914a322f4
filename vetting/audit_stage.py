"""Stages of an audit: their wall time, their progress, and whether the budget has room for more."""

from __future__ import annotations

import time

from .audit_association import Told
from .detector import Budget, OnProgress


def stage_told(stage: str, budget: Budget, on_progress: OnProgress, seconds: dict[str, float]) -> Told:
    """Shows progress of a stage that begins now, and answers whether the budget has room for more of it.

    Args:
        stage: Its name.
        budget: Of the whole audit.
        on_progress: Who is shown it.
        seconds: Stage -> wall time so far; this stage's is kept up to date.
    """
    started = time.perf_counter()

    def tell(done: int, total: int) -> bool:
        seconds[stage] = time.perf_counter() - started
        on_progress(stage, done, total)
        return not budget.spent

    return tell
