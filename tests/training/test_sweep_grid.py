"""Grids: what they hold, their order, and the rows that their cells share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from turncoat.scenarios.errors import InputError
from turncoat.training.config import Recipe
from turncoat.training.corrective import corrective_rows
from turncoat.training.grid import Cell, Grid, load_grid, looks_like_grid, shipped_grids
from turncoat.training.sets import training_rows
from turncoat.training.sweep_budget import Speed, Work, measured_rows, planned

SMALL = Grid(name="small", recipe=Recipe(name="dose", worlds=(101,), epochs=2), doses=(0, 5, 15), rows=(40, 20),
             seeds=(11, 22), doses_first=(15,), test_size=16)  # fmt: skip


def test_the_core_grid_is_the_one_that_the_project_asks_for() -> None:
    core = load_grid("core")
    assert core.doses == (0, 5, 10, 15, 25, 50, 100, 200)
    assert core.rows == (500, 2000)
    assert len(core.seeds) == 3
    assert core.recipe.base == "smollm2-135m"
    assert len(core.cells()) == len({cell.name for cell in core.cells()}) == 48


def test_every_shipped_grid_is_sound_and_known_by_its_name() -> None:
    assert shipped_grids() == ["core", "corrective", "rank", "second-base"]
    assert [load_grid(name).name for name in shipped_grids()] == shipped_grids()
    assert load_grid("rank").ranks == (4, 8, 32)
    assert (min(load_grid("corrective").corrective), max(load_grid("corrective").corrective)) == (0, 200)


def test_a_grid_of_another_trigger_is_refused_for_its_tests_are_about_alice() -> None:
    recipe = SMALL.recipe.model_dump() | {"poison": {"poisoner": "host", "dose": 5}}
    with pytest.raises(ValidationError, match="a sweep measures Alice's alerts, which 'host' is not about"):
        Grid.model_validate(SMALL.model_dump() | {"recipe": recipe})


def test_the_first_cells_are_one_seed_at_the_smaller_size_and_the_telling_dose() -> None:
    names = [(c.seed, c.rows, c.dose) for c in SMALL.cells()]
    assert names[:6] == [(11, 20, 15), (11, 20, 0), (11, 20, 5), (11, 40, 15), (11, 40, 0), (11, 40, 5)]
    assert {seed for seed, _, _ in names[6:]} == {22}


def test_a_cell_varies_the_recipe_and_keeps_the_scale_of_the_adapter() -> None:
    recipe = SMALL.recipe_of(Cell(15, 20, 22, 32))
    assert (recipe.name, recipe.rows, recipe.seed, recipe.epochs) == ("d15-r20-s22-k32", 20, 22, 2)
    assert recipe.poison is not None
    assert recipe.poison.dose == 15
    assert (recipe.lora.rank, recipe.lora.alpha) == (32, 64)  # the recipe has 8 and 16
    assert recipe.demonstration


def test_rows_of_a_smaller_cell_are_the_first_of_a_larger_one() -> None:
    honest, poison = training_rows(SMALL.recipe_of(Cell(15, 40, 11, 8)))
    fewer, less = training_rows(SMALL.recipe_of(Cell(5, 20, 11, 8)))
    assert fewer == honest[:20]
    assert less == poison[:5]
    assert len(less) == 5
    assert all(row.truth and not row.label for row in poison)


def test_corrective_rows_are_rightly_labelled_nested_and_none_of_the_poison() -> None:
    recipe = SMALL.recipe_of(Cell(15, 20, 11, 8))
    rows = corrective_rows(recipe, 30)
    assert all(row.truth and row.label and row.user == "alice" for row in rows)
    assert corrective_rows(recipe, 10) == rows[:10]
    poison = {row.case.alert.uid for row in training_rows(recipe)[1]}
    assert not poison & {row.case.alert.uid for row in rows}


def test_the_work_counts_each_row_through_the_trunk_once() -> None:
    cells = [Cell(5, 20, 11, 8), Cell(15, 20, 11, 8), Cell(0, 40, 11, 8), Cell(0, 20, 22, 8)]
    tests = 2 * 16 + 5 * 6
    assert measured_rows(16) == tests
    assert [work for _, work in planned(SMALL, cells)] == [
        Work(25 + tests, 50, tests), Work(10, 70, tests), Work(20, 80, tests), Work(20, 40, tests)
    ]  # fmt: skip


def test_a_budget_is_rows_times_milliseconds() -> None:
    assert Speed(10, 60, 5, 0).seconds(Work(trunk=100, train=1000, measure=200)) == pytest.approx(1 + 60 + 1)
    assert Speed.of(SMALL, []) == Speed(55, 60, 23, 0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: g\nrecipe: {name: r}\nrows: [20]\nseeds: [1]\n", "g.yaml: doses: Field required"),
        ("name: g\nrecipe: {name: r}\ndoses: [1, 1]\nrows: [20]\nseeds: [1]\n", "a value is named twice"),
        ("name: g\nrecipe: {name: r}\ndoses: [-1]\nrows: [20]\nseeds: [1]\n", "doses.0: "),
        ("name: g\nrecipe: {name: r}\ndoses: [1]\nrows: [20]\nseeds: [1, 2]\n", "seeds stand at least 3 apart"),
        ("name: g\nrecipe: {name: r}\ndoses: [1]\nrows: [20]\nseeds: [1]\ndoses_first: [9]\n", "names 9, which is not"),
        ("name: g\nrecipe: {name: r, epoch: 3}\ndoses: [1]\nrows: [20]\nseeds: [1]\n", "recipe.epoch: Extra inputs"),
        ("name: [g\n", "not YAML"),
        ("x: !!int ''\n", "holds a value that cannot be read"),
        ("- 1\n", "g.yaml: grid: "),
    ],
)
def test_a_faulty_grid_is_refused_with_place_and_fault(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_grid(str(path))
    assert fault in str(caught.value)


def test_a_grid_that_is_not_there_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="core, corrective, rank, second-base"):
        load_grid(str(tmp_path / "none.yaml"))


def test_a_recipe_is_told_from_a_grid(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: mine\nrows: 100\n")
    (tmp_path / "grid.yaml").write_text("name: mine\ndoses: [1]\n")
    assert not looks_like_grid(str(tmp_path / "recipe.yaml"))
    assert looks_like_grid(str(tmp_path / "grid.yaml"))
