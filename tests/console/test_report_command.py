"""`turncoat report` and the page that `turncoat run` leaves, as a person calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ..command_line import Call, uncontrolled
from ..small_campaign import READ, small_campaign
from .report_built import built_report, played_run

RUN = ("run", "c.yaml", "--variant", "scripted-severity", "--variant", "scripted-blind", "--quiet", "--out", "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played_run(tmp_path_factory.mktemp("finished") / "run").path


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, `run` in the current folder."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(small_campaign(READ))
    return tmp_path / "c.yaml"


def test_a_run_ends_by_naming_the_page_that_it_wrote(turncoat: Call, campaign: Path, tmp_path: Path) -> None:
    ended = turncoat(*RUN)
    assert ended.code == 0
    assert ended.stdout.splitlines()[-1] == "Report: run/report.html"
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    told = json.loads(turncoat(*RUN, "--json").stdout)
    assert told["report"] == "run/report.html"


def test_a_page_that_cannot_be_written_costs_no_run(turncoat: Call, campaign: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    assert turncoat(*RUN).code == 0
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / "report.html").symlink_to(tmp_path / "victim")
    ended = turncoat(*RUN, "--json")
    assert ended.code == 0
    assert json.loads(ended.stdout)["report"] is None
    assert "turncoat: the report was not written: --out run/report.html: a link" in ended.stderr
    assert "`turncoat report run` tries again" in ended.stderr
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_report_goes_where_it_is_told_to(turncoat: Call, tmp_path: Path) -> None:
    built_report(tmp_path / "run")
    before = (tmp_path / "run" / "report.html").read_text()
    assert turncoat("report", "run", "--out", "all.html").stdout == "Report: all.html\n"
    assert (tmp_path / "all.html").read_text() == before
    summary = turncoat("report", "run", "--format", "md").stdout
    assert summary.startswith("# Turncoat report")
    assert uncontrolled(summary) == []
    assert turncoat("report", "run", "--out", "ticket.md").code == 0
    assert (tmp_path / "ticket.md").read_text() == summary
    assert turncoat("report", "run", "--out", "-").stdout == before


def test_resume_and_report_show_the_cloud_as_the_run_was_made(turncoat: Call, campaign: Path, tmp_path: Path) -> None:
    terms = ("--cloud-budget", "1", "--price", "2", "--overflow-price", "5")
    made = turncoat(*RUN, *terms)
    assert (made.code, "Cloud load" in made.stdout) == (0, True)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "1 a day" in page
    assert turncoat("report", "run").code == 0
    assert (tmp_path / "run" / "report.html").read_text() == page
    again = turncoat("resume", "run", "--quiet")
    assert (again.code, again.stdout) == (0, made.stdout)
    assert (tmp_path / "run" / "report.html").read_text() == page
    assert turncoat("report", "run", "--cloud-budget", "2").code == 0
    assert (tmp_path / "run" / "report.html").read_text() != page


def test_a_price_beyond_a_budget_needs_one(turncoat: Call, campaign: Path) -> None:
    ended = turncoat(*RUN, "--overflow-price", "5")
    assert (ended.code, ended.stderr) == (
        2, "turncoat: --overflow-price: is for what comes beyond a budget; give one with --cloud-budget\n",
    )  # fmt: skip


@pytest.mark.parametrize("own", ["outcomes.jsonl", "manifest.json", "checkpoints.sqlite"])
def test_nothing_replaces_what_a_run_cannot_do_without(
    turncoat: Call, campaign: Path, tmp_path: Path, own: str
) -> None:
    assert turncoat(*RUN).code == 0
    before = (tmp_path / "run" / own).read_bytes()
    for words in (("export", "run", "--format", "junit", "--out"), ("compare", "run", "--csv")):
        ended = turncoat(*words, f"run/{own}")
        assert ended.code == 2
        assert f"run/{own}: belongs to a run or a model, which needs it; name another file" in ended.stderr
    assert (tmp_path / "run" / own).read_bytes() == before


def test_a_report_ends_as_what_it_is(turncoat: Call, tmp_path: Path) -> None:
    built_report(tmp_path / "run")
    ended = turncoat("report", "run", "--out", "run/notes.txt")
    assert (ended.code, ended.stderr) == (
        2, "turncoat: --out run/notes.txt: ends in neither .html nor .md; name a file that does\n",
    )  # fmt: skip
    assert not (tmp_path / "run" / "notes.txt").exists()


def test_runs_of_a_folder_make_one_page_beside_us(turncoat: Call, tmp_path: Path) -> None:
    for seed in (3, 4):
        played_run(tmp_path / "runs" / str(seed), seed)
    assert turncoat("report", "runs", "--cloud-budget", "1", "--price", "2.5").stdout == "Report: report.html\n"
    assert "2 runs of 1 campaign" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("nowhere",), "nowhere: no run folder; name one"),
        (("run", "--format", "pdf"), "--format: there is no format 'pdf'; choose one of html, md"),
        (("run", "--format", "html", "--out", "x.md"), "--format: html does not fit 'x.md'; leave out"),
        (("run", "--sweep", "."), "no such file; run `turncoat sweep"),
        (("run", "--vetting", "/dev/zero"), "no such file; write it with `turncoat vet"),
        (("run", "--out", "run"), "--out run: ends in neither .html nor .md; name a file that does"),
    ],
)
def test_a_mistake_ends_in_place_fault_and_cure(
    arguments: tuple[str, ...], fault: str, turncoat: Call, folder: Path
) -> None:
    ended = turncoat("report", *arguments)
    assert ended.code == 2
    assert fault in ended.stderr
    assert ended.stdout == ""


def test_a_run_folder_that_was_changed_is_refused(turncoat: Call, folder: Path) -> None:
    rows = folder / "outcomes.jsonl"
    rows.write_text(rows.read_text().replace('"action":"dismiss"', '"action":"allow"', 1))
    ended = turncoat("report", "run")
    assert ended.code == 2
    assert "outcomes.jsonl:1: decision.action" in ended.stderr
    assert not (folder / "report.html").exists()


def test_rows_that_claim_far_off_times_or_odd_names_still_make_a_page(turncoat: Call, folder: Path) -> None:
    rows = folder / "outcomes.jsonl"
    plain = [json.loads(line) for line in rows.read_text().splitlines()]
    for row in plain:
        row["decision"]["simulated_time"] = "2101-12-31T23:59:59+00:00"
        row["decision"]["reason"] = "\ud800 <b>\u202e" * 2_000
    rows.write_text("".join(json.dumps(row) + "\n" for row in plain))
    ended = turncoat("report", "run")
    assert (ended.code, ended.stderr.count("Traceback")) == (0, 0)
    assert "⟨U+D800⟩ &lt;b&gt;⟨U+202E⟩" in (folder / "report.html").read_text()
