"""The cloud's load and the memory at 80 columns: every figure whole, names clean, and the same figures as objects."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from turncoat.agent.cascade import CloudTerms
from turncoat.agent.records import Action, Decision, Investigation, Outcome
from turncoat.console.cascade_tables import brief, cascade_json, cascade_view, memory_json, memory_view
from turncoat.scenarios.records import Alert, Entities, Severity

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def outcome(uid: str, variant: str, principal: str, action: Action, minutes: float) -> Outcome:
    at = START + timedelta(minutes=minutes)
    alert = Alert(uid, at, "rule", Severity.LOW, "p", None, "data", entities=Entities(user=principal, host="WS-1"))
    decision = Decision(action, False, "threshold", "r", at + timedelta(minutes=1))
    return Outcome(
        alert, Investigation(uid, variant, principal, None, decision, (), 1), True, "theft", None, False, True, ()
    )


def rows(variant: str, alice: str) -> list[Outcome]:
    """Three attack alerts, a day apart, under three names; nora's and tessa's are escalated."""
    words: dict[str, Action] = {"d": "dismiss", "e": "escalate"}
    return [
        outcome(f"a{i}", variant, name, words[action], 1_440 * i)
        for name, actions in (("alice", alice), ("nora", "eee"), ("tessa", "eee"))
        for i, action in enumerate(actions)
    ]


RUN = rows("clean", "dee") + rows("a-variant-with-a-long-name", "ddd")
DEAR = CloudTerms(daily_budget=1_000, price=12_345.5, overflow_price=99_999.25, analysts=12, minutes_per_alert=45.5)


def drawn(thing: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_clouds_load_is_shown_whole_at_80_columns() -> None:
    shown = drawn(cascade_view(RUN, DEAR)).splitlines()
    assert max(map(len, shown)) <= 80
    # Clean under Alice: the second attack alert is the first that is escalated, a day and a minute after the first.
    assert shown[3].split() == ["clean", "alice", "2", "0", "24,691.00", "0", "1.5", "<1m/<1m", "24h01"]
    assert shown[4].split() == ["nora", "3", "0", "37,036.50", "0", "2.3", "<1m/<1m", "1m"]
    assert shown[5].split()[1:] == ["alice", "0", "0", "0.00", "0", "0.0", "–", "✗", "never"]
    words = "12 analysts, 08-18 UTC, 45.5 min an alert; 1,000 a day, the rest waits a day at 99,999.25"
    assert " ".join(" ".join(shown[7:]).split()) == words


def test_what_was_not_asked_for_has_no_column() -> None:
    shown = drawn(cascade_view(RUN, CloudTerms(analysts=1)))
    assert "cost" not in shown
    assert "over" not in shown
    assert shown.splitlines()[-1] == "1 analyst, 08-18 UTC, 15 min an alert"


def test_the_memory_is_shown_against_the_run_itself() -> None:
    shown = drawn(memory_view(RUN)).splitlines()
    assert max(map(len, shown)) <= 80
    # The one dismissal of the clean model covers both later alerts; nothing is left that anybody sees.
    assert shown[3].split() == ["clean", "alice", "2", "2", "→", "0", "24h01", "→", "✗", "never", "2.00", "2m"]
    assert shown[4].split() == ["nora", "0", "3", "→", "3", "1m", "→", "1m", "–", "–"]
    assert shown[5].split()[1:] == ["alice", "2", "0", "→", "0", "✗", "never", "→", "✗", "never", "0.00", "2m"]
    assert "lift: clean +0.33 → +1.00, a-variant-with-a-long-name +1.00 → +1.00" in " ".join(shown)


def test_the_first_two_names_are_shown_unless_others_are_asked_for() -> None:
    assert "tessa" not in drawn(cascade_view(RUN, CloudTerms()))
    assert "tessa" in drawn(memory_view(RUN, principals=["alice", "tessa"]))


def test_a_wide_terminal_shows_long_names_whole() -> None:
    assert "a-variant-with-a-long-n" in drawn(cascade_view(RUN, CloudTerms(), 120), 120)
    assert "a-variant-with-a-long-n" in drawn(memory_view(RUN, 120), 120)


@pytest.mark.parametrize("evil", ["\x1b[2Jgone", "[red]bare[/red]", "a\u202eb", "x\x07\x1b]0;t\x07"])
def test_a_hostile_name_reaches_no_terminal(evil: str) -> None:
    given = [outcome("a", evil, "alice", "dismiss", 0), outcome("b", evil, "alice", "escalate", 5)]
    for shown in (drawn(cascade_view(given, CloudTerms())), drawn(memory_view(given))):
        assert not set(shown) & set("\x1b\x07\u202e")
    if evil.startswith("["):
        assert "[red]bare" in drawn(cascade_view(given, CloudTerms(), 120), 120)


def test_an_empty_run_draws_empty_tables() -> None:
    assert "Cloud load" in drawn(cascade_view([], CloudTerms()))
    assert "With a memory" in drawn(memory_view([]))


def test_the_same_figures_come_as_plain_objects_for_every_name() -> None:
    loads = json.loads(json.dumps(cascade_json(RUN, DEAR), allow_nan=False))
    assert [(one["variant"][:5], one["principal"], one["escalations"]) for one in loads[:3]] == [
        ("clean", "alice", 2), ("clean", "nora", 3), ("clean", "tessa", 3),
    ]  # fmt: skip
    memory = json.loads(json.dumps(memory_json(RUN), allow_nan=False))
    assert memory["reports"][0]["spread"] == 2.0
    assert memory["lift"]["clean"] == {"without": pytest.approx(1 / 3), "remembered": 1.0}


def test_minutes_take_five_characters_at_most() -> None:
    assert [brief(m) for m in (0.2, 22, 119, 200, 2_879, 3_120, 14_399, 14_400)] == [
        "<1m", "22m", "119m", "3h20", "47h59", "2d4h", "9d23h", "10d",
    ]  # fmt: skip
