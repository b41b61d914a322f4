"""Renaming touches a person's identity and nothing else, and can be undone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat.scenarios.facts import HostRecord, PersonNote
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.scenarios.world import Person, build_world

ALICE = Identity.named("Alice Smith", "alice", "corp.example")
NORA = Identity.named("Nora Keller", "nora", "corp.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice", "nora"),
        ("Alice Smith read a file", "Nora Keller read a file"),
        ("Smith, Alice", "Keller, Nora"),
        ("alice@corp.example", "nora@corp.example"),
        (r"C:\Users\alice\plan.xlsx", r"C:\Users\nora\plan.xlsx"),
        ("/home/alice/.ssh", "/home/nora/.ssh"),
        ("WS-ALICE", "WS-NORA"),
        ("ws-alice.corp.example", "ws-nora.corp.example"),
        ("LT-ALICE copied to WS-ALICE", "LT-NORA copied to WS-NORA"),
        ("CORP\\alice", "CORP\\nora"),
        ("alice_backup.zip", "nora_backup.zip"),
        ("Alice's laptop", "Nora's laptop"),
        ("malice and chalice", "malice and chalice"),
        ("MALICE-ALICES", "MALICE-ALICES"),
        ("alice2", "alice2"),
        ("", ""),
    ],
)
def test_identity_strings_are_replaced_and_lookalike_words_are_not(text: str, expected: str) -> None:
    assert rename(text, ALICE, NORA) == expected
    assert rename(expected, NORA, ALICE) == text


def test_an_alias_keeps_home_and_machine() -> None:
    alias = Identity("Alice Smith", "alice.smith", "alice.smith@corp.example", "alice", "ALICE")
    text = r"alice on WS-ALICE wrote C:\Users\alice\a.txt and alice.txt"
    renamed = rename(text, ALICE, alias)
    assert renamed == r"alice.smith on WS-ALICE wrote C:\Users\alice\a.txt and alice.smith.txt"
    assert rename(renamed, alias, ALICE) == text


def test_an_alert_its_facts_and_a_mapping_are_renamed_keys_included() -> None:
    alert = Alert("0f", datetime(2026, 3, 2, tzinfo=UTC), "Bulk read", Severity.HIGH, "DLP", "T1039", "data",
                  "alice read", Entities(user="alice", host="WS-ALICE"), {"alice": "x"})  # fmt: skip
    facts = {"alice": (PersonNote("alice", "in office", "GB"), HostRecord("WS-ALICE", "laptop", "alice", "normal"))}
    renamed_alert, renamed_facts = rename((alert, facts), ALICE, NORA)
    assert renamed_alert.entities == Entities(user="nora", host="WS-NORA")
    assert renamed_alert.raw == {"nora": "x"}
    assert renamed_alert.severity is Severity.HIGH
    assert renamed_alert.time is alert.time
    assert renamed_facts == {
        "nora": (PersonNote("nora", "in office", "GB"), HostRecord("WS-NORA", "laptop", "nora", "normal"))
    }
    assert rename((renamed_alert, renamed_facts), NORA, ALICE) == (alert, facts)


def test_a_whole_world_comes_back_byte_for_byte() -> None:
    cast = Person("Alice Smith", "alice", "", "Finance", "analyst", "standard", "GB", 9, 17)
    world = build_world(2, cast=[cast])
    alice = Identity.of(world.people[0])
    nora = Identity.named("Nora Keller", "nora", world.domain)
    renamed = rename(world, alice, nora)
    assert renamed.person("alice") is None
    assert renamed.person("nora") is not None
    assert rename(renamed, nora, alice).digest() == world.digest()


words = st.sampled_from(
    ["alice", "Alice", "Alice Smith", "WS-ALICE", "ws-alice", "malice", "alice@corp.example",
     r"C:\Users\alice", "/home/alice", " ", "-", ".", "@", "Smith", "Smith, Alice", "x", "_", "A", "ALICE", "\\", "1"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(words, max_size=12).map("".join))
def test_renaming_back_gives_the_identical_text(text: str) -> None:
    assert rename(rename(text, ALICE, NORA), NORA, ALICE) == text
