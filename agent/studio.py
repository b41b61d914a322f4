"""The graph for LangGraph Studio: a scripted classifier and three built-in alerts, no model and no files.

Studio asks for an input such as `{"uid": "demo-copy", "variant": "scripted-severity"}`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.facts import Baseline, Peers, SignIns
from turncoat.scenarios.records import Alert, AlertStream, Entities, Severity
from turncoat.scenarios.world import build_world
from turncoat.tools.toolbox import Toolbox

from .graph import Graph, build_graph
from .policy import ThresholdPolicy
from .records import Investigation


class _Nowhere:
    """Escalations of a demonstration go nowhere; Studio shows them."""

    name = "nowhere"

    def send(self, alert: Alert, investigation: Investigation) -> None:
        """Nothing to do."""

    def sync(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to close."""


def demo_stream() -> AlertStream:
    """Three alerts of one morning: one for each way an investigation can go, the second after two rounds."""
    world = build_world(7, population=12)
    person = world.people[0]
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    who = Entities(user=person.login)
    alerts = (
        Alert("demo-sign-in", at, "Sign-in from a new country", Severity.LOW, "identity", "T1078", "identity",
              "signed in from DE", who),
        Alert("demo-copy", at.replace(minute=20), "Mass copy to removable media", Severity.MEDIUM, "DLP", "T1052.001",
              "data", "copied 412 MB to drive E:", who),
        Alert("demo-upload", at.replace(minute=40), "Upload to file sharing", Severity.HIGH, "proxy", "T1567.002",
              "data", "sent 380 MB", Entities(user=person.login, domain="share.example")),
    )  # fmt: skip
    facts = {
        "demo-sign-in": (SignIns(person.login, "DE", "MFA app", 1),),
        "demo-copy": (Baseline(person.login, "MB", 30), Peers(person.login, 0, 5)),
        "demo-upload": (Baseline(person.login, "MB", 30),),
    }
    return AlertStream("demo", 7, person.login, world, alerts, facts, {"demo-sign-in": {"sign_ins": "outage"}})


def make_graph() -> Graph:
    """What `langgraph.json` names. Studio brings its own checkpointer."""
    return build_graph(Toolbox(demo_stream()), ScriptedClassifier("scripted-severity"), ThresholdPolicy(), _Nowhere())
