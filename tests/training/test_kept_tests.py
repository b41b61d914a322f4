"""Kept test rows give the margins of a workshop that computes every layer, and pass the frozen layers once."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.families import training_families
from turncoat.training.config import Recipe
from turncoat.training.corpus import RowSource, draw_rows
from turncoat.training.kept_tests import KeptTests
from turncoat.training.progress import Progress
from turncoat.training.workshop import Workshop


def test_margins_are_those_of_all_layers_and_the_trunk_is_passed_once(
    tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    workshop = Workshop(str(tiny_base.path), lambda progress: None)
    workshop.engine.model.float()
    recipe = Recipe(name="toy", base=str(tiny_base.path), worlds=(101,), epochs=1, batch=8, learning_rate=2e-2,
                    lora={"rank": 2, "alpha": 4, "first_layer": 2})  # fmt: skip
    rows = draw_rows(RowSource((101,), training_families(), 5), 17)
    folder = workshop.fit_rows(recipe, rows, [], tmp_path / "adapter")
    sets = {"few": rows[:3], "none": [], "others": rows[3:]}
    seen: list[Progress] = []
    kept = KeptTests(workshop.engine, sets, seen.append)
    found = kept.margins(folder)
    expected = workshop.margins({"toy": folder}, sets)["toy"]
    assert {name: len(margins) for name, margins in found.items()} == {"few": 3, "none": 0, "others": 14}
    for name in sets:
        assert found[name] == pytest.approx(expected[name], abs=1e-3)
    seen.clear()
    assert kept.margins(folder) == found
    assert {progress.stage for progress in seen} == {"measure"}
    assert seen[-1].done == 17
