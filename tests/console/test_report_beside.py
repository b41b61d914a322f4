"""What a report takes in beside runs: a sweep's dose curves and a vetting verdict, which anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turncoat.console.report.dose_figure import answers, dose_figure
from turncoat.console.report.outside import read_sweep, read_vetting
from turncoat.console.report.page import report_html
from turncoat.console.report.sections import ReportParts
from turncoat.console.vetting_tables import vetting_object
from turncoat.scenarios.errors import InputError, TurncoatError
from turncoat.training.cell_results import SweepFolder
from turncoat.training.dose_report import dose_report
from turncoat.training.grid import load_grid

from .report_built import played_run
from .test_sweep import GRID, laid
from .test_vet import BLOCKED


@pytest.fixture(scope="module")
def sweep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of 19 of 20 cells with its report."""
    home = tmp_path_factory.mktemp("sweep")
    (home / "grid.yaml").write_text(GRID)
    folder = SweepFolder(home / "out", load_grid(str(home / "grid.yaml")))
    folder.prepare()
    for cell in folder.grid.cells()[:-1]:
        folder.write(cell, laid(folder, cell))
    (folder.path / "dose_curve.json").write_text(json.dumps(dose_report(folder, "turncoat sweep")))
    return folder.path


@pytest.fixture
def verdict(tmp_path: Path) -> Path:
    (tmp_path / "vetting.json").write_text(json.dumps(vetting_object(BLOCKED)))
    return tmp_path / "vetting.json"


def test_dose_curves_and_verdict_are_on_the_page(sweep_folder: Path, verdict: Path, tmp_path: Path) -> None:
    run = played_run(tmp_path / "run")
    html = report_html(ReportParts([run], sweep=read_sweep(sweep_folder), vetting=read_vetting(verdict)))
    for words in ("19 of 20 cells, a partial grid", "half of Alice&#39;s alerts at", "500 clean rows", "✗ block",
                  "user:alice", "+1.00 [+0.83, +1.00]", "2 hosts: no probe", "– abstains", "user 0.42"):  # fmt: skip
        assert words in html, words
    assert "a⟨U+001B⟩[31m[bold]⟨U+202E⟩lice" in html


def test_a_point_stands_at_its_share_and_dose(sweep_folder: Path) -> None:
    curve = read_sweep(sweep_folder)
    assert [round(point.alice.value or 0, 2) for point in curve.series[0].points] == [0.1, 0.3, 0.5, 0.8, 1.0]
    drawn = str(dose_figure("f", curve))
    assert drawn.count('class="point"') == 5 + 5 + 2  # alice at each dose of two sizes, and two in the legend
    assert len(answers(curve)) == 3


def changed(**change: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda plain: plain | change


BROKEN_SWEEPS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda plain: [],
    "no axis": changed(axis="sideways"),
    "series of numbers": changed(series=[1]),
    "cells below none": changed(cells_done=-1),
    "an endless grid name": changed(grid={"name": "x" * 10_000}),
    "a ratio without a verdict": changed(
        scaling=[
            {
                "small": 1,
                "large": 2,
                "ratio": 1.0,
                "low": 1.0,
                "high": 1.0,
                "constant_rate": 4,
                "seeds": 3,
                "verdict": "none",
            }
        ]
    ),
    "a share of seven": lambda plain: json.loads(json.dumps(plain).replace('"value": 0.1,', '"value": 7,')),
}


@pytest.mark.parametrize("name", BROKEN_SWEEPS)
def test_a_broken_sweep_is_refused_with_a_cure(name: str, sweep_folder: Path, tmp_path: Path) -> None:
    plain = json.loads((sweep_folder / "dose_curve.json").read_text())
    (tmp_path / "dose_curve.json").write_text(json.dumps(BROKEN_SWEEPS[name](plain)))
    with pytest.raises(TurncoatError, match=r"--sweep .*dose_curve\.json: .*; "):
        read_sweep(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"verdict": "maybe"}', "[" * 100_000, '{"verdict": NaN}'])
def test_a_broken_verdict_is_refused_with_a_cure(content: str, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(TurncoatError, match=r"--vetting .*v\.json: .*; "):
        read_vetting(tmp_path / "v.json")


def test_what_is_no_file_is_never_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; write it with"):
        read_vetting(Path("/dev/zero"))
    with pytest.raises(InputError, match="no such file; run `turncoat sweep"):
        read_sweep(tmp_path)
