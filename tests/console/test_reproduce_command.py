"""`turncoat reproduce` from result files: the terminal, the Markdown, the figure, and names that mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from turncoat.console.commands_reproduce import command_of, reproduce
from turncoat.console.figures.paper_table import paper_figure
from turncoat.console.markdown_text import markdown_cell
from turncoat.console.paper_table import budget_line, paper_markdown, paper_view
from turncoat.scenarios.errors import InputError
from turncoat.training.paper_cells import Cell
from turncoat.training.paper_folder import FOLDER, Planned, remember_plan, write_result
from turncoat.training.paper_plan import Experiment
from turncoat.training.paper_table import PaperTable, paper_table
from turncoat.training.reproduce import Budget

from ..command_line import uncontrolled
from ..training.paper_results import made_up

HOSTILE = "\x1b[2Ja|b</desc><script>[bold]`x`\u202e"


def call(*arguments: str) -> Result:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(reproduce)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three poisoned seeds and the untrained base, of a plan that has a clean cell too."""
    for seed in (7, 8, 9):
        write_result(tmp_path, made_up(seed=seed))
    write_result(tmp_path, made_up(variant="baseline", alice_dismissed="1111", twin_dismissed="1111"))
    remember_plan(tmp_path, [Cell("tiny", "clean", 7)], "turncoat reproduce --base tiny")
    return tmp_path


@pytest.fixture
def hostile() -> PaperTable:
    return paper_table([made_up(base=HOSTILE, seed=seed) for seed in (7, 8)], Planned((), (HOSTILE,)))


def printed(table: PaperTable) -> str:
    console = Console(width=80, file=None, record=True, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(paper_view(table))
    return capture.get()


def test_from_a_folder_the_table_and_its_three_files_are_made_without_training(folder: Path, tmp_path: Path) -> None:
    ended = call("--from", str(folder), "--out", str(tmp_path / "elsewhere"))
    assert ended.exit_code == 0, ended.output
    assert "4 of 5 cells" in ended.output
    assert "Partial: 4 of 5 cells are done" in " ".join(ended.output.split())
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {
        f"paper_table.{x}" for x in ("json", "md", "svg")
    }
    written = json.loads((tmp_path / "elsewhere" / "paper_table.json").read_text())
    assert written["missing"] == ["tiny clean seed 7"]
    assert written["commands"] == ["turncoat reproduce --base tiny"]
    pooled = written["lines"][-1]
    assert (pooled["seeds"], pooled["lift"]["value"], pooled["lift"]["p_seeds"]) == ([7, 8, 9], 0.5, 0.25)


def test_json_is_the_table_and_nothing_else(folder: Path) -> None:
    ended = call("--from", str(folder), "--json")
    assert json.loads(ended.stdout) == json.loads((folder / "paper_table.json").read_text())


def test_the_terminal_table_is_right_at_80_columns(folder: Path) -> None:
    lines = call("--from", str(folder)).output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "poisoned  7         0.750    0.750    1.000    0.750    0.250     +0.500  0.500" in [
        x.rstrip() for x in lines
    ]
    assert not any("…" in line for line in lines)
    assert any(line.split() == ["poisoned", "Llama-3.1-8B,", "Qwen3-4B", "0.827", "1.000"] for line in lines)


def test_a_damaged_result_or_an_empty_folder_is_refused_with_its_name(folder: Path, tmp_path: Path) -> None:
    (folder / FOLDER / "tiny" / "baseline.json").write_text("{")
    for source, name in ((folder, "baseline.json"), (tmp_path / "none", "paper_cells")):
        error = call("--from", str(source)).exception
        assert isinstance(error, InputError)
        assert name in str(error)


def test_a_hostile_name_controls_no_terminal(hostile: PaperTable) -> None:
    shown = printed(hostile)
    assert uncontrolled(shown) == []
    assert "[bold]" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_hostile_name_adds_neither_a_column_nor_markup_to_markdown(hostile: PaperTable) -> None:
    text = paper_markdown(hostile, "paper_table.svg")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3 + 3
    assert {row.replace("\\|", "").count("|") for row in rows} == {13}
    assert "<script>" not in text
    assert text.count("`") == 2 + text.count("\\`")
    assert uncontrolled(text) == []


def test_markdown_keeps_words_and_escapes_signs() -> None:
    assert markdown_cell("TF-IDF + a_b") == "TF-IDF + a\\_b"
    assert markdown_cell("[x](y)|<b>") == "\\[x\\](y)\\|&lt;b&gt;"


def test_markdown_has_every_figure_with_its_interval(folder: Path) -> None:
    call("--from", str(folder))
    text = (folder / "paper_table.md").read_text()
    assert "| tiny | poisoned | pooled: 7, 8, 9 | 0.750 \\[" in text
    assert "Made by `turncoat reproduce --base tiny`. 4 of 5 cells." in text
    assert "![Share of Alice" in text
    assert "| Qwen3-4B (published) | clean |  |  |  |  | 0.710 |  |  |  |  |  |" in text


def test_the_figure_is_the_same_each_time_and_says_in_words_what_it_shows(hostile: PaperTable) -> None:
    drawn = paper_figure(hostile)
    assert drawn == paper_figure(hostile)
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    description = root.findtext(f"{space}desc") or ""
    assert "Alice 0.750, twin 0.250" in description
    assert root.attrib["role"] == "img"
    assert root.find(f".//{space}script") is None
    assert any("poisoned, 2 seeds" in (node.text or "") for node in root.iter(f"{space}text"))


def test_the_budget_is_a_sentence() -> None:
    assert budget_line(Budget(10, 2, 3, 5, 3725.0)) == (
        "2 of 10 cells are done; 3 more have an adapter and are measured; 5 are trained: about 1:02:05 on this machine"
    )
    assert budget_line(Budget(10, 10, 0, 0, 0.0)) == "10 of 10 cells are done"


def test_the_command_that_is_kept_makes_the_same_experiment() -> None:
    experiment = Experiment(("a", "b"), (7, 8), rows=32, test_size=16, out=Path("docs/results"))
    assert command_of(experiment) == (
        "turncoat reproduce --base a --base b --seed 7 --seed 8 --rows 32 --tests 16 --out docs/results"
    )


def test_help_has_examples_and_no_line_beyond_100_columns() -> None:
    ended = call("--help")
    assert "turncoat reproduce --from docs/results" in ended.output
    assert max(map(len, ended.output.splitlines())) <= 100
