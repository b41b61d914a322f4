"""A real OpenAI-compatible server that plans, and the decisions that are made with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from turncoat.agent.graph import graph_of
from turncoat.agent.llm_planner import LlmPlanner
from turncoat.agent.nodes import Desk
from turncoat.agent.planner import PlannerOptions, open_planner
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Decision, Settings
from turncoat.agent.state import State, decision_of, start
from turncoat.agent.triage import NoCloud
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.records import AlertStream
from turncoat.tools.playbooks import PLAYBOOKS
from turncoat.tools.toolbox import Toolbox

from .servers import Answer, LocalServer

StreamOf = Callable[[str], AlertStream]
Brain = Callable[[dict[str, Any]], Answer]
TIMEOUT_S = 0.6
"""Short, since stalls must be waited for."""


def call(name: str, arguments: object) -> dict[str, Any]:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": written}}


def completion(*calls: object, **message: object) -> Answer:
    """What an OpenAI-compatible server sends."""
    said = {"role": "assistant", "content": None, "tool_calls": list(calls)} | message
    body = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": said}]}
    return Answer(body=json.dumps(body).encode())


def case_in(request: dict[str, Any]) -> dict[str, Any]:
    """The case that a request shows."""
    text = request["messages"][1]["content"].removeprefix("<case>\n").removesuffix("\n</case>")
    case: dict[str, Any] = json.loads(text)
    return case


def as_the_playbook(request: dict[str, Any]) -> Answer:
    """A model that asks what the playbook asks, with arguments copied from the alert; empty where it names none."""
    case = case_in(request)
    names = {t["function"]["name"]: next(iter(t["function"]["parameters"]["properties"])) for t in request["tools"]}
    entities = case["entities"]
    peer = entities.get("domain") or entities.get("address") or ""
    values = {"user": entities.get("user", ""), "host": entities.get("host", ""), "indicator": peer, "peer": peer,
              "scope": entities.get("host") or entities.get("resource") or ""}  # fmt: skip
    tools = PLAYBOOKS[case["kind"]].rounds[1 if case["evidence"] else 0]
    return completion(*(call(tool, {names[tool]: values[names[tool]]}) for tool in tools))


@contextmanager
def serving(brain: Brain, *, timeout_s: float = TIMEOUT_S) -> Iterator[tuple[LlmPlanner, LocalServer]]:
    with LocalServer(lambda asked: brain(json.loads(asked.body))) as server:
        planner = open_planner("llm", PlannerOptions(url=server.url, model="planner-model", timeout_s=timeout_s))
        assert isinstance(planner, LlmPlanner)
        yield planner, server
        planner.close()


def decisions(stream: AlertStream, planner: object, p: float | None) -> list[tuple[State, Decision]]:
    """Every alert of a stream, by a classifier that always says `p`, or by the severity if it is None."""
    classifier = ScriptedClassifier("scripted-severity" if p is None else lambda case: p)
    desk = Desk(Toolbox(stream), classifier, ThresholdPolicy(), NoCloud(), Settings(), planner)  # type: ignore[arg-type]
    graph = graph_of(desk)
    found = []
    for alert in stream.alerts:
        state = State(**graph.invoke(start(alert.uid, "v")))  # type: ignore[typeddict-item]
        decision = decision_of(state)
        assert decision is not None
        found.append((state, decision))
    return found


def one(stream: AlertStream, uid: str = "03bb") -> AlertStream:
    return replace(stream, alerts=tuple(alert for alert in stream.alerts if alert.uid == uid))


GOOD = call("directory", {"user": "alice"})
