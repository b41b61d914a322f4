"""Where many investigations meet: their cases are asked about together, many at a time. Only speed, nothing is decided here.

The batches are a function of the alerts, never of timing or of what an earlier run had finished, because bf16 results
depend a little on the company that a prompt keeps in its batch. That is why no graphs run side by side and queue for a
batch: who arrives in time would be the clock's choice, and to make it the inputs' one each batch must wait for the last
graph, which is what `warm_up` does without threads. It plays the rounds of a chunk ahead; the graphs then run one after
another and find their verdicts in `Foreseen`. `bulk.investigate_together`, which has no graphs, asks the same way.

A planner whose questions cannot be told ahead is not played ahead: its graph asks about each case alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.scenarios.records import Alert
from turncoat.tools.records import Context

from .guards import worth_more_evidence
from .nodes import Desk, evidence_left, foreseeable, gather_round
from .plain_text import error_line


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
        trouble = ask_together(variants, [(foreseen, case) for _, foreseen, case in pending]) or trouble
        pending = [
            (desk, foreseen, Case(case.alert, gather_round(desk, case.alert, case.context)[0]))
            for desk, foreseen, case in pending
            if foreseen.knows(case)
            and worth_more_evidence(desk.policy, foreseen.recall(case))
            and evidence_left(desk, case.alert, case.context)
        ]
    return trouble


def ask_together(variants: Mapping[str, AlertClassifier], asked: Sequence[tuple[Foreseen, Case]]) -> str:
    """Has cases computed in as few calls as can be: all variants in one where they offer `warm`, else one per seat.

    Args:
        variants: Offers `warm`, or not.
        asked: Who is to know the verdict, and the case. The order shapes the batches.

    Returns:
        What failed, in one line; empty if nothing did. What failed is not known to its `Foreseen`.
    """
    trouble = ""
    if isinstance(variants, Warmable):
        try:
            variants.warm([(foreseen.variant, case) for foreseen, case in asked])
        except Exception as error:
            trouble = error_line(error)
    by_owner: dict[Foreseen, list[Case]] = {}
    for foreseen, case in asked:
        by_owner.setdefault(foreseen, []).append(case)
    for foreseen, cases in by_owner.items():
        try:
            foreseen.foresee(cases)
        except Exception as error:
            trouble = error_line(error)
    return trouble
