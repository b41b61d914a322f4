from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from turncoat.agent.graph import Graph, build_graph
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Decision, Investigation, Settings
from turncoat.agent.state import State, decision_of, start
from turncoat.models.classifier import Case, Verdict
from turncoat.models.scripted import Rule, ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.records import Evidence
from turncoat.tools.toolbox import Toolbox

StreamOf = Callable[[str], AlertStream]


class ListSink:
    """A sink that keeps what it is sent."""

    name = "list"

    def __init__(self) -> None:
        self.sent: list[tuple[Alert, Investigation]] = []

    def send(self, alert: Alert, investigation: Investigation) -> None:
        self.sent.append((alert, investigation))

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass


class Answering:
    """A classifier that answers whatever it was given, or raises it."""

    fingerprint = "answering"

    def __init__(self, answers: object) -> None:
        self.answers = answers

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers  # type: ignore[return-value]


VERDICT = Verdict("benign", 0.1, -2.2, "answering", 10)


def graph_with(stream: AlertStream, classifier: object, **more: object) -> Graph:
    parts = {"policy": ThresholdPolicy(), "sink": ListSink(), "toolbox": Toolbox(stream)} | more
    return build_graph(classifier=classifier, **parts)  # type: ignore[arg-type]


def decide(stream: AlertStream, classifier: object, uid: str, **more: object) -> Decision:
    decision = decision_of(State(**graph_with(stream, classifier, **more).invoke(start(uid, "v"))))
    assert decision is not None
    return decision


def steps(graph: Graph, uid: str) -> list[str]:
    return [node for update in graph.stream(start(uid, "v"), stream_mode="updates") for node in update]


def always(p: float | None) -> ScriptedClassifier:
    return ScriptedClassifier(lambda case: p)


def test_a_confident_verdict_takes_one_round(stream_of: StreamOf) -> None:
    graph = graph_with(stream_of("alice"), always(0.9))
    assert steps(graph, "03bb") == ["ingest", "gather", "classify", "decide", "escalate"]


def test_an_uncertain_verdict_takes_the_second_round_and_no_third(stream_of: StreamOf) -> None:
    graph = graph_with(stream_of("alice"), always(0.4))
    assert steps(graph, "03bb") == ["ingest", "gather", "classify", "gather", "classify", "decide", "dismiss"]
    assert [e["tool"] for e in graph.invoke(start("03bb", "v"))["evidence"]] == [
        "directory", "baseline", "peers", "reputation", "mail_trace",
    ]  # fmt: skip


def test_the_second_round_may_change_the_verdict(stream_of: StreamOf) -> None:
    later: Rule = lambda case: 0.5 if case.context.round == 1 else 0.1  # noqa: E731
    assert decide(stream_of("alice"), ScriptedClassifier(later), "03bb").action == "dismiss"


def test_a_spent_budget_ends_the_gathering(stream_of: StreamOf) -> None:
    # directory costs 2 s, baseline 8 s: with 10 s spent nothing more is asked, in this round or in another.
    graph = graph_with(stream_of("alice"), always(0.4), settings=Settings(evidence_budget_s=10.0))
    state = graph.invoke(start("03bb", "v"))
    assert [e["tool"] for e in state["evidence"]] == ["directory", "baseline"]
    assert state["round"] == 1


def test_simulated_time_is_evidence_plus_verdicts(stream_of: StreamOf) -> None:
    stream = stream_of("alice")
    # Round one of `data`: directory 2 s, baseline 8 s, peers 12 s; round two: reputation finds nothing to look up
    # (0 s), mail trace 25 s. Two verdicts at 3 s each: 2 + 8 + 12 + 25 + 6 = 53 s.
    decision = decide(stream, always(0.4), "03bb", settings=Settings(verdict_cost_s=3.0))
    assert decision.simulated_time == stream.alerts[1].time + timedelta(seconds=53)


def test_the_state_is_plain_json(stream_of: StreamOf) -> None:
    state = graph_with(stream_of("alice"), always(0.4)).invoke(start("03bb", "v"))
    assert json.loads(json.dumps(state, allow_nan=False)) == state


def test_what_is_escalated_reaches_the_sink_with_its_key(stream_of: StreamOf) -> None:
    sink = ListSink()
    decide(stream_of("bob"), always(0.9), "03bb", sink=sink)
    ((alert, investigation),) = sink.sent
    assert alert.uid == "03bb"
    assert investigation.key == ("03bb", "v", "bob")
    assert investigation.decision.action == "escalate"


def test_what_is_dismissed_or_reviewed_stays_away_from_the_sink(stream_of: StreamOf) -> None:
    sink = ListSink()
    decide(stream_of("alice"), always(0.1), "03bb", sink=sink)
    decide(stream_of("alice"), always(0.1), "4f5c", sink=sink)
    assert sink.sent == []


def test_a_failed_tool_turns_a_dismissal_into_a_review_that_names_it(stream_of: StreamOf) -> None:
    decision = decide(stream_of("alice"), always(0.1), "4f5c")
    assert (decision.action, decision.forced) == ("review", False)
    assert "process_tree failed" in decision.reason


