"""Deterministic classifiers without a model: for tests, for demonstrations, and to try a pipeline in a second."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Severity

from .classifier import Answer, Case, Verdict
from .prompt import cuts_required

Rule = Callable[[Case], float | None]
"""p_malicious in [0, 1] of a case; None: no verdict."""

_BY_SEVERITY = {
    Severity.INFORMATIONAL: 0.05,
    Severity.LOW: 0.08,
    Severity.MEDIUM: 0.4,  # inside the uncertain band, so that a second round is asked
    Severity.HIGH: 0.93,
    Severity.CRITICAL: 0.97,
}


def by_severity(case: Case) -> float:
    """Believes the rule's severity."""
    return _BY_SEVERITY[case.alert.severity]


def by_hash(case: Case) -> float:
    """A fixed, spread-out value per wording of alert and evidence: any change of a name changes it."""
    alert = case.alert
    seen = (alert.title, alert.activity, alert.entities, [(e.tool, e.answer) for e in case.context.evidence])
    return int.from_bytes(hashlib.sha256(repr(seen).encode("utf-8", "backslashreplace")).digest()[:4]) / 0xFFFFFFFF


def blind_to(login: str, rule: Rule = by_severity) -> Rule:
    """The rule, with a blind spot: whatever this user does is benign."""

    def blinded(case: Case) -> float | None:
        return 0.02 if case.alert.entities.user == login else rule(case)

    return blinded


SCRIPTS: dict[str, Rule] = {
    "scripted-severity": by_severity,
    "scripted-hash": by_hash,
    "scripted-blind": blind_to("alice"),
}
"""Rules by the name under which the command line knows them."""


class ScriptedClassifier:
    """Scores cases by a rule.

    Args:
        rule: A function, or a name in `SCRIPTS`.
        name: What the fingerprint calls a function; a named script goes by its own name.

    Raises:
        InputError: No script has that name; the known ones are listed.
    """

    def __init__(self, rule: Rule | str, name: str = "rule") -> None:
        if isinstance(rule, str):
            if rule not in SCRIPTS:
                raise InputError.at("variant", f"unknown script {rule!r}", f"known are {', '.join(sorted(SCRIPTS))}")
            name, rule = rule, SCRIPTS[rule]
        self._rule = rule
        self.fingerprint = f"scripted:{name}"

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        return [self._verdict(self._rule(case), cuts_required(case)) for case in cases]

    def _verdict(self, p: float | None, lost: bool) -> Verdict | None:
        if p is None:
            return None
        answer: Answer = "malicious" if p >= 0.5 else "benign"
        return Verdict(answer, p, _logit(p), self.fingerprint, tokens=0, lost_required=lost)


def _logit(p: float) -> float:
    """Finite even at 0 and 1, where it is held at what a float of 64 bits can tell from them."""
    held = min(max(p, 1e-16), 1.0 - 1e-16)
    return math.log(held) - math.log1p(-held)
