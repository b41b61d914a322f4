"""A case as JSON for a chat model: evidence to weigh, which no text in it can leave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice

from turncoat.scenarios.records import Alert
from turncoat.tools.records import Evidence

from .plain_text import bounded

_TEXT_CHARACTERS = 2000
_FIELDS = 40
_EVIDENCE = 32


def case_text(alert: Alert, evidence: Sequence[Evidence], *, for_planning: bool = True) -> str:
    """One line of ASCII without `<`, `>` or `&`, so that no text of the alert can close a delimiter around it.

    Args:
        alert: What it is about; its uid is left out.
        evidence: Gathered so far.
        for_planning: Also the kind of alert and what each tool was asked, for who chooses what to ask next.
    """
    told = ("tool", "question", "answer", "failed") if for_planning else ("tool", "answer", "failed")
    case = {
        "title": alert.title,
        "time": alert.time.isoformat(),
        "severity": str(alert.severity),
        "product": alert.product,
        "technique": alert.technique,
        **({"kind": alert.kind} if for_planning else {}),
        "activity": alert.activity,
        "entities": {name: value for name, value in asdict(alert.entities).items() if value is not None},
        "fields": dict(islice(alert.raw.items(), _FIELDS)),
        "evidence": [{name: getattr(one, name) for name in told} for one in evidence[:_EVIDENCE]],
    }
    return (
        json.dumps(bounded(case, _TEXT_CHARACTERS))
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    )
