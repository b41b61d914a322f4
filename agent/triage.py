"""Alerts that nobody here wrote, through the same loop, in bulk.

No tool knows anything about an outside alert, so its investigation is one verdict on the alert alone. What could not be
read is escalated too, forced: an attacker who breaks his own log line must not thereby slip past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.scenarios.enterprise import World
from turncoat.scenarios.errors import Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.formats.vendor_fields import UNKNOWN_TIME
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.toolbox import Toolbox

from .graph import Graph, graph_of
from .guards import force_escalation
from .nodes import Desk
from .policy import ThresholdPolicy
from .records import Decision, Investigation, Settings
from .state import State, investigation_of, start
from .warming import Foreseen, warm_up

CHUNK = 256
"""Alerts whose prompts are computed together: the batches are a function of the input, never of timing."""


@dataclass(frozen=True, slots=True)
class Triaged:
    """What one variant made of one thing that came in."""

    variant: str
    source: LabelledAlert | Mistake
    decision: Decision
    verdict: Verdict | None

    @property
    def label(self) -> bool | None:
        return self.source.label if isinstance(self.source, LabelledAlert) else None


@dataclass(frozen=True)
class ScoredBefore:
    """A classifier that answers from scores made elsewhere, such as those of a cross-fitted model."""

    fingerprint: str
    scores: Mapping[str, float]
    """Alert uid -> P(malicious)."""

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        """The score of each case; None for an alert that has none."""
        return [self._verdict(self.scores.get(case.alert.uid)) for case in cases]

    def _verdict(self, score: float | None) -> Verdict | None:
        if score is None:
            return None
        # A probability has no logits of its own; the margin is the distance from a half, twice.
        return Verdict("malicious" if score >= 0.5 else "benign", score, 2 * score - 1, self.fingerprint, tokens=0)


class _NoCloud:
    """A sink that keeps nothing: every decision of a triage is a line of its own, escalations too."""

    name = "none"

    def close(self) -> None:
        """Holds nothing."""

    def send(self, alert: Alert, investigation: Investigation) -> None:
        del alert, investigation


def triage(
    items: Sequence[LabelledAlert | Mistake],
    variants: Mapping[str, AlertClassifier],
    settings: Settings | None = None,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Triaged]:
    """Decides about everything that came in, under every variant.

    Args:
        items: What a reader of `scenarios.formats` yielded.
        variants: Name -> classifier; one that offers `warm(requests)` is asked for a chunk at a time.
        settings: The threshold and the rest; those of a run where none are given.
        on_progress: Called with the items finished and their number, after each chunk.

    Yields:
        For each item, in order, one `Triaged` per variant, in their order.
    """
    settings = settings or Settings()
    toolbox = Toolbox(_outside_stream(tuple(item.alert for item in items if isinstance(item, LabelledAlert))))
    policy, sink = ThresholdPolicy.under(settings), _NoCloud()
    foreseen = {name: Foreseen(name, classifier) for name, classifier in variants.items()}
    desks = {name: Desk(toolbox, mine, policy, sink, settings) for name, mine in foreseen.items()}
    graphs = {name: graph_of(desk) for name, desk in desks.items()}
    for first in range(0, len(items), CHUNK):
        chunk = items[first : first + CHUNK]
        alerts = [item.alert for item in chunk if isinstance(item, LabelledAlert)]
        # A failure here is not ours to judge: the graph asks again, alert by alert, and forces what stays unanswered.
        warm_up(variants, [(desks[name], foreseen[name]) for name in desks], [alerts] * len(desks))
        for item in chunk:
            for name, graph in graphs.items():
                yield _decide(graph, name, item)
        for mine in foreseen.values():
            mine.forget()
        on_progress(first + len(chunk), len(items))


def _decide(graph: Graph, variant: str, item: LabelledAlert | Mistake) -> Triaged:
    if isinstance(item, Mistake):
        return Triaged(variant, item, force_escalation(f"could not be read: {item.fault}", UNKNOWN_TIME), None)
    done = investigation_of(cast("State", graph.invoke(start(item.alert.uid, variant))), principal="")
    return Triaged(variant, item, done.decision, done.verdict)


def _outside_stream(alerts: tuple[Alert, ...]) -> AlertStream:
    """The alerts in a world of which nothing is known."""
    nowhere = World(
        seed=0, pool="", domain="", people=(), hosts=(), service_accounts=(), networks=(), changes=(), partners={},
        indicators=(), baselines={},
    )  # fmt: skip
    return AlertStream("outside", 0, "", nowhere, alerts, facts={})
