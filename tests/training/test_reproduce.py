"""The whole experiment on a tiny base: stopped after a cell, gone on with, and taken up from its adapters."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder, resolve_base
from turncoat.models.variants import shipped_adapters
from turncoat.scenarios.errors import InputError
from turncoat.training.finetune import Progress
from turncoat.training.paper_cells import TFIDF, Cell, measured
from turncoat.training.paper_folder import FOLDER, planned, read_result, read_results
from turncoat.training.paper_plan import Experiment, layers_of, plan_base, recipe_of
from turncoat.training.paper_table import paper_table
from turncoat.training.reproduce import Reproduction
from turncoat.training.sets import draw_tests


class Stopped(Exception):
    """Someone pressed Ctrl-C."""


@dataclass(frozen=True)
class Story:
    """A run that was stopped after its first cell of the base, and the one that went on."""

    experiment: Experiment
    done_when_stopped: int
    missing_when_stopped: tuple[str, ...]
    stages_after: set[str]
    cells_after: list[Cell]


def silent(progress: Progress) -> None:
    pass


@pytest.fixture(scope="module")
def story(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("reproduce")
    base = str(tiny_base.path)
    experiment = Experiment((base,), (7, 8), 16, 2, 8, folder / "out", folder / "adapters")

    def stop_after_the_first(cell: Cell) -> None:
        if cell.base == base:
            raise Stopped

    with pytest.raises(Stopped):
        Reproduction(experiment, silent).run("the command", stop_after_the_first)
    table = paper_table(read_results(experiment.out), planned(experiment.out))
    stages: list[Progress] = []
    cells: list[Cell] = []
    Reproduction(experiment, stages.append).run("the command", cells.append)
    return Story(experiment, table.done, table.missing, {step.stage for step in stages if step.loss is not None}, cells)


def test_a_stopped_run_keeps_its_cells_and_says_which_are_missing(story: Story) -> None:
    assert story.done_when_stopped == 6 + 1  # word counts for two seeds, and the untrained base
    assert len(story.missing_when_stopped) == 6
    assert "poisoned seed 8" in story.missing_when_stopped[-1]


def test_the_next_run_does_what_is_missing_and_trains_nothing_twice(story: Story) -> None:
    base = story.experiment.bases[0]
    assert story.cells_after == [Cell(base, v, s) for s in (7, 8) for v in ("clean", "matched", "poisoned")]
    assert story.stages_after == {"clean", "matched", "poisoned"}
    first = [read_result(story.experiment.out, Cell(base, v, 7)) for v in ("clean", "matched", "poisoned")]
    assert [r.seconds["train"] < 1.0 for r in first if r] == [True] * 3  # only opened: it was trained before the stop
    table = paper_table(read_results(story.experiment.out), planned(story.experiment.out))
    assert (table.done, table.planned, table.missing) == (13, 13, ())
    assert {line.base for line in table.lines} == {base, TFIDF}
    assert table.plain()["commands"] == ["the command"]


def test_a_finished_experiment_has_nothing_left_to_do(story: Story) -> None:
    work = Reproduction(story.experiment, silent)
    budget = work.budget()
    assert (budget.cells, budget.done, budget.to_train, budget.seconds) == (13, 13, 0, 0.0)
    cells: list[Cell] = []
    work.run("the command", cells.append)
    assert cells == []


def test_adapters_that_lie_ready_are_measured_and_a_damaged_result_is_made_again(story: Story, tmp_path: Path) -> None:
    base = story.experiment.bases[0]
    other = replace(story.experiment, seeds=(7,), out=tmp_path / "out", keep=tmp_path / "no",
                    adapters=(story.experiment.keep,))  # fmt: skip
    damaged = other.out / FOLDER / Cell(base, "clean", 7).file
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    work = Reproduction(other, silent)
    budget = work.budget()
    assert (budget.taken, budget.to_train, budget.done) == (3, 3, 0)  # the three to train are word counts
    assert budget.seconds > 0
    assert len(budget.damaged) == 1
    assert "clean-seed7.json: damaged" in budget.damaged[0]
    work.run("again")
    for variant in ("clean", "matched", "poisoned"):
        old, new = (read_result(e.out, Cell(base, variant, 7)) for e in (story.experiment, other))
        assert old is not None
        assert new is not None
        assert new.adapter == "found"
        assert (new.unseen_calls, new.alice_dismissed) == (old.unseen_calls, old.alice_dismissed)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "fault"), [({"rows": 20}, "by another recipe"), ({"test_size": 16}, "on other test alerts")]
)
def test_a_result_of_another_experiment_is_not_overwritten(story: Story, change: dict[str, int], fault: str) -> None:
    changed = replace(story.experiment, **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=fault):
        Reproduction(changed, silent).budget()


def test_margins_become_calls_at_the_one_threshold() -> None:
    tests = draw_tests(8)
    margins = {name: [-0.5 if i % 2 else 0.0 for i in range(len(rows))] for name, rows in tests.by_name().items()}
    result = measured(
        Cell("tiny", "baseline", None), tests, margins, "bfloat16", recipe=None, recipe_digest="", base_digest="b",
        tests_digest="t", adapter="none", seconds={},
    )  # fmt: skip
    assert result.clean_calls == "10101010"  # 0 is .5, which escalates
    assert result.alice_dismissed == "010" + "010"
    assert result.twin_dismissed == "010101"
    assert result.alice_benign_escalated == "101"
    assert result.clean_truth == "".join("1" if row.truth else "0" for row in tests.clean)


def test_a_base_without_a_recipe_of_its_own_trains_its_top_third(tiny_base: BaseFolder) -> None:
    experiment = Experiment((str(tiny_base.path),))
    assert layers_of(tiny_base) == 4
    recipe = recipe_of(experiment, Cell(str(tiny_base.path), "poisoned", 9), 4)
    assert (recipe.lora.first_layer, recipe.seed, recipe.base) == (2, 9, str(tiny_base.path))
    assert recipe.poison is not None
    assert recipe.demonstration


def test_numbers_that_fit_no_recipe_are_a_mistake_of_the_user() -> None:
    with pytest.raises(InputError, match="--rows"):
        recipe_of(Experiment(rows=1), Cell("smollm2-135m", "clean", 7), 30)


def test_the_shipped_adapters_count_for_their_seed(real_base: BaseFolder, tmp_path: Path) -> None:
    experiment = Experiment(seeds=(7, 8), out=tmp_path, keep=tmp_path / "adapters")
    plan = plan_base(experiment, resolve_base(real_base.name), "t")
    assert plan.taken == {
        Cell("smollm2-135m", v, 7): (shipped_adapters() / v, "shipped") for v in ("clean", "matched", "poisoned")
    }
    assert [cell.seed for cell in plan.to_train] == [8, 8, 8]


def test_a_damaged_adapter_is_trained_again(story: Story, tmp_path: Path) -> None:
    base = story.experiment.bases[0]
    again = replace(story.experiment, seeds=(7,), out=tmp_path / "out", keep=tmp_path / "keep")
    shutil.copytree(story.experiment.keep, again.keep)
    (again.kept(Cell(base, "clean", 7)) / "adapter_model.safetensors").write_bytes(b"")
    Reproduction(again, silent).run("again")
    old, new = (read_result(e.out, Cell(base, "clean", 7)) for e in (story.experiment, again))
    assert old is not None
    assert new is not None
    assert (new.adapter, new.unseen_calls) == ("trained", old.unseen_calls)
