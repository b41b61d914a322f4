"""The LLM planner where the endpoint misbehaves, stalls and dies, or a chat model of somebody else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from turncoat.agent.llm_planner import HANGING, REST_PLANS, LlmPlanner
from turncoat.agent.planner import PLAYBOOK, Plan, PlannerFault, Question
from turncoat.agent.state import context_of
from turncoat.tools.records import Context

from .planner_endpoint import (
    GOOD,
    StreamOf,
    call,
    completion,
    decisions,
    one,
    serving,
)
from .servers import Answer

BROKEN: dict[str, tuple[Answer, str]] = {
    "500": (Answer(500, b"<html>secret of the server</html>"), "the endpoint answered 500"),
    "401": (Answer(401), "the endpoint answered 401"),
    "redirect": (Answer(307, headers={"Location": "http://127.0.0.1:1/"}), "the endpoint answered 307"),
    "garbage": (Answer(200, b"\x00\xff{{{"), "the reply is not a chat completion"),
    "deep": (Answer(200, b"[" * 50_000), "the reply is not a chat completion"),
    "no choices": (Answer(200, b'{"choices": []}'), "the reply is not a chat completion"),
    "calls without end": (completion(*[call("x", {})] * 300), "the reply is not a chat completion"),
    "calls that are none": (completion("x", 7), "the reply is not a chat completion"),
    "too long": (Answer(200, b" " * 200_000), "the reply is too long, or encoded though that was not asked for"),
    "cut": (Answer(200, b'{"choices": ', cut_at=5), "the reply was cut off or is not HTTP"),
    "reset": (Answer(cut_at=-1), "the connection broke"),
    "stall": (Answer(delay_s=5.0), "no reply within 0.6 s"),
    "drip": (Answer(200, b"{}", drip_s=0.2), "no reply within 0.6 s"),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_endpoint_leaves_the_alert_to_the_playbook_and_says_so(stream_of: StreamOf, what: str) -> None:
    answer, why = BROKEN[what]
    with serving(lambda request: answer) as (planner, server):
        ((state, decision),) = decisions(one(stream_of("alice")), planner, 0.4)
    ((expected, plain),) = decisions(one(stream_of("alice")), PLAYBOOK, 0.4)
    assert state["evidence"] == expected["evidence"]
    remark = f"; the planner failed ({why}), so the playbook was asked"
    assert decision == replace(plain, reason=plain.reason + remark)
    assert (planner.faults, len(server.asked)) == ({"no answer": 1}, 1)


def test_nothing_is_dismissed_through_a_planner_that_does_everything_wrong(stream_of: StreamOf) -> None:
    turn = iter(range(10_000))
    wrong = [completion(call("x", {})), completion(call("directory", "{")), completion(GOOD, call("y", "[[[")),
             completion(), *(answer for answer, _ in BROKEN.values() if answer.delay_s + answer.drip_s == 0)]  # fmt: skip
    stream = stream_of("alice")
    with serving(lambda request: wrong[next(turn) % len(wrong)]) as (planner, _):
        planned = decisions(stream, planner, 0.2)
    assert len(planned) == len(stream.alerts)
    for state, decision in planned:
        failed = context_of(state).failed_tools
        assert decision.action == ("review" if failed else "dismiss")
        if not failed:
            assert "so the playbook was asked" in decision.reason
    assert {decision.action for _, decision in planned} == {"review", "dismiss"}


def test_a_dead_endpoint_is_left_alone_for_a_while_and_tried_again(stream_of: StreamOf) -> None:
    alert = stream_of("alice").alerts[1]
    many = [replace(alert, uid=f"{n:04}", activity=f"activity {n}") for n in range(3 + REST_PLANS + 1)]
    up = threading.Event()
    with serving(lambda request: completion(GOOD) if up.is_set() else Answer(503)) as (planner, server):
        for alert in many[:-1]:
            with pytest.raises(PlannerFault):
                planner.plan(alert, Context())
        assert len(server.asked) == 3
        up.set()
        assert planner.plan(many[-1], Context()).steps == (Question("directory"),)
    with pytest.raises(PlannerFault, match="it rests after 3 failures in a row"):
        planner.plan(many[5], Context())


class Local(BaseChatModel):
    """A chat model in this process that does what it was given."""

    does: Callable[[], BaseMessage]

    @property
    def _llm_type(self) -> str:
        return "local"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.does())])


def test_any_chat_model_of_langchain_will_do(stream_of: StreamOf) -> None:
    said = AIMessage("", tool_calls=[{"name": "directory", "args": {"user": "alice"}, "id": "1"}])
    planner = LlmPlanner(Local(does=lambda: said), "local")
    assert planner.plan(stream_of("alice").alerts[1], Context()) == Plan((Question("directory"),))
    assert planner.identity == "llm 1 local"


def test_what_a_foreign_model_raises_is_named_by_its_kind_alone(stream_of: StreamOf) -> None:
    def fails() -> BaseMessage:
        raise ValueError("Incorrect API key provided: sk-12345")

    planner = LlmPlanner(Local(does=fails), "local")
    with pytest.raises(PlannerFault, match=r"^ValueError instead of an answer$"):
        planner.plan(stream_of("alice").alerts[1], Context())


def test_a_model_that_hangs_is_left_behind_and_soon_not_asked_any_more(stream_of: StreamOf) -> None:
    asked, end = [], threading.Event()

    def hangs() -> BaseMessage:
        asked.append(1)
        end.wait(60)
        return AIMessage("")

    planner = LlmPlanner(Local(does=hangs), "local", timeout_s=0.05)
    alert = stream_of("alice").alerts[1]
    reasons, begun = [], time.monotonic()
    for n in range(200):
        with pytest.raises(PlannerFault) as fault:
            planner.plan(replace(alert, activity=f"activity {n}"), Context())
        reasons.append(str(fault.value))
    end.set()
    assert time.monotonic() - begun < 5.0
    assert len(asked) == HANGING
    assert reasons[0] == "no answer within 0.05 s"
    assert f"{HANGING} earlier questions are still without an answer" in reasons
