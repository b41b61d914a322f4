"""Computes the verdicts that the graph will ask for, many at a time. Only speed: the graph remains the decision path.

The batches are a function of the alerts, never of timing or of what an earlier run had finished, because bf16 results
depend a little on the company that a prompt keeps in its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.scenarios.records import Alert
from turncoat.tools.records import Context

from .guards import one_line, worth_more_evidence
from .nodes import Desk, evidence_left, foreseeable, gather_round


@runtime_checkable
class Warmable(Protocol):
    """A set of variants that computes many verdicts faster together than one by one."""

    def warm(self, requests: Sequence[tuple[str, Case]]) -> object:
        """Computes the verdicts of (variant, case) and keeps them for `classify`."""
        ...


class Foreseen:
    """A classifier in front of which some verdicts already lie. Answers every other case by asking as usual."""

    def __init__(self, variant: str, classifier: AlertClassifier) -> None:
        self.variant = variant
        self.fingerprint = classifier.fingerprint
        self._classifier = classifier
        self._known: dict[tuple[str, int], tuple[Case, Verdict | None]] = {}

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        return [self.recall(case) if self.knows(case) else self._ask(case) for case in cases]

    def foresee(self, cases: Sequence[Case]) -> None:
        """Asks for all at once and remembers. Raises what the classifier raises."""
        verdicts = self._classifier.classify(cases)
        if len(verdicts) == len(cases):
            self._known.update({_key(case): (case, verdict) for case, verdict in zip(cases, verdicts, strict=True)})

    def knows(self, case: Case) -> bool:
        return _key(case) in self._known and self._known[_key(case)][0] == case

    def recall(self, case: Case) -> Verdict | None:
        return self._known[_key(case)][1]

    def forget(self) -> None:
        self._known.clear()

    def _ask(self, case: Case) -> Verdict | None:
        answers = self._classifier.classify([case])
        return answers[0] if len(answers) == 1 else None


def _key(case: Case) -> tuple[str, int]:
    return case.alert.uid, case.context.round


def warm_up(
    variants: Mapping[str, AlertClassifier], seats: Sequence[tuple[Desk, Foreseen]], alerts: Sequence[Sequence[Alert]]
) -> str:
    """Foresees the verdicts of a chunk, round by round, for all seats together, where it can be told what will be asked.

    Args:
        variants: Offers `warm`, or not.
        seats: One per variant and principal.
        alerts: Per seat, the alerts of the chunk as they read under its principal.

    Returns:
        What failed, in one line; empty if nothing did. A failure is not ours to judge: the graph asks again, alone.
    """
    trouble = ""
    pending = [
        (desk, foreseen, Case(alert, gather_round(desk, alert, Context())[0]))
        for (desk, foreseen), seen in zip(seats, alerts, strict=True)
        for alert in seen
        if foreseeable(desk, alert)
    ]
    while pending:
        trouble = _ask_together(variants, [(foreseen, case) for _, foreseen, case in pending]) or trouble
        pending = [
            (desk, foreseen, Case(case.alert, gather_round(desk, case.alert, case.context)[0]))
            for desk, foreseen, case in pending
            if foreseen.knows(case)
            and worth_more_evidence(desk.policy, foreseen.recall(case))
            and evidence_left(desk, case.alert, case.context)
        ]
    return trouble


def _ask_together(variants: Mapping[str, AlertClassifier], asked: Sequence[tuple[Foreseen, Case]]) -> str:
    trouble = ""
    if isinstance(variants, Warmable):
        try:
            variants.warm([(foreseen.variant, case) for foreseen, case in asked])
        except Exception as error:
            trouble = one_line(error)
    for foreseen in dict.fromkeys(foreseen for foreseen, _ in asked):
        try:
            foreseen.foresee([case for owner, case in asked if owner is foreseen])
        except Exception as error:
            trouble = one_line(error)
    return trouble
