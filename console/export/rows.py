"""The rows of a run that an export is about."""

from __future__ import annotations

import json
from typing import Any

from turncoat.agent.records import Outcome

from ..past_run import PastRun


def rows_of(run: PastRun, variant: str, principal: str) -> list[Outcome]:
    """What one variant made of the alerts under one name, in the order of the alerts."""
    rows = [o for o in run.outcomes if (o.investigation.variant, o.investigation.principal) == (variant, principal)]
    return sorted(rows, key=lambda o: (o.alert.time, o.alert.uid))


def deed(outcome: Outcome) -> str:
    """What was done about an alert, as one word; `forced` stands apart from `escalate`."""
    return "forced" if outcome.forced else outcome.action


def json_text(thing: Any) -> str:
    """JSON, ASCII only: what alerts hold can control no terminal on the way."""
    return json.dumps(thing, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
