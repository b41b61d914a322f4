"""Many investigations at once, without what a graph costs at each node: its nodes, in its order, in lockstep.

The LangGraph loop (`graph.graph_of`) is the reference, and `tests/agent/test_bulk.py` holds this to it alert by alert.
What it leaves out: checkpoints, events between the nodes, and the sink. Who calls it delivers what is escalated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from turncoat.models.classifier import AlertClassifier, Case
from turncoat.scenarios.records import Alert

from .course import PlannedState
from .nodes import Desk, Nodes, Toolset
from .planner import PLAYBOOK, Planner
from .policy import EscalationPolicy
from .records import Investigation, Settings
from .sinks import CloudSink
from .state import State, context_of, investigation_of, start
from .warming import Foreseen, ask_together

Seat = tuple[Desk, Foreseen]
"""One variant at one desk, whose classifier the second is."""


def seat_of(
    variant: str,
    classifier: AlertClassifier,
    toolbox: Toolset,
    policy: EscalationPolicy,
    sink: CloudSink,
    settings: Settings,
    planner: Planner = PLAYBOOK,
) -> Seat:
    """A desk at which verdicts that were asked for together lie ready; `build_graph` says what each part is."""
    foreseen = Foreseen(variant, classifier)
    return Desk(toolbox, foreseen, policy, sink, settings, planner), foreseen


def investigate_together(
    variants: Mapping[str, AlertClassifier], seats: Sequence[Seat], alerts: Sequence[Sequence[Alert]]
) -> list[list[Investigation]]:
    """Decides about alerts at all seats, round by round; of each round, all cases are asked about together.

    The batches are those of `warm_up` over the same alerts, so that also bf16 verdicts are those of the graph. With a
    planner whose questions cannot be told ahead there are batches too, where the graph asks about each case alone.

    Args:
        variants: Offers `warm`, or not.
        seats: One per variant and principal. What their `Foreseen` knew before is forgotten, and so is what they learn.
        alerts: Per seat, alerts of its stream. All verdicts of a call are in memory at once: give it chunks.

    Returns:
        Per seat, the finished investigations in the order of its alerts. No sink was told.

    Raises:
        RunError: An alert is not of the seat's stream.
    """
    for _, foreseen in seats:
        foreseen.forget()
    walks = [
        [_Walk(nodes, foreseen, alert) for alert in seen]
        for (desk, foreseen), seen in zip(seats, alerts, strict=True)
        for nodes in [Nodes(desk)]
    ]
    asking = [walk for at_seat in walks for walk in at_seat if walk.to_gather]
    while asking:
        for walk in asking:
            walk.gather()
        # A failure is not ours to judge: `classify` asks again, case by case, and its faults force the escalation.
        ask_together(variants, [(walk.foreseen, walk.case) for walk in asking if walk.to_ask])
        for walk in asking:
            walk.classify()
        asking = [walk for walk in asking if walk.to_gather]
    for _, foreseen in seats:
        foreseen.forget()
    return [[walk.decided() for walk in at_seat] for at_seat in walks]


class _Walk:
    """One alert on its way through the nodes, along the edges of `graph.graph_of`."""

    def __init__(self, nodes: Nodes, foreseen: Foreseen, alert: Alert) -> None:
        self._nodes, self.foreseen = nodes, foreseen
        self._state = cast(PlannedState, start(alert.uid, foreseen.variant))
        self._do(nodes.ingest)
        self.to_gather = nodes.known(self._state) == "gather"
        # The desk's own: where two alerts claim one uid, the nodes find the same one for both.
        self.case = Case(nodes.desk.alerts[alert.uid], context_of(self._state))

    @property
    def to_ask(self) -> bool:
        """Whether the case has grown since it was judged, or was not judged yet."""
        return not self.foreseen.knows(self.case)

    def gather(self) -> None:
        self._do(self._nodes.gather)
        self.case = Case(self.case.alert, context_of(self._state))

    def classify(self) -> None:
        self._do(self._nodes.classify)
        self.to_gather = self._nodes.uncertain(self._state) == "gather"

    def decided(self) -> Investigation:
        self._do(self._nodes.decide)
        return investigation_of(self._state, self._nodes.desk.toolbox.stream.principal)

    def _do(self, node: Callable[[PlannedState], State]) -> None:
        self._state.update(cast(PlannedState, node(self._state)))
