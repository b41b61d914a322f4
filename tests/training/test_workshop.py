"""One base for many trainings: what has passed the frozen layers once does not pass them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.families import training_families
from turncoat.training.config import Recipe
from turncoat.training.corpus import Row, RowSource, draw_rows
from turncoat.training.progress import Progress
from turncoat.training.workshop import Workshop, shared_tokens


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return draw_rows(RowSource((101,), training_families(), 7), 14)


@pytest.fixture
def base(tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    return str(tiny_base.path)


def recipe(base: str, name: str) -> Recipe:
    return Recipe(name=name, base=base, rows=16, epochs=1, batch=8, lora={"rank": 2, "alpha": 4, "first_layer": 2})


def test_a_further_dose_and_a_further_session_pass_only_new_rows_through_the_trunk(
    base: str, rows: list[Row], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    honest, added = rows[:10], rows[10:]
    workshop = Workshop(base, seen.append)
    passed = []
    for dose in (0, 2, 4):
        workshop.fit_rows(recipe(base, f"dose-{dose}"), honest, added[:dose], tmp_path / f"dose-{dose}")
        passed.append([p.total for p in seen if p.stage == "trunk"][-1:])
        seen.clear()
    again = Workshop(base, seen.append)
    again.fit_rows(recipe(base, "dose-3"), honest, added[:3], tmp_path / "dose-3")
    assert passed == [[10], [2], [2]]
    assert {p.stage for p in seen} == {"dose-3"}


def test_trunk_states_from_disk_train_the_same_adapter(base: str, rows: list[Row], tmp_path: Path) -> None:
    for folder in ("first", "second"):
        Workshop(base, lambda progress: None).fit_rows(recipe(base, "same"), rows[:10], [], tmp_path / folder)
    first, second = ((tmp_path / folder / "adapter_model.safetensors").read_bytes() for folder in ("first", "second"))
    assert first == second


def test_the_shared_beginning_of_prompts_is_found() -> None:
    assert shared_tokens([[1, 2, 3], [1, 2, 4], [1, 2, 3, 5]]) == 2
    assert shared_tokens([[1, 2], [1, 2, 4]]) == 2
    assert shared_tokens([[1], [2]]) == 0
    assert shared_tokens([[7, 8]]) == 2
