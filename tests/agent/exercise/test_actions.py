"""What people may do, and what they are told where they may not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turncoat.agent.exercise.actions import cost_of
from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.forms import FORMS, allowed, read_form, roles_for
from turncoat.agent.exercise.records import DEEDS, PLAYERS, ROLES, Role
from turncoat.agent.exercise.view_records import FacilitatorView
from turncoat.scenarios.errors import InputError

from .small_exercise import at, opened


@pytest.fixture
def exercise(tmp_path: Path) -> Any:
    with opened(tmp_path) as begun:
        begun.run_to(at(1, 12))
        yield begun


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_refused_what_is_not_its_own(exercise: Exercise, role: Role) -> None:
    fields = {
        "open": {"uid": "x"}, "ask": {"uid": "x", "tool": "peers"}, "call": {"whom": "hr", "about": "x"},
        "override": {"uid": "x", "action": "review", "reason": "x"}, "isolate": {"host": "x", "reason": "x"},
        "disable": {"user": "x", "reason": "x"}, "preserve": {"target": "x"}, "swap": {"reason": "x"},
        "declare": {"summary": "x"}, "note": {"text": "x"}, "feedback": {"text": "x"}, "speed": {"speed": 2},
        "inject": {"id": "question"}, "tick-expected": {"id": "audit"}, "remark": {"text": "x"},
    }  # fmt: skip
    before = exercise.state
    for kind in set(FORMS) - set(allowed(role)):
        with pytest.raises(InputError, match=f"action: {kind} is not for the {role}; it is for the "):
            exercise.act(role, kind, fields.get(kind))
    assert exercise.state == before


def test_the_team_can_do_everything_between_them() -> None:
    for kind in DEEDS:
        assert set(roles_for(kind)) <= set(PLAYERS)
        assert roles_for(kind)
    assert roles_for("start") == ("facilitator",)


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("open", {}, "uid: field required"),
        ("open", {"uid": "x", "more": 1}, "more: extra inputs"),
        ("override", {"uid": "x", "action": "close", "reason": "x"}, "action: input should be 'escalate'"),
        ("override", {"uid": "x", "action": "dismiss", "reason": "  "}, "reason: say at least one word"),
        ("note", {"text": "x" * 2_001}, "text: string should have at most 2000"),
        ("audit", {"count": "many"}, "count: input should be a valid integer"),
        ("audit", {"count": 0}, "count: input should be greater"),
        ("audit", {"user": "nobody.here"}, "user: unknown account 'nobody.here'"),
        ("isolate", {"host": "WS-NOWHERE", "reason": "x"}, "host: unknown host 'WS-NOWHERE'"),
        ("ask", {"uid": "", "tool": "peers"}, "uid: say at least one word"),
        ("swop", {"reason": "x"}, "action: unknown action 'swop'; known are open, "),
    ],
)
def test_a_form_that_does_not_fit_is_refused_with_its_field(
    exercise: Exercise, kind: str, fields: dict[str, Any], told: str
) -> None:
    seq = exercise.state.seq
    with pytest.raises(InputError) as refused:
        exercise.act("lead", kind, fields)
    assert str(refused.value).startswith(told)
    assert exercise.state.seq == seq


def test_every_field_that_does_not_fit_is_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        read_form("override", {"uid": "", "action": "x"})
    assert [mistake.place for mistake in refused.value.mistakes] == ["uid", "action", "reason"]


def test_a_dismissed_alert_and_one_that_is_none_are_refused_alike(exercise: Exercise) -> None:
    hidden = exercise.material.uids["read"]
    for kind, more in {"open": {}, "ask": {"tool": "peers"}, "note": {"text": "x"}}.items():
        refusals = []
        for uid in (hidden, "0" * 12):
            with pytest.raises(InputError) as refused:
                exercise.act("analyst", kind, {"uid": uid, **more})
            refusals.append(str(refused.value).replace(uid, "..."))
        assert refusals[0] == refusals[1]


def test_nothing_is_switched_off_twice(exercise: Exercise) -> None:
    host = exercise.material.stream.world.hosts[0].name
    exercise.act("lead", "isolate", {"host": host, "reason": "odd"})
    with pytest.raises(InputError, match="has been seen to"):
        exercise.act("analyst", "isolate", {"host": host, "reason": "odd"})
    exercise.act("lead", "disable", {"user": "alice", "reason": "odd"}, wait=True)
    with pytest.raises(InputError, match="has been seen to"):
        exercise.act("lead", "disable", {"user": "alice", "reason": "odd"})


def test_costs_are_told_before_they_are_paid(exercise: Exercise) -> None:
    costs = {
        "ask": ({"tool": "mail_trace"}, timedelta(seconds=25)),
        "audit": ({"count": 4}, timedelta(minutes=12)),
        "call": ({"whom": "hr"}, timedelta(minutes=20)),
        "swap": ({}, timedelta(hours=1)),
    }
    for kind, (fields, expected) in costs.items():
        assert cost_of(kind, fields, exercise.material) == expected
    assert cost_of("override", {}, exercise.material) is None


@given(
    st.sampled_from(sorted(FORMS)), st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.text(), st.integers()))
)
def test_whatever_comes_in_is_a_form_or_a_refusal(kind: str, fields: dict[str, Any]) -> None:
    read: object
    try:
        read = read_form(kind, fields)
    except InputError as refused:
        read = refused
    assert isinstance(read, (FORMS[kind], InputError))


def test_the_facilitator_hands_over_as_many_injects_of_their_own_as_they_like(exercise: Exercise) -> None:
    for text in ("The phone rings.", "It rings again."):
        exercise.act("facilitator", "inject", {"to": ["lead"], "text": text})
    told = [inject.text for inject in exercise.view("lead").injects]
    assert {"It rings again.", "The phone rings."} <= set(told)
    exercise.act("facilitator", "inject", {"id": "thanks"})
    with pytest.raises(InputError, match="'thanks' was given already"):
        exercise.act("facilitator", "inject", {"id": "thanks"})


def test_a_mark_that_is_taken_away_leaves_the_log_to_speak(exercise: Exercise) -> None:
    def standing() -> tuple[str, bool | None]:
        view = exercise.view("facilitator")
        assert isinstance(view, FacilitatorView)
        return next((one.standing, one.ticked) for one in view.expected if one.id == "audit")

    exercise.act("facilitator", "tick-expected", {"id": "audit", "done": "true"})
    assert standing() == ("met", True)
    exercise.act("facilitator", "tick-expected", {"id": "audit", "done": ""})
    assert standing() == ("open", None)
    exercise.act("lead", "audit", {"count": 1})
    assert standing() == ("met", None)
    exercise.act("facilitator", "tick-expected", {"id": "audit", "done": "false"})
    assert standing() == ("open", False)
