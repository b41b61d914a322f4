from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from turncoat.agent.course import Course, PlannedState, course_of, plain_course
from turncoat.agent.graph import Graph, graph_of
from turncoat.agent.nodes import Desk, foreseeable, gather_round
from turncoat.agent.planner import (
    PLANNERS,
    PLAYBOOK,
    Plan,
    Planner,
    PlannerFault,
    PlannerOptions,
    PlaybookPlanner,
    Question,
    open_planner,
)
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Decision, Settings
from turncoat.agent.state import State, decision_of, start
from turncoat.agent.triage import NoCloud
from turncoat.agent.warming import Foreseen, warm_up
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.arguments import UserQuestion
from turncoat.tools.playbooks import Playbook
from turncoat.tools.records import Context, Evidence
from turncoat.tools.toolbox import Toolbox

StreamOf = Callable[[str], AlertStream]
REFUSED = Evidence("planner", "telepathy", "no answer (unknown tool)", 0.0, failed=True)


class Steps:
    """A planner that plays given rounds, one a call; an exception among them is raised. Keeps the contexts it saw."""

    name = "steps"
    identity = "steps"
    foreseeable = False

    def __init__(self, *rounds: Plan | Exception) -> None:
        self.rounds = rounds
        self.seen: list[Context] = []

    def plan(self, alert: Alert, context: Context) -> Plan:
        self.seen.append(context)
        planned = self.rounds[min(len(self.seen), len(self.rounds)) - 1]
        if isinstance(planned, Exception):
            raise planned
        return planned

    def close(self) -> None: ...


def asks(*tools: str) -> Plan:
    return Plan(tuple(Question(tool) for tool in tools))


def desk_of(stream: AlertStream, planner: Planner, p: float = 0.4, **settings: object) -> Desk:
    under = replace(Settings(), **settings)  # type: ignore[arg-type]
    return Desk(Toolbox(stream), ScriptedClassifier(lambda case: p), ThresholdPolicy(), NoCloud(), under, planner)


def investigate(desk: Desk, uid: str) -> tuple[list[str], Decision, State]:
    """Tools that were asked, decision and last state."""
    state = State(**graph_of(desk).invoke(start(uid, "v")))  # type: ignore[typeddict-item]
    decision = decision_of(state)
    assert decision is not None
    return [e["tool"] for e in state["evidence"]], decision, state


def steps(graph: Graph, uid: str) -> list[str]:
    return [node for update in graph.stream(start(uid, "v"), stream_mode="updates") for node in update]


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_every_planner_of_the_registry_keeps_the_protocol(name: str) -> None:
    planner = open_planner(name, PlannerOptions(url="http://127.0.0.1:9/v1", model="m"))
    assert isinstance(planner, Planner)
    assert planner.name == name
    assert planner.identity.startswith(name)
    planner.close()


def test_an_unknown_planner_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="planner: unknown planner 'oracle'; known are llm, playbook"):
        open_planner("oracle")


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 601.0, float("nan"), float("inf")])
def test_a_time_limit_out_of_range_is_refused(timeout_s: float) -> None:
    with pytest.raises(InputError, match="timeout_s"):
        PlannerOptions(timeout_s=timeout_s)


def test_the_playbook_plans_its_rounds_and_then_nothing(stream_of: StreamOf) -> None:
    alert = stream_of("alice").alerts[1]
    assert PLAYBOOK.plan(alert, Context()) == asks("directory", "baseline", "peers")
    assert PLAYBOOK.plan(alert, Context(round=1)) == asks("reputation", "mail_trace")
    assert PLAYBOOK.plan(alert, Context(round=2)) == Plan(ended=True)


def test_an_empty_round_of_a_playbook_does_not_end_the_gathering(stream_of: StreamOf) -> None:
    book = PlaybookPlanner({"data": Playbook("data", ((), ("peers",)))})
    desk = replace(desk_of(stream_of("alice"), book), playbook=book)
    assert investigate(desk, "03bb")[0] == ["peers"]


def test_a_question_with_arguments_of_its_own_is_put_as_it_stands(stream_of: StreamOf) -> None:
    planner = Steps(Plan((Question("peers", UserQuestion(user="nobody")),)))
    _, _, state = investigate(desk_of(stream_of("alice"), planner, p=0.1), "03bb")
    (evidence,) = state["evidence"]
    assert (evidence["question"], evidence["answer"], evidence["cost_s"]) == ("nobody", "unknown peers", 12.0)


