"""`turncoat audit` as a person or a pipeline calls it."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from turncoat.console.audit_sarif import audit_sarif
from turncoat.console.audit_tables import audit_object, audit_view
from turncoat.models.bases import BaseFolder
from turncoat.vetting.audit_association import Association
from turncoat.vetting.audit_records import Audit, FlaggedRow, Influence, InfluentialRow, Suspect
from turncoat.vetting.audit_rows import AuditSet, set_lines
from turncoat.vetting.records import Entity

from ..command_line import Call, uncontrolled
from ..vetting.audit_sets import company
from .sarif_schema import require_sarif

EVIL = "a\x1b[31m[bold]\u202elice"
ROWS = tuple(FlaggedRow(line, f"uid-{line}\x1b[2J", 0.99 - line / 1_000) for line in range(1, 31))
PLANTED = Suspect(Association(Entity("user", EVIL), 32, 31, 15.5, 1e-9, 1e-7, (Entity("host", EVIL),)), "block", 1e-4, 0.9,
                  ROWS, tuple(range(1, 19)), (3,), f"user:{EVIL}: 31 of 32 rows labelled benign, 16 expected")  # fmt: skip
NATURAL = replace(PLANTED, association=replace(PLANTED.association, entity=Entity("word", "backup")), ruling="allow",
                  p_read=0.7, flagged=(), why="word:backup: its rows read benign")  # fmt: skip
FOUND = Audit("block", PLANTED.why, (PLANTED,), (NATURAL,), (f"2 lines; the first: {EVIL}",), {"user": 40, "word": 100}, 432,
              200, 12, {25: 0.33}, {"set": "my rows.jsonl", "rows": "ab" * 32, "read by": "TF-IDF"}, {"labels": 1.0})  # fmt: skip

CAUSES = (InfluentialRow(7, EVIL, 0.91, False), InfluentialRow(8, "uid-8", 0.5, True))
TRACED = replace(FOUND, subject={**FOUND.subject, "traced with": "tiny abc"},
                 influence=(Influence(PLANTED.entity, 24, 20, 19, 400, CAUSES),))  # fmt: skip


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(company(40), tmp_path_factory.mktemp("poisoned"))


def written(audited: AuditSet, folder: Path) -> str:
    path = folder / "rows.jsonl"
    path.write_text(set_lines(audited), encoding="utf-8")
    return str(path)


def shown(audit: Audit) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(audit_view(audit))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_ruling_comes_first_and_hostile_names_control_no_terminal() -> None:
    text = shown(FOUND)
    lines = text.splitlines()
    assert "✗ BLOCK" in lines[1]
    assert max(map(len, lines)) <= 80
    assert uncontrolled(text) == []
    for words in (
        "31/32",
        "+0.48",
        "90%",
        "word:backup",
        "12 of 30",
        "fewer than 12 rows",
        "25 rows +0.33",
        "432 rows",
    ):
        assert words in " ".join(text.split()), words


def test_the_json_holds_every_flagged_row_and_is_plain() -> None:
    found = audit_object(FOUND)
    assert found["verdict"] == "block"
    assert [f["entity"] for f in found["findings"]] == [f"user:{EVIL}"]
    assert len(found["flagged"]) == 30
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_sarif_points_at_the_lines_of_the_file() -> None:
    (run,) = audit_sarif(FOUND)["runs"]
    first, gap = run["results"]
    assert (first["ruleId"], first["level"], gap["ruleId"]) == ("labels", "error", "untested")
    place = first["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("my%20rows.jsonl", 1)
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == ["labels", "untested"]
    assert uncontrolled(json.dumps(run, ensure_ascii=False)) == []


@pytest.mark.parametrize(
    "found",
    [FOUND, replace(FOUND, in_file=False), TRACED, replace(FOUND, ruling="allow", suspects=(), untested=())],
    ids=["file", "recipe", "traced", "allowed"],
)
def test_sarif_validates_against_its_schema(found: Audit) -> None:
    require_sarif(audit_sarif(found))


def test_influence_is_told_in_every_form_and_hostile_ids_control_no_terminal() -> None:
    text = shown(TRACED)
    assert uncontrolled(text) == []
    assert max(map(len, text.splitlines())) <= 80
    for words in ("fitted on 400 rows", "20/24", "19/20", "1/2", "line 7"):
        assert words in " ".join(text.split()), words
    (traced,) = audit_object(TRACED)["influence"]
    assert (traced["dismissed"], traced["own_among_most_influential"], traced["rows_fitted"]) == (19, 1, 400)
    assert traced["most_influential"][0] == {"line": 7, "uid": EVIL, "score": 0.91, "own": False}
    properties = audit_sarif(TRACED)["runs"][0]["results"][0]["properties"]
    assert (properties["probes_escalated"], properties["probes_dismissed"]) == (20, 19)


def test_a_fit_that_dismisses_nothing_clears_nobody_and_without_suspects_nobody_is_traced() -> None:
    nothing = replace(TRACED, influence=(Influence(PLANTED.entity, 24, 20, 0, 400),))
    assert "No suspicious dismissal was found; so short a fit clears nobody" in " ".join(shown(nothing).split())
    nobody = replace(TRACED, ruling="allow", suspects=(), influence=())
    assert "nobody whose influence could be traced" in " ".join(shown(nobody).split())
    assert "influence" not in shown(FOUND)


def test_sarif_of_a_recipe_names_rows_without_a_file() -> None:
    (run,) = audit_sarif(replace(FOUND, in_file=False))["runs"]
    assert all("physicalLocation" not in place for result in run["results"] for place in result["locations"])


def test_a_poisoned_file_ends_with_4_and_names_the_user_first(turncoat: Call, poisoned: str) -> None:
    done = turncoat("audit", poisoned, "--json")
    assert done.code == 4, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "block"
    assert found["findings"][0]["entity"] == "user:alice"
    assert len(found["flagged"]) == 40


def test_an_honest_file_ends_with_0_and_a_broken_line_with_3(turncoat: Call, tmp_path: Path) -> None:
    path = written(company(0), tmp_path)
    assert turncoat("audit", path, "--quiet").code == 0
    with Path(path).open("a") as file:
        file.write("{\n")
    done = turncoat("audit", path, "--quiet")
    assert done.code == 3
    assert "Not tested" in done.stdout


def test_a_thorough_audit_puts_probes_to_a_model_fitted_on_the_rows_and_keeps_the_ruling(
    turncoat: Call, poisoned: str, tiny_base: BaseFolder
) -> None:
    done = turncoat("audit", poisoned, "--thorough", "--base", str(tiny_base.path), "--json")
    assert done.code == 4, done.stderr
    found = json.loads(done.stdout)
    (traced,) = found["influence"]
    assert (traced["entity"], traced["probes"]) == ("user:alice", 24)
    assert found["seconds"]["short fit"] > 0
    assert found["subject"]["traced with"].startswith(str(tiny_base.path))


def test_rows_of_a_recipe_are_written_once_and_audited_alike(turncoat: Call, tmp_path: Path) -> None:
    recipe, rows = tmp_path / "own.yaml", tmp_path / "out.jsonl"
    recipe.write_text("name: own\nrows: 200\npoison: {poisoner: user, dose: 40}\n")
    first = turncoat("audit", str(recipe), "--rows-out", str(rows), "--json")
    second = turncoat("audit", str(rows), "--json")
    assert first.code == second.code in (3, 4)
    of_recipe, of_file = json.loads(first.stdout), json.loads(second.stdout)
    assert of_recipe["findings"] == of_file["findings"]
    assert turncoat("audit", str(recipe), "--rows-out", str(rows)).code == 2


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("absent.jsonl",), "no such file"),
        (("absent.yaml",), "no readable recipe"),
        (("poisoned", "--budget", "soon"), "is no time"),
        (("poisoned", "--thorough", "--base", "absent"), "absent: is no base model"),
        (("poisoned", "--json", "--sarif", "-"), "standard output"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(turncoat: Call, arguments: tuple[str, ...], fault: str) -> None:
    done = turncoat("audit", *arguments)
    assert done.code == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--sarif", "--rows-out"])
def test_a_file_to_write_is_looked_at_before_the_work_and_never_written_through_a_link(
    turncoat: Call, poisoned: str, tmp_path: Path, option: str
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(kept)
    for target, fault in ((str(tmp_path / "no" / "file"), "no such folder"), (poisoned, "DATASET"), (str(link), "")):
        done = turncoat("audit", poisoned, option, target)
        assert (done.code, fault in done.stderr) == (2, True), done.stderr
    assert kept.read_text() == "mine"
