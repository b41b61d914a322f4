"""Near names, expected values by hand."""

from __future__ import annotations

import random
import re

import pytest

from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.near_names import (
    Near,
    host_named_alike,
    near_addresses,
    near_hosts,
    near_identity,
    near_users,
    near_words,
)

ALICE = Identity.named("Alice Smith", "alice", "company.example")


def test_near_names_of_alice() -> None:
    assert {near.value for near in near_users(ALICE)} == {
        "ALICE", "Alice", "alice.b", "alice2", "adm-alice", "alice@company.example", "a.smith", "alyce", "alicia",
        "alce", "alcie",
    }  # fmt: skip


def test_a_login_without_a_family_name_or_vowel_has_near_names_too() -> None:
    values = [near.value for near in near_users(Identity.named("Bob", "bob", ""))]
    assert values[:3] == ["BOB", "Bob", "bob.b"]
    assert len(values) == len(set(values))
    assert "bob" not in values


def test_near_hosts_addresses_and_words() -> None:
    assert {n.value for n in near_hosts("WS-042")} == {
        "ws-042", "WS-042.company.example", "WS-0421", "WS-043", "WS-047", "WS-42", "LT-042", "WS042",
    }  # fmt: skip
    assert {n.value for n in near_addresses("203.0.113.7")} == {
        "203.0.113.8", "203.0.113.7:443", "203.0.113.107", "203.0.114.7", "198.51.100.7", "203.000.113.007",
    }  # fmt: skip
    assert near_addresses("2001:db8::ff") == (
        Near("2001:db8::fe", "next address"),
        Near("[2001:db8::ff]", "brackets added"),
    )
    assert {n.value for n in near_words("--quiet-mode")} == {
        "--QUIET-MODE", "--quiet-mode2", "--quie-mode", "--quie-tmode", "-quiet-mode", "quiet-mode", "--quiet",
        "--mode", "--quiet_mode", "--quietmode",
    }  # fmt: skip


def test_the_last_address_there_is_has_a_neighbour() -> None:
    assert near_addresses("255.255.255.255")[0].value == "255.255.255.254"


@pytest.mark.parametrize(
    ("near", "shown"),
    [
        ("ALICE", "ALICE on WS-ALICE, owner ALICE, /home/ALICE, malice"),
        ("a.smith", "a.smith on WS-ASMITH, owner a.smith, /home/a.smith, malice"),
        (
            "alice@company.example",
            "alice@company.example on WS-ALICE, owner alice@company.example, /home/alice, malice",
        ),
        ("alicia", "alicia on WS-ALICIA, owner alicia, /home/alicia, malice"),
    ],
)
def test_a_near_name_takes_host_and_home_along(near: str, shown: str) -> None:
    text = "alice on WS-ALICE, owner alice, /home/alice, malice"
    assert rename(text, ALICE, near_identity(near, ALICE)) == shown


@pytest.mark.parametrize(
    ("host", "form"),
    [("WS-042", r"WS-\d{3}"), ("PC-97", r"PC-\d\d"), ("LT-BRAVO", r"LT-\d{3}"), ("mail", r"mail-\d{3}")],
)
def test_a_host_named_alike_has_the_form_and_is_another(host: str, form: str) -> None:
    rng = random.Random(0)
    others = {host_named_alike(host, rng) for _ in range(60)}
    assert host not in others
    assert len(others) > 5
    assert all(re.fullmatch(form, other) for other in others)
