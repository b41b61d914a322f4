"""The loop: ingest -> gather -> classify -> (uncertain and evidence left? gather) -> decide -> act."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from turncoat.models.classifier import AlertClassifier

from .course import PlannedState
from .nodes import Desk, Nodes, Toolset
from .planner import PLAYBOOK, Planner
from .policy import EscalationPolicy
from .records import Settings
from .sinks import CloudSink
from .state import State

Graph = CompiledStateGraph[PlannedState, None, State, State]


def build_graph(
    toolbox: Toolset,
    classifier: AlertClassifier,
    policy: EscalationPolicy,
    sink: CloudSink,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    *,
    settings: Settings | None = None,
    planner: Planner = PLAYBOOK,
) -> Graph:
    """The investigation of one variant in one stream; invoke it with `state.start(uid, variant)`, one alert at a time.

    Args:
        toolbox: Answers questions about the alerts of its stream.
        classifier: Scores a case; may fail, which forces the escalation.
        policy: Decides on a sound verdict.
        sink: Takes what is escalated.
        checkpointer: Keeps the state between the steps; None keeps nothing.
        settings: Budget and costs; the defaults if None.
        planner: Chooses the tools; may fail, and then the playbook takes over.
    """
    return graph_of(Desk(toolbox, classifier, policy, sink, settings or Settings(), planner), checkpointer)


def graph_of(desk: Desk, checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:
    """The same from everything that its nodes work with."""
    do = Nodes(desk)
    graph = StateGraph(PlannedState, input_schema=State, output_schema=State)
    for node in (do.ingest, do.gather, do.classify, do.decide, do.escalate, do.dismiss, do.review):
        graph.add_node(node.__name__, node)

    graph.add_edge(START, "ingest")
    graph.add_conditional_edges("ingest", do.known)
    graph.add_edge("gather", "classify")
    graph.add_conditional_edges("classify", do.uncertain)
    graph.add_conditional_edges("decide", do.decided)
    for end in ("escalate", "dismiss", "review"):
        graph.add_edge(end, END)
    return graph.compile(checkpointer=checkpointer, name="triage")
