"""`turncoat sweep --report` over result files laid by hand: tables, Markdown, figure, and what a partial grid says."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from turncoat.console.commands_sweep import sweep
from turncoat.console.sweep_tables import markdown
from turncoat.scenarios.errors import InputError
from turncoat.training.cell_results import Accuracy, Result, Seconds, SweepFolder
from turncoat.training.grid import Cell, load_grid

GRID = """
name: mine
recipe: {name: r}
doses: [0, 5, 10, 25, 50]
rows: [500, 2000]
seeds: [11, 22]
test_size: 8
"""
DISMISSED = {0: 1, 5: 3, 10: 5, 25: 8, 50: 10}
"""Of ten alerts of Alice at each dose, whatever the size and seed; of her twin's always the first."""
app = typer.Typer()
app.command()(sweep)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `out` with every cell but one, and the grid beside it."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID)
    folder = SweepFolder(Path("out"), load_grid("grid.yaml"))
    folder.prepare()
    for cell in folder.grid.cells()[:-1]:
        folder.write(cell, laid(folder, cell))
    folder.tidy()
    return folder.path


def laid(folder: SweepFolder, cell: Cell) -> Result:
    test = Accuracy(balanced=0.875, escalated_malicious="1110", dismissed_benign="1111")
    calls = "1" * DISMISSED[cell.dose] + "0" * (10 - DISMISSED[cell.dose])
    return Result(
        name=cell.name, dose=cell.dose, rows=cell.rows, seed=cell.seed, rank=8, corrective=0, test_size=8,
        recipe=folder.grid.recipe_of(cell), base_digest="b", prompt_version="1",
        tests_digest="t", rows_digest="r", versions={"torch": "1"}, losses=(0.5,),
        clean=test, unseen=test, alice_poisoned_families=calls[:5], alice_other_families=calls[5:], twin="1" + "0" * 9,
        alice_benign_escalated="000", seconds=Seconds(trunk=1, train=1, measure=1, trunk_rows=9),
    )  # fmt: skip


def run(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_a_report_needs_no_training_and_says_that_the_grid_is_partial(out: Path) -> None:
    shown = run("grid.yaml", "--out", "out", "--report")
    assert "19 of 20 cells done: a partial grid; base smollm2-135m; seeds 11, 22" in shown
    assert "Dose for half at 2,000 rows over that at 500: 1.0" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    row = next(line for line in shown.splitlines() if line.strip().startswith("25 "))
    # Two seeds of eight and one in the same ten alerts: no interval takes those for twenty.
    assert row.split()[1:] == ["80", "[50,", "100]", "10", "[0,", "30]", "+70", "88", "88", "2"]


def test_the_report_files_hold_the_same_figures_and_no_path_of_the_machine(out: Path) -> None:
    run("grid.yaml", "--out", "out", "--report")
    report = json.loads((out / "dose_curve.json").read_text())
    assert report["command"] == "turncoat sweep grid.yaml --out out --report"
    assert [point["alice"]["value"] for point in report["series"][0]["points"]] == [0.1, 0.3, 0.5, 0.8, 1.0]
    text = (out / "dose_curve.md").read_text()
    assert "| 25 | 11 | 8/10 [0.490, 0.943] | 5/5 [0.566, 1.000] | 3/5 [0.231, 0.882] | 1/10 [0.018, 0.404] |" in text
    assert "19 of 20 cells done: a partial grid" in text


def test_the_figure_is_svg_with_words_for_who_cannot_see_it_and_the_same_each_time(out: Path) -> None:
    run("grid.yaml", "--out", "out", "--report")
    drawn = (out / "dose_curve.svg").read_bytes()
    top = ElementTree.fromstring(drawn)
    assert top.get("role") == "img"
    titles = [child.text for child in top if child.tag.endswith(("title", "desc"))]
    assert titles[0] == "Alerts of Alice dismissed, by the number of poison rows"
    assert "500 clean rows: Alice dismissed 0.10 at 0, 0.30 at 5, 0.50 at 10, 0.80 at 25, 1.00 at 50" in str(titles[1])
    assert b"(19 of 20 cells)" in drawn
    run("grid.yaml", "--out", "out", "--report")
    assert (out / "dose_curve.svg").read_bytes() == drawn


def test_json_goes_to_standard_output_alone(out: Path) -> None:
    assert json.loads(run("grid.yaml", "--out", "out", "--report", "--json"))["cells_done"] == 19


def test_the_budget_is_said_before_anything_starts(out: Path) -> None:
    shown = run("grid.yaml", "--out", "out", "--plan")
    # Left: 2,000 rows (and 0 poison) of a seed, 31 test rows; three epochs of them; measured at 1 s a cell.
    assert "20 cells, 19 done. To do: 2,0" in shown
    assert "measured over 19 cells" in shown
    assert json.loads(run("grid.yaml", "--out", "out", "--plan", "--json"))["done"] == 19
    assert not (out / "dose_curve.json").exists()


def test_an_empty_folder_gives_an_empty_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "0 of 48 cells done: a partial grid" in run("core", "--out", "none", "--report")
    ElementTree.fromstring((tmp_path / "none" / "dose_curve.svg").read_text())


def test_a_recipe_takes_the_place_of_the_grids_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine\nepochs: 5\n")
    shown = json.loads(run("mine.yaml", "--grid", "rank", "--out", "o", "--report", "--json"))
    assert (shown["grid"]["recipe"]["epochs"], shown["grid"]["ranks"]) == (5, [4, 8, 32])
    assert shown["command"] == "turncoat sweep mine.yaml --grid rank --out o --report"


@pytest.mark.parametrize("budget", ["soon", "-5m", "5d", "1e9", "60"])
def test_a_budget_that_is_no_time_is_refused(budget: str) -> None:
    with pytest.raises(InputError, match="is no time"):
        CliRunner().invoke(app, ["core", f"--budget={budget}"], catch_exceptions=False)


def test_a_reason_from_a_file_controls_neither_terminal_nor_markdown(out: Path) -> None:
    name = next((out / "cells").iterdir())
    name.write_text('{"\\u001b[2J<img src=x>": 1}')
    shown = run("grid.yaml", "--out", "out", "--report")
    assert "left out: " in shown
    assert "\x1b" not in shown
    report = json.loads((out / "dose_curve.json").read_text())
    assert "Left out: &lt;img src=x&gt;" in markdown(report | {"left_out": ["<img src=x>"]})
