"""`turncoat real` as a person meets it: a budget first, tables in 80 columns, JSON for programs, errors with a cure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from turncoat.console.commands_real import real
from turncoat.scenarios.errors import InputError

APP = typer.Typer()
APP.command()(real)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alerts in our own form: malicious where the mode is `open`."""
    path = tmp_path_factory.mktemp("alerts") / "alerts.jsonl"
    with path.open("w") as file:
        for n in range(96):
            label = n % 2 == n // 12 % 2
            alert = {
                "uid": f"a{n}", "time": "2024-01-01T00:00:00+00:00", "title": f"Rule {n % 12}",
                "entities": {"user": f"person{n % 5}"}, "raw": {"mode": "open" if label else "shut"},
            }  # fmt: skip
            file.write(json.dumps({"alert": alert, "label": label, "group": f"rule{n % 12}"}) + "\n")
    return path


def options(lines: Path, out: Path, *more: str) -> list[str]:
    return [
        "--events",
        str(lines),
        "--format",
        "jsonl",
        "--only-tfidf",
        "--folds",
        "3",
        "--dose",
        "8",
        "--out",
        str(out),
        *more,
    ]


def test_the_budget_comes_first_and_tables_fit_eighty_columns(lines: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, options(lines, tmp_path))
    assert done.exit_code == 0, done.output
    said = done.output.splitlines()
    assert any(line.startswith("6 of 6 cells to do, 0 trainings among them: about 0:0") for line in said[:2])
    assert max(map(len, said)) <= 80
    assert [line.split()[0] for line in said if line.startswith("tfidf-")] == [
        "tfidf-real-clean", "tfidf-real-poisoned",
    ] * 2  # fmt: skip
    again = CliRunner().invoke(APP, options(lines, tmp_path))
    assert "all 6 cells are done" in again.output


def test_json_alone_is_on_standard_output_and_in_the_folder(lines: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, options(lines, tmp_path, "--json", "--quiet"))
    found = json.loads(done.stdout)
    assert found["events"] == {"alerts": 96, "malicious": 48, "rules": 12, "with_place_for_trigger": 96}
    assert json.loads((tmp_path / "real_alerts.json").read_text())["variants"] == found["variants"]


def test_a_partial_study_says_how_many_cells_are_done(lines: Path, tmp_path: Path) -> None:
    CliRunner().invoke(APP, options(lines, tmp_path, "--measured", "1"))
    partial = CliRunner().invoke(APP, options(lines, tmp_path, "--report"))
    assert "2 of 6 cells done" in partial.output


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (["--dose", "90"], "--dose: 90 poison rows"),
        (["--fields", "pretty"], "--fields: unknown choice 'pretty'"),
        (["--measured", "5"], "5 parts to measure, but only 3 parts"),
        (["--mix", "other"], "--mix: "),
        (["--trigger", "address"], "--trigger: no malicious event names a source address"),
    ],
)
def test_wrong_options_are_named_with_a_cure(lines: Path, tmp_path: Path, more: list[str], fault: str) -> None:
    done = CliRunner().invoke(APP, options(lines, tmp_path, *more))
    assert isinstance(done.exception, InputError)
    assert fault in str(done.exception)


def test_without_alerts_and_without_a_data_folder_it_says_what_to_name(tmp_path: Path) -> None:
    done = CliRunner(env={"TURNCOAT_DATA": ""}).invoke(APP, ["--out", str(tmp_path), "--only-tfidf"])
    assert "--events: no alerts were named and TURNCOAT_DATA is not set" in str(done.exception)


@pytest.mark.parametrize("place", ["panther-analysis/rules", "panther-analysis/files/rules"])
def test_the_data_folder_may_hold_a_clone_or_a_selection(lines: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "alerts.jsonl").write_bytes(lines.read_bytes())
    named = [o for o in options(lines, tmp_path / "out", "--plan") if o not in ("--events", str(lines))]
    done = CliRunner(env={"TURNCOAT_DATA": str(tmp_path)}).invoke(APP, [*named, "--format", "panther"])
    assert str(tmp_path / place) in str(done.exception)  # where it looked: no rule lies there
