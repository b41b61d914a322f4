"""Fail closed: what no policy may overrule.

A guard knows nothing of thresholds. It answers whether there is a verdict to decide on at all, and whether what was
decided may stand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from turncoat.models.classifier import Case, Verdict

from .plain_text import error_line
from .policy import EscalationPolicy
from .records import ACTIONS, Decision

GUARD = "guard"


def unusable(verdict: object) -> str:
    """Why this is no verdict at all; empty if it is one."""
    if verdict is None:
        return "the model gave no verdict"
    if not isinstance(verdict, Verdict):
        return f"the model gave a {type(verdict).__name__} instead of a verdict"
    if not all(isinstance(x, float) and math.isfinite(x) for x in (verdict.p_malicious, verdict.margin)):
        return "the model's probability is not a number"
    if not 0.0 <= verdict.p_malicious <= 1.0:
        return f"the model's probability {verdict.p_malicious:g} is outside 0 to 1"
    if verdict.answer not in ("malicious", "benign"):
        return "the model's answer is neither malicious nor benign"
    return ""


def flaw(verdict: Verdict | None) -> str:
    """Why nothing may be decided on this verdict; empty if it is sound."""
    reason = unusable(verdict)  # first: what a classifier calls a verdict may be anything
    return "the prompt lost a required field" if not reason and verdict and verdict.lost_required else reason


def worth_more_evidence(policy: EscalationPolicy, verdict: Verdict | None) -> bool:
    """Whether another round is worth its time: never for a flawed verdict, which no evidence mends."""
    if verdict is None or flaw(verdict):
        return False
    try:
        return bool(policy.uncertain(verdict))
    except Exception:  # the policy is asked again for its decision, and there a failure forces the escalation
        return False


def force_escalation(reason: str, at: datetime) -> Decision:
    """The decision where none can be made."""
    return Decision("escalate", True, GUARD, reason, at)


def bar_dismissal(decision: Decision, failed_tools: tuple[str, ...]) -> Decision:
    """Turns a dismissal into a review where a tool failed: what was not seen cannot be called harmless."""
    if decision.action != "dismiss" or not failed_tools:
        return decision
    named = ", ".join(dict.fromkeys(failed_tools))
    return replace(decision, action="review", reason=f"{decision.reason}; dismissal barred: {named} failed")


def decide_guarded(policy: EscalationPolicy, case: Case, verdict: Verdict | None, fault: str, at: datetime) -> Decision:
    """The policy's decision within the guards.

    Args:
        policy: Asked only where there is something to decide on.
        case: The alert and all that was gathered.
        verdict: The last one.
        fault: What went wrong before, if anything; empty otherwise.
        at: Simulated time of the decision.

    Returns:
        A forced escalation on any fault, flawed verdict or failing policy; else what the policy says, with a
        dismissal turned into a review where a tool failed.
    """
    reason = fault or flaw(verdict)
    if reason or verdict is None:
        return force_escalation(reason, at)
    try:
        decision = policy.decide(case, verdict, at)
    except Exception as error:  # whatever a policy raises, the alert must not be lost
        return force_escalation(f"policy {policy.name} failed: {error_line(error)}", at)
    if not isinstance(decision, Decision) or decision.action not in ACTIONS:
        return force_escalation(f"policy {policy.name} gave no decision", at)
    return bar_dismissal(decision, case.context.failed_tools)