def test_a_toolbox_that_takes_no_free_questions_has_failed(stream_of: StreamOf) -> None:
    class OwnQuestionsOnly:
        stream = stream_of("alice")

        def ask(self, tool: str, alert: Alert) -> Evidence:
            return Evidence(tool, "own", "answer", 1.0)

    planner = Steps(Plan((Question("peers", UserQuestion(user="nobody")), Question("peers"))))
    desk = replace(desk_of(stream_of("alice"), planner, p=0.05), toolbox=OwnQuestionsOnly())
    _, decision, state = investigate(desk, "03bb")
    assert [e["failed"] for e in state["evidence"]] == [True, False]
    assert decision.action == "review"


def test_what_is_refused_is_shown_to_the_model_and_bars_dismissal(stream_of: StreamOf) -> None:
    planner = Steps(Plan((REFUSED, Question("peers")), faults={"unknown tool": 1}))
    tools, decision, _ = investigate(desk_of(stream_of("alice"), planner, p=0.05), "03bb")
    assert tools == ["planner", "peers"]
    assert decision.action == "review"
    assert decision.reason == (
        "p_malicious 0.050 is below 0.5; dismissal barred: planner failed; the planner's faults: unknown tool (1)"
    )


def test_refused_questions_are_kept_though_the_budget_is_spent(stream_of: StreamOf) -> None:
    # peers alone costs 12 s of the 10 s: the directory after it is not asked, the refusal still counts.
    planner = Steps(Plan((Question("peers"), Question("directory"), REFUSED)))
    desk = desk_of(stream_of("alice"), planner, p=0.05, evidence_budget_s=10.0)
    tools, decision, _ = investigate(desk, "03bb")
    assert tools == ["peers", "planner"]
    assert decision.action == "review"


def test_faults_are_counted_over_the_rounds_of_an_alert(stream_of: StreamOf) -> None:
    planner = Steps(
        Plan((Question("peers"),), faults={"repeated calls": 1, "calls beyond the limit": 3}),
        Plan((Question("directory"),), faults={"repeated calls": 2}),
    )
    decision = investigate(desk_of(stream_of("alice"), planner), "03bb")[1]
    assert decision.reason.endswith("; the planner's faults: calls beyond the limit (3), repeated calls (3)")
    assert decision.action == "dismiss"


def test_a_planner_has_as_many_rounds_as_the_playbook(stream_of: StreamOf) -> None:
    planner = Steps(asks("peers"), asks("directory"), asks("baseline"))
    assert investigate(desk_of(stream_of("alice"), planner), "03bb")[0] == ["peers", "directory"]
    assert [context.round for context in planner.seen] == [0, 1]


def test_a_planner_that_ends_costs_no_second_verdict(stream_of: StreamOf) -> None:
    desk = desk_of(stream_of("alice"), Steps(asks("peers"), Plan(ended=True)))
    assert steps(graph_of(desk), "03bb") == [
        "ingest", "gather", "classify", "gather", "classify", "decide", "dismiss",
    ]  # fmt: skip
    tools, decision, state = investigate(desk_of(stream_of("alice"), Steps(asks("peers"), Plan(ended=True))), "03bb")
    assert (tools, state["round"], state["verdicts"]) == (["peers"], 1, 1)
    # peers 12 s and one verdict 2 s
    assert (decision.simulated_time - stream_of("alice").alerts[1].time).total_seconds() == 14.0


@pytest.mark.parametrize(("p", "action"), [(0.4, "review"), (0.05, "review"), (0.95, "escalate")])
def test_a_planner_that_asks_for_nothing_at_all_cannot_bring_about_a_dismissal(
    stream_of: StreamOf, p: float, action: str
) -> None:
    planner = Steps(Plan(ended=True))
    _, decision, state = investigate(desk_of(stream_of("alice"), planner, p=p), "03bb")
    assert (decision.action, decision.forced) == (action, False)
    assert [e["answer"] for e in state["evidence"]] == ["no answer (nothing was asked)"]
    assert len(planner.seen) == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [(PlannerFault("no reply within 5 s"), "no reply within 5 s"), (KeyError("sk-secret"), "KeyError")],
)
def test_a_planner_that_raises_is_replaced_by_the_playbook_for_this_alert(
    stream_of: StreamOf, error: Exception, why: str
) -> None:
    planner = Steps(error)
    tools, decision, _ = investigate(desk_of(stream_of("alice"), planner), "03bb")
    assert tools == ["directory", "baseline", "peers", "reputation", "mail_trace"]
    assert decision.action == "dismiss"
    assert decision.reason == (f"p_malicious 0.400 is below 0.5; the planner failed ({why}), so the playbook was asked")
    assert len(planner.seen) == 1


def test_a_planner_that_fails_in_the_second_round_leaves_the_rest_to_the_playbook(stream_of: StreamOf) -> None:
    planner = Steps(asks("peers", "sign_ins"), RuntimeError("gone"))
    tools, _, _ = investigate(desk_of(stream_of("alice"), planner), "03bb")
    assert tools == ["peers", "sign_ins", "directory", "baseline", "reputation", "mail_trace"]


