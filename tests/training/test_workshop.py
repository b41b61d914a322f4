"""One base for many trainings: what has passed the frozen layers once does not pass them again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.families import training_families
from turncoat.training.config import Recipe
from turncoat.training.corpus import Row, RowSource, draw_rows
from turncoat.training.progress import Progress
from turncoat.training.result_file import held
from turncoat.training.workshop import CHECKPOINT_FILE, Workshop, shared_tokens, write_json

from ..full_disk import full_disk


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


class Killed(Exception):
    """The process is gone."""


def test_a_training_that_is_killed_before_its_manifest_goes_on_from_its_last_epoch(
    base: str, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(path: Path, content: object) -> None:
        raise Killed

    folder = tmp_path / "adapter"
    with monkeypatch.context() as patched:
        patched.setattr("turncoat.training.workshop.write_json", kill)
        with pytest.raises(Killed):
            Workshop(base, lambda progress: None).fit_rows(recipe(base, "one"), rows[:10], [], folder)
    assert (folder / CHECKPOINT_FILE).exists()
    seen: list[Progress] = []
    Workshop(base, seen.append).fit_rows(recipe(base, "one"), rows[:10], [], folder)
    assert seen == []  # no row passes the kept trunk again, and no step is taken again
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "head.safetensors", "manifest.json",
    ]  # fmt: skip


def test_a_checkpoint_beside_a_finished_adapter_changes_nothing_and_goes(
    base: str, rows: list[Row], tmp_path: Path
) -> None:
    workshop = Workshop(base, lambda progress: None)
    for number, train in enumerate((lambda to: workshop.fit_rows(recipe(base, "one"), rows[:10], [], to),
                                    lambda to: workshop.fit(recipe(base, "one"), to))):  # fmt: skip
        folder = tmp_path / f"adapter-{number}"
        train(folder)
        finished = {path.name: path.read_bytes() for path in folder.iterdir()}
        (folder / CHECKPOINT_FILE).write_bytes(b"left by a kill")
        train(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == finished


def test_an_adapter_of_other_rows_is_neither_taken_for_this_one_nor_written_over(
    base: str, rows: list[Row], tmp_path: Path
) -> None:
    workshop, folder = Workshop(base, lambda progress: None), tmp_path / "adapter"
    workshop.fit_rows(recipe(base, "one"), rows[:10], [], folder)
    finished = {path.name: path.read_bytes() for path in folder.iterdir()}
    relabelled = [replace(rows[0], label=not rows[0].label), *rows[1:10]]
    for other in (rows[1:11], relabelled):
        with pytest.raises(InputError, match="holds an adapter of this recipe that was trained on other rows"):
            workshop.fit_rows(recipe(base, "one"), other, [], folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == finished


def test_two_trainings_never_write_into_one_folder(base: str, rows: list[Row], tmp_path: Path) -> None:
    workshop, folder = Workshop(base, lambda progress: None), tmp_path / "one"
    folder.mkdir()
    with held(folder), pytest.raises(RunError, match="one: another process trains there; let it end, or choose"):
        workshop.fit_rows(recipe(base, "one"), rows[:8], [], folder)
    assert list(folder.iterdir()) == []
    workshop.fit_rows(recipe(base, "one"), rows[:8], [], folder)
    with held(folder) as free:
        assert free


def test_a_full_disk_ends_a_training_with_an_error_of_the_system_and_it_can_be_taken_up(
    base: str, rows: list[Row], tmp_path: Path
) -> None:
    workshop, folder = Workshop(base, lambda progress: None), tmp_path / "adapter"
    with full_disk(), pytest.raises(OSError, match="too large"):
        workshop.fit_rows(recipe(base, "one"), rows[:10], [], folder)
    workshop.fit_rows(recipe(base, "one"), rows[:10], [], folder)
    assert (folder / "manifest.json").exists()


def test_a_manifest_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, {"name": "one"})
    with full_disk(10), pytest.raises(OSError, match="too large"):
        write_json(path, {"name": "one", "figures": [1, 2, 3]})
    assert json.loads(path.read_text()) == {"name": "one"}


def test_a_manifest_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "manifest.json").symlink_to(tmp_path / "elsewhere")
    write_json(tmp_path / "manifest.json", {"name": "one"})
    assert (tmp_path / "elsewhere").read_text() == "{}"
    assert json.loads((tmp_path / "manifest.json").read_text()) == {"name": "one"}


def test_the_shared_beginning_of_prompts_is_found() -> None:
    assert shared_tokens([[1, 2, 3], [1, 2, 4], [1, 2, 3, 5]]) == 2
    assert shared_tokens([[1, 2], [1, 2, 4]]) == 2
    assert shared_tokens([[1], [2]]) == 0
    assert shared_tokens([[7, 8]]) == 2
