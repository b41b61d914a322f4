"""The state of one investigation as it lies in a checkpoint: plain dicts, lists and strings.

Plain, because a checkpoint outlives the process: the serializer needs no list of allowed classes, and nothing in the
file can name a class to construct. The alert itself stays in the stream; its uid is enough to find it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypedDict, cast

from turncoat.models.classifier import Verdict
from turncoat.tools.records import Context, Evidence

from .records import Decision, Investigation


class State(TypedDict, total=False):
    """Channels of the graph. A caller gives `uid` and `variant`; `ingest` sets all others to their start."""

    uid: str
    variant: str
    round: int
    evidence: list[dict[str, Any]]
    verdict: dict[str, Any] | None
    """None: not asked yet, or nothing sound came back."""
    verdicts: int
    """How often the classifier was asked; each time costs simulated seconds."""
    fault: str
    """What went wrong, if anything: forces the escalation."""
    decision: dict[str, Any] | None


def start(uid: str, variant: str) -> State:
    """Input of a new investigation."""
    return State(uid=uid, variant=variant)


def context_of(state: State) -> Context:
    return Context(tuple(Evidence(**e) for e in state["evidence"]), state["round"])


def plain_context(context: Context) -> State:
    return State(evidence=[asdict(e) for e in context.evidence], round=context.round)


def verdict_of(state: State) -> Verdict | None:
    plain = state["verdict"]
    return None if plain is None else Verdict(**{**plain, "left_out": tuple(plain["left_out"])})


def plain_verdict(verdict: Verdict) -> dict[str, Any]:
    """Numbers as Python's own: a numpy scalar would put its class into the checkpoint."""
    plain = {**asdict(verdict), "left_out": list(verdict.left_out)}
    return plain | {"p_malicious": float(verdict.p_malicious), "margin": float(verdict.margin)}


def decision_of(state: State) -> Decision | None:
    plain = state.get("decision")
    if plain is None:
        return None
    return Decision(**{**plain, "simulated_time": datetime.fromisoformat(plain["simulated_time"])})


def plain_decision(decision: Decision) -> dict[str, Any]:
    return {**asdict(decision), "simulated_time": decision.simulated_time.isoformat()}


def investigation_of(state: State, principal: str) -> Investigation:
    """The finished row of a state whose decision is made.

    Raises:
        ValueError: No decision was made yet.
    """
    decision = decision_of(state)
    if decision is None:
        raise ValueError(f"no decision about {state['uid']} yet")
    context = context_of(state)
    return Investigation(
        state["uid"], state["variant"], principal, verdict_of(state), decision, context.evidence, context.round
    )


def is_whole(values: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds a state that one can go on with. It may be empty, or anybody's."""
    try:
        state = cast(State, values)
        context_of(state), verdict_of(state), decision_of(state)
        return all(isinstance(state[n], int) for n in ("round", "verdicts")) and isinstance(state["fault"], str)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