def test_a_planner_that_returns_no_plan_has_failed(stream_of: StreamOf) -> None:
    planner = Steps("everything")  # type: ignore[arg-type]
    tools, decision, _ = investigate(desk_of(stream_of("alice"), planner, p=0.95), "03bb")
    assert tools == ["directory", "baseline", "peers"]
    assert "the planner failed (AttributeError)" in decision.reason


def test_withheld_evidence_beats_any_planner(stream_of: StreamOf) -> None:
    planner = Steps(asks("peers"))
    tools, decision, _ = investigate(desk_of(stream_of("alice"), planner, withhold_evidence=True), "03bb")
    assert (tools, decision.action, planner.seen) == ([], "dismiss", [])


def test_no_planner_is_asked_about_an_alert_from_outside_or_of_unknown_kind(stream_of: StreamOf) -> None:
    stream, planner = stream_of("alice"), Steps(asks("peers"))
    outside = replace(stream, alerts=(replace(stream.alerts[1], kind="external"),))
    assert investigate(desk_of(outside, planner), "03bb")[1].action == "dismiss"
    unknown = replace(stream, alerts=(replace(stream.alerts[1], kind="satellite"),))
    assert investigate(desk_of(unknown, planner), "03bb")[1].forced
    assert planner.seen == []


def test_only_what_can_be_told_ahead_is_warmed(stream_of: StreamOf) -> None:
    stream = stream_of("alice")
    asked: list[str] = []

    class Counting(ScriptedClassifier):
        def classify(self, cases: Sequence[object]) -> list[object]:  # type: ignore[override]
            asked.extend(case.alert.uid for case in cases)  # type: ignore[attr-defined]
            return super().classify(cases)  # type: ignore[arg-type, return-value]

    planner = Steps(asks("peers"))
    foreseen = Foreseen("v", Counting("scripted-severity"))
    desk = replace(desk_of(stream, planner), classifier=foreseen)
    assert warm_up({}, [(desk, foreseen)], [stream.alerts]) == ""
    assert (asked, planner.seen) == ([], [])
    blind = replace(desk, settings=replace(desk.settings, withhold_evidence=True))
    warm_up({}, [(blind, foreseen)], [stream.alerts])
    assert (len(asked), planner.seen) == (12, [])


def test_foreseeable_is_what_the_playbook_asks_or_nobody(stream_of: StreamOf) -> None:
    alert = stream_of("alice").alerts[1]
    books, model = desk_of(stream_of("alice"), PLAYBOOK), desk_of(stream_of("alice"), Steps(asks("peers")))
    assert [foreseeable(books, a) for a in (alert, replace(alert, kind="satellite"))] == [True, False]
    assert [foreseeable(model, a) for a in (alert, replace(alert, kind="external"))] == [False, True]


def test_the_playbook_leaves_the_course_as_it_is(stream_of: StreamOf) -> None:
    desk = desk_of(stream_of("alice"), PLAYBOOK)
    context, course = gather_round(desk, stream_of("alice").alerts[1], Context())
    assert (context.round, len(context.evidence), course) == (1, 3, Course())


def test_an_interrupted_alert_keeps_to_its_planner(stream_of: StreamOf) -> None:
    planner, saver = Steps(PlannerFault("down"), asks("sign_ins")), InMemorySaver()
    graph = graph_of(desk_of(stream_of("alice"), planner), saver)
    config = {"configurable": {"thread_id": "one"}}
    for update in graph.stream(start("03bb", "v"), config, stream_mode="updates"):  # type: ignore[call-overload]
        if "classify" in update:
            break
    again = graph_of(desk_of(stream_of("alice"), planner), saver)
    state = again.invoke(None, config)  # type: ignore[call-overload]
    assert [e["tool"] for e in state["evidence"]] == ["directory", "baseline", "peers", "reputation", "mail_trace"]
    assert "(down)" in state["decision"]["reason"]
    assert len(planner.seen) == 1


def test_a_course_survives_its_plain_form() -> None:
    course = Course(True, "down", {"repeated calls": 2})
    plain = json.loads(json.dumps(plain_course(course)))
    assert course_of(PlannedState(course=plain)) == course


@pytest.mark.parametrize(
    "plain",
    [None, [], {}, {"ended": 1, "fallback": "", "faults": {}}, {"ended": True, "fallback": [], "faults": {}},
     {"ended": True, "fallback": "", "faults": [1]}, {"ended": True, "fallback": "", "faults": {"x": "y"}},
     {"ended": True, "fallback": "", "faults": {}, "more": 1}],
)  # fmt: skip
def test_a_course_that_somebody_tampered_with_is_a_fresh_one(plain: object) -> None:
    assert course_of(PlannedState(course=plain)) == Course()  # type: ignore[typeddict-item]
