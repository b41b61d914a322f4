"""What an exercise is made of: roles, what can happen, and one record for everything that did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Role = Literal["facilitator", "analyst", "lead", "executive"]
ROLES: tuple[Role, ...] = ("facilitator", "analyst", "lead", "executive")
ROLE_NAMES: Mapping[Role, str] = {
    "facilitator": "Facilitator", "analyst": "SOC analyst", "lead": "SOC lead", "executive": "Executive",
}  # fmt: skip
"""As people are shown them."""
PLAYERS: tuple[Role, ...] = ("analyst", "lead", "executive")
CLOCK = "clock"
"""Source of what nobody did: alerts, injects, results of actions."""

CLOCK_KINDS = ("started", "paused", "resumed", "speed", "skipped", "tick", "ended")
DEEDS = ("open", "ask", "override", "audit", "isolate", "disable", "preserve", "call", "swap", "declare", "note")
"""What the team does."""
HIDDEN_KINDS = ("dismissed", "prevented", "branched", "tick-expected", "remark", "feedback")
"""What only the facilitator may know."""
KINDS = ("joined", *CLOCK_KINDS, *DEEDS, "handed", "result", "inject", *HIDDEN_KINDS)

DEPLOYED, REPLACEMENT = "deployed", "replacement"
"""What a team calls the two models. Their real names would tell them what is wrong."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened: one line of `events.jsonl`. The state of an exercise is a fold over these."""

    seq: int
    """1, 2, 3, ... without gaps."""
    at: datetime
    """Simulated, UTC; never earlier than the one before."""
    wall: datetime
    """When it was recorded, UTC."""
    source: str
    """A role, or `CLOCK`."""
    participant: str
    """Display name; empty for the clock. Comes from outside."""
    kind: str
    """One of `KINDS`."""
    payload: Mapping[str, Any]
    """Plain JSON; which keys, `state.py` and `actions.py` say."""

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "wall": self.wall.isoformat(),
            "source": self.source,
            "participant": self.participant,
            "kind": self.kind,
            "payload": dict(self.payload),
        }


def occurrence(plain: Mapping[str, Any]) -> Occurrence:
    """Reads `Occurrence.plain` back. Raises ValueError where it is none."""
    seq, kind, payload = plain.get("seq"), plain.get("kind"), plain.get("payload")
    source, participant = plain.get("source"), plain.get("participant")
    at, wall = (datetime.fromisoformat(str(plain.get(key))) for key in ("at", "wall"))
    if not isinstance(seq, int) or isinstance(seq, bool) or kind not in KINDS or not isinstance(payload, dict):
        raise ValueError("not an event of an exercise")
    if source not in (*ROLES, CLOCK) or not isinstance(participant, str) or at.tzinfo is None or wall.tzinfo is None:
        raise ValueError("nobody's event, or one without a time zone")
    return Occurrence(seq, at, wall, str(source), participant, str(kind), payload)


@dataclass(frozen=True, slots=True)
class Draft:
    """Something that falls due, before it is recorded."""

    at: datetime
    kind: str
    payload: Mapping[str, Any]