def test_a_failed_tool_does_not_stop_an_escalation(stream_of: StreamOf) -> None:
    decision = decide(stream_of("alice"), always(0.9), "4f5c")
    assert (decision.action, decision.forced) == ("escalate", False)


def test_a_toolbox_that_raises_bars_dismissal_too(stream_of: StreamOf) -> None:
    class Broken(Toolbox):
        def ask(self, tool: str, alert: Alert) -> Evidence:
            raise KeyError(tool)

    decision = decide(stream_of("alice"), always(0.1), "03bb", toolbox=Broken(stream_of("alice")))
    assert decision.action == "review"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([None], "the model gave no verdict"),
        ([], "the model gave no verdict"),
        ([VERDICT, VERDICT], "the model gave no verdict"),
        (["benign"], "a str instead of a verdict"),
        ([replace(VERDICT, p_malicious=math.nan)], "not a number"),
        ([replace(VERDICT, margin=-math.inf)], "not a number"),
        ([replace(VERDICT, p_malicious=-0.2)], "outside 0 to 1"),
        ([replace(VERDICT, answer="harmless")], "neither malicious nor benign"),
        ([replace(VERDICT, lost_required=True)], "lost a required field"),
        (RuntimeError("out of\nmemory"), "RuntimeError: out of memory"),
    ],
)
def test_without_a_sound_verdict_the_escalation_is_forced(stream_of: StreamOf, answers: object, reason: str) -> None:
    decision = decide(stream_of("alice"), Answering(answers), "03bb")
    assert (decision.action, decision.forced, decision.policy) == ("escalate", True, "guard")
    assert reason in decision.reason


def test_a_flawed_verdict_earns_no_second_round(stream_of: StreamOf) -> None:
    lost = replace(VERDICT, p_malicious=0.4, lost_required=True)
    assert steps(graph_with(stream_of("alice"), Answering([lost])), "03bb").count("gather") == 1


def test_an_alert_of_unknown_kind_is_escalated_unasked(stream_of: StreamOf) -> None:
    stream = stream_of("alice")
    strange = replace(stream, alerts=(replace(stream.alerts[1], kind="sat\nellite"),))
    assert steps(graph_with(strange, always(0.1)), "03bb") == ["ingest", "decide", "escalate"]
    decision = decide(strange, always(0.1), "03bb")
    assert decision.forced
    assert decision.reason == r"no playbook for alerts of kind 'sat\nellite'"


def test_an_alert_from_outside_is_decided_without_tools(stream_of: StreamOf) -> None:
    stream = stream_of("alice")
    outside = replace(stream, alerts=(replace(stream.alerts[1], kind="external"),))
    state = graph_with(outside, always(0.4)).invoke(start("03bb", "v"))
    assert (state["evidence"], state["round"], state["verdicts"]) == ([], 0, 1)
    assert state["decision"]["forced"] is False


@pytest.mark.parametrize(
    "answer", [ZeroDivisionError("x"), None, "dismiss", Decision("close", False, "p", "r", datetime.max)]
)
def test_a_policy_that_fails_or_talks_nonsense_forces_the_escalation(stream_of: StreamOf, answer: object) -> None:
    class Odd:
        name = "odd"

        def uncertain(self, verdict: Verdict) -> bool:
            raise ZeroDivisionError

        def decide(self, case: Case, verdict: Verdict, at: datetime) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

    decision = decide(stream_of("alice"), always(0.1), "03bb", policy=Odd())
    assert (decision.action, decision.forced) == ("escalate", True)
    assert decision.reason.startswith("policy odd")


def test_a_policy_cannot_dismiss_past_a_failed_tool(stream_of: StreamOf) -> None:
    class Lenient(ThresholdPolicy):
        def decide(self, case: Case, verdict: Verdict, at: datetime) -> Decision:
            return Decision("dismiss", False, "lenient", "always fine", at)

    assert decide(stream_of("alice"), always(0.9), "4f5c", policy=Lenient()).action == "review"


def test_an_unknown_uid_is_an_error_that_says_so(stream_of: StreamOf) -> None:
    with pytest.raises(RunError, match="no alert 'ffff' in this stream of 12 alerts"):
        decide(stream_of("alice"), always(0.1), "ffff")


def test_the_drawn_graph_is_the_sentence(stream_of: StreamOf) -> None:
    drawn = graph_with(stream_of("alice"), always(0.1)).get_graph()
    edges = {(e.source, e.target) for e in drawn.edges}
    assert edges == {
        ("__start__", "ingest"), ("ingest", "gather"), ("ingest", "decide"), ("gather", "classify"),
        ("classify", "gather"), ("classify", "decide"), ("decide", "escalate"), ("decide", "dismiss"),
        ("decide", "review"), ("escalate", "__end__"), ("dismiss", "__end__"), ("review", "__end__"),
    }  # fmt: skip
