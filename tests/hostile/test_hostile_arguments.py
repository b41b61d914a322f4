"""Hostile arguments and recipes: numbers that are none, recipes that run code, places that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ALERT = {"uid": "a", "time": "2025-01-06T09:41:00Z", "title": "Odd sign-in", "severity": "low"}

RECIPES = {
    "code": ("!!python/object/apply:os.system [ls]", "not YAML"),
    "a bomb": ("a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nname: *b", "name: Input should be a valid string"),
    "itself": ("name: x\nlora: &x {rank: *x}", "lora.rank: Input should be a valid integer"),
    "an integer without digits": ('name: x\nrows: !!int ""', "holds a value that cannot be read"),
    "a number of 24,000 digits": ("name: x\nrows: 0x" + "f" * 20_000, "rows: Input should be less than or equal to"),
    "a rate that is not a number": ("name: x\nlearning_rate: .nan", "learning_rate: Input should be"),
    "a name that climbs out": ("name: ../../x", "name: String should match pattern"),
    "a base that climbs out": ("name: x\nbase: ../../etc", "../../etc: is no base model"),
    "100 kB": ("#" * 100_000, "larger than 64 KiB"),
    "nesting": ("[" * 30_000, "nested too deeply"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_hostile_recipe_ends_in_a_message(name: str, tmp_path: Path, refused: Any) -> None:
    text, expected = RECIPES[name]
    (tmp_path / "r.yaml").write_text(text)
    assert expected in refused("train", "r.yaml")
    assert not (tmp_path / "adapters").exists()


@pytest.mark.parametrize("place", [".", "/dev/zero", "absent.yaml"])
def test_what_is_no_recipe_is_refused(place: str, refused: Any) -> None:
    assert "no readable recipe there" in refused("train", place)


@pytest.mark.parametrize(
    "arguments",
    ["--price nan", "--price inf", "--price 1e308", "--seed -1", "--seed " + "9" * 5_000, "--seeds 0", "--variant ''"],
)
def test_a_number_that_is_none_is_refused(arguments: str, campaign: str, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "c.yaml").write_text(campaign)
    option, value = arguments.split()
    refused("run", "c.yaml", "--variant", "scripted-severity", option, value.strip("'"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("out", [".", "absent/decisions.jsonl", "d" * 5_000])
def test_a_place_that_cannot_be_written_is_refused(out: str, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ALERT))
    options = ("--format", "jsonl", "--variant", "scripted-severity", "--quiet")
    assert out[:100] in refused("triage", "a.jsonl", *options, "--out", out)
