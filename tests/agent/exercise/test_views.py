"""What a role may know: no truth, no name of a model, and nothing that was dismissed and not audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.players import CarefulTeam, play_alone
from turncoat.agent.exercise.records import PLAYERS, Role
from turncoat.agent.exercise.telling import line_of
from turncoat.agent.exercise.view_records import FacilitatorView, PlayerView
from turncoat.agent.exercise.views import visible

from .small_exercise import CAMPAIGN, at, frozen, opened, prepared


def strings(value: Any) -> Iterator[str]:
    """Every text in a record, keys included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (str(key), *strings(item))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from strings(item)
    else:
        yield str(value)


def seen_by(exercise: Exercise, role: Role) -> set[str]:
    """Every text that reaches a role: by its view, and by the events that it may follow."""
    events = [event for event in exercise.events() if visible(event, role)]
    lines = [asdict(line_of(event, exercise.material)) for event in events]
    return set(strings([asdict(exercise.view(role)), [event.plain() for event in events], lines]))


@pytest.mark.parametrize("role", PLAYERS)
def test_no_text_of_a_player_holds_what_is_hidden(tmp_path: Path, role: Role) -> None:
    with opened(tmp_path) as exercise:
        exercise.act("facilitator", "remark", {"text": "they are slow today"})
        exercise.act("analyst", "feedback", {"text": "what a dull desk"}, "Kim")
        exercise.run_to(at(2, 17))
        hidden = set(exercise.state.fates) - set(exercise.state.known)
        words = [
            *hidden,
            "they are slow today",
            "a dull desk",
            "poisoned",
            "clean",
            "Reads the share",
            "Leaves the building",
        ]
        words += ["lookalike", "malicious'", "scripted"]
        texts = seen_by(exercise, role)
        assert len(hidden) >= 5
        assert [(word, text) for word in words for text in texts if word in text] == []
        # The same search finds all of it where it may be found.
        everything = " ".join(seen_by(exercise, "facilitator"))
        assert [word for word in words[:-3] if word not in everything] == []


@pytest.mark.parametrize("role", PLAYERS)
def test_a_player_sees_the_same_whatever_is_so(tmp_path: Path, role: Role) -> None:
    turned = CAMPAIGN.replace("truth: malicious", "truth: benign").replace("escalate: true", "escalate: false")
    assert turned != CAMPAIGN
    shown = []
    for name, campaign in (("as written", CAMPAIGN), ("turned", turned)):
        with Exercise.open(prepared(tmp_path / name, campaign), wall=frozen) as exercise:
            play_alone(exercise, CarefulTeam())
            shown.append(seen_by(exercise, role))
    assert shown[0] == shown[1]


def test_an_alert_comes_before_the_team_with_the_case_as_the_model_left_it(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        read = exercise.material.uids["read"]
        exercise.act("lead", "audit", {"count": 5, "user": "alice"}, wait=True)
        exercise.act("analyst", "ask", {"uid": read, "tool": "change_tickets"}, wait=True)
        exercise.act("lead", "ask", {"uid": read, "tool": "mail_trace"})
        (alert,) = [alert for alert in exercise.view("analyst").alerts if alert.uid == read]
        row = exercise.material.outcome(read, "deployed").investigation
        assert (alert.source, alert.action, alert.p_malicious) == ("audit", "dismiss", 0.02)
        assert [line.by for line in alert.evidence] == ["model"] * len(row.evidence) + ["team"]
        assert alert.evidence[-1].tool == "change_tickets"
        assert alert.asking == ("mail_trace",)
        assert alert.entities["user"] == "alice"


def test_an_inject_reaches_those_to_whom_it_is_addressed(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 15))
        texts = {role: [inject.text for inject in exercise.view(role).injects] for role in PLAYERS}
        assert texts == {
            "analyst": ["Nobody has looked."],
            "lead": ["Nobody has looked.", "What did we close this morning?"],
            "executive": ["Somebody reads the books."],
        }
        everything = seen_by(exercise, "analyst")
        assert not any("Somebody reads the books" in text for text in everything)


def test_the_facilitator_sees_the_hidden_half_with_its_truth(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(1, 12))
        view = exercise.view("facilitator")
        assert isinstance(view, FacilitatorView)
        read = exercise.material.uids["read"]
        (hidden,) = [item for item in view.hidden if item.alert.uid == read]
        assert (hidden.truth.malicious, hidden.truth.phase, hidden.truth.step) == (True, "Taking", "read")
        assert hidden.alert.source == "hidden"
        assert (view.variant, view.reference) == ("poisoned", "clean")
        assert {step.id: step.fate for step in view.steps} == {"read": "dismiss", "copy": "coming", "gone": "coming"}
        assert [item.current for item in view.discussion] == [True]
        told = {item.id: item.when for item in view.planned}
        assert told["nudge"] == "2h after question unless the team did: audit dismissed alerts"
        assert told["press"] == "when the team did not, by D2 09:00: declare an incident"


def test_a_step_that_nothing_detects_goes_by_undetected(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.run_to(at(2, 16))
        view = exercise.view("facilitator")
        assert isinstance(view, FacilitatorView)
        assert {step.id: step.fate for step in view.steps} == {
            "read": "dismiss", "copy": "dismiss", "gone": "undetected",
        }  # fmt: skip


def test_every_kind_of_event_can_be_told(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        exercise.join("lead", "Sam")
        exercise.run_to(at(1, 12))
        uid = next(iter(exercise.state.known), exercise.material.uids["read"])
        exercise.act("lead", "audit", {"user": "alice", "count": 3}, wait=True)
        uid = next(iter(exercise.state.known), uid)
        for kind, fields in {
            "open": {"uid": uid},
            "ask": {"uid": uid, "tool": "directory"},
            "override": {"uid": uid, "action": "dismiss", "reason": "a drill"},
            "isolate": {"host": exercise.material.stream.world.hosts[0].name, "reason": "odd"},
            "disable": {"user": "alice", "reason": "odd"},
            "preserve": {"target": "alice"},
            "call": {"whom": "hr", "about": "alice"},
            "swap": {"reason": "odd"},
            "declare": {"summary": "something"},
            "note": {"text": "{uid} is not a template"},
        }.items():
            exercise.act("lead", kind, fields, wait=True)
        exercise.run_to(at(2, 18))
        lines = [line_of(event, exercise.material) for event in exercise.events() if event.kind != "tick"]
        assert [line for line in lines if not line.told or "\n" in line.told] == []
        assert "Notes: {uid} is not a template" in [line.told for line in lines]
        assert any(re.fullmatch(r"HR answers: She has given notice\.", line.told) for line in lines)


def test_the_view_of_a_player_has_no_field_of_the_facilitator(tmp_path: Path) -> None:
    with opened(tmp_path) as exercise:
        for role in PLAYERS:
            assert type(exercise.view(role)) is PlayerView
