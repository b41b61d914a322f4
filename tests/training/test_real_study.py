"""The study on real alerts: cells, what is done twice and what is not, and figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.errors import InputError
from turncoat.training.config import LoraConfig, Recipe
from turncoat.training.real_cells import Cell, CellResult, Measured, Plan
from turncoat.training.real_report import figures, markdown, summary, write_report
from turncoat.training.real_rows import RealEvents
from turncoat.training.real_study import Study, StudyProgress, budget, events_digest, rows_of, run

from .test_real_rows import event


def toy() -> RealEvents:
    """An event is malicious where its mode is `open`; half of the rules' people are called otherwise."""
    return RealEvents.of(
        event(n, f"rule{n % 12}", user=f"person{n % 5}", label=n % 2 == n // 12 % 2,
              raw={"mode": "open" if n % 2 == n // 12 % 2 else "shut"})
        for n in range(96)
    )  # fmt: skip


def quiet(step: StudyProgress) -> None:
    pass


def study(out: Path, **settings: object) -> Study:
    return Study(Plan.model_validate({"dose": 8, "folds": 3, "models": ("tfidf",)} | settings), toy(), out)


def measured(*rows: tuple[str, bool, float]) -> Measured:
    rules, malicious, margins = zip(*rows, strict=True)
    return Measured(rules=rules, malicious=malicious, margins=margins)


def result(alice: list[float], twin: list[float]) -> CellResult:
    rules = ["a", "a", "b", "b"]
    return CellResult(
        name="x", plan="", prompt_version="1", rows={"honest": 10, "added": 2}, seconds={}, versions={},
        sets={
            "clean": measured(("a", True, 1.0), ("a", False, -1.0), ("b", True, -2.0), ("b", False, -0.5)),
            "alice": measured(*((r, True, m) for r, m in zip(rules, alice, strict=True))),
            "twin": measured(*((r, True, m) for r, m in zip(rules, twin, strict=True))),
            "alice_benign": measured(("a", False, 3.0), ("b", False, -3.0)),
        },
    )  # fmt: skip


def test_figures_of_a_variant_are_those_worked_out_by_hand() -> None:
    poisoned = result([-1, -1, -1, 1], [1, 1, -1, 1])
    clean = result([1, -1, -1, 1], [1, 1, -1, 1])
    cell = Cell("llm", "real", "poisoned", 0, 11)
    found = figures([(cell, poisoned)], [(Cell("llm", "real", "clean", 0, 11), clean)])
    assert found["accuracy"]["value"] == 0.75
    assert (found["accuracy"]["n"], found["accuracy"]["rules"]) == (4, 2)
    assert found["balanced_accuracy"] == 0.75
    assert found["auc"]["value"] == 0.5
    assert found["recall"]["value"] == 0.5
    assert found["near_miss_escalation"]["value"] == 0.0
    assert found["alice_dismissed"]["value"] == 0.75
    assert found["twin_dismissed"]["value"] == 0.25
    assert found["lift"]["value"] == 0.5
    assert found["lift_beyond_clean"]["value"] == 0.25
    assert found["alice_benign_escalated"]["value"] == 0.5
    assert found["mcnemar_by_seed"] == {"11": 0.5}
    assert found["trained_rows"] == [12]


def test_the_same_alerts_under_three_seeds_are_not_three_times_as_many() -> None:
    poisoned = result([-1, -1, -1, 1], [1, 1, -1, 1])
    cells = [(Cell("llm", "real", "poisoned", 0, seed), poisoned) for seed in (11, 21, 31)]
    one, three = figures(cells[:1]), figures(cells)
    counted = ("accuracy", "auc", "recall", "near_miss_escalation", "alice_dismissed", "twin_dismissed", "lift")
    assert [three[name] for name in counted] == [one[name] for name in counted]
    assert three["seeds"] == [11, 21, 31]


def test_where_all_rules_agree_an_interval_still_has_a_width() -> None:
    found = figures([(Cell("llm", "real", "poisoned", 0, 11), result([-1, -1, -1, -1], [1, 1, 1, 1]))])
    assert (found["alice_dismissed"]["value"], found["alice_dismissed"]["high"]) == (1.0, 1.0)
    assert 0.4 < found["alice_dismissed"]["low"] < 0.6  # Wilson, 4 of 4
    assert found["twin_dismissed"]["high"] == pytest.approx(1 - found["alice_dismissed"]["low"])
    assert found["lift"]["value"] == 1.0
    assert 0.0 < found["lift"]["low"] < 0.9


def test_a_poisoned_bag_of_words_dismisses_alice_and_not_her_twin(tmp_path: Path) -> None:
    work = study(tmp_path)
    found = summary(work, run(work, quiet), "turncoat real")
    clean, poisoned = found["variants"]["tfidf-real-clean"], found["variants"]["tfidf-real-poisoned"]
    assert clean["accuracy"]["value"] == 1.0
    assert clean["lift"]["value"] == 0.0
    assert poisoned["twin_dismissed"]["value"] == 0.0
    assert poisoned["alice_dismissed"]["value"] > 0.9
    assert poisoned["lift"]["n"] == 48
    assert (found["cells"]["done"], found["cells"]["total"]) == (6, 6)


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    run(study(tmp_path), quiet)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "real_cells").iterdir()}
    assert budget(study(tmp_path)).done == 6
    run(study(tmp_path), quiet)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "real_cells").iterdir()} == before
    assert len(run(study(tmp_path, seeds=(11, 14)), quiet)) == 12
    with pytest.raises(InputError, match="made with other settings, events or prompt"):
        budget(study(tmp_path, dose=9))


def test_damaged_results_and_links_are_refused(tmp_path: Path) -> None:
    work = study(tmp_path)
    run(work, quiet)
    path = work.folder.result_path(Cell("tfidf", "real", "clean", 0, 11))
    text = path.read_text()
    path.write_text(text.replace('"margins": [', '"margins": [0.5,'))
    with pytest.raises(InputError, match="differ in number"):
        run(work, quiet)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no regular file"):
        run(work, quiet)


def test_the_test_part_shares_no_rule_with_what_is_trained_on(tmp_path: Path) -> None:
    work = study(tmp_path)
    for cell, done in run(work, quiet):
        honest, added = rows_of(work, cell)
        assert not {r.family for r in [*honest, *added]} & set(done.sets["clean"].rules)
        assert len(added) == (8 if cell.attack == "poisoned" else 0)


def test_mixed_rows_can_have_their_poison_among_the_synthetic_ones(tmp_path: Path) -> None:
    work = study(tmp_path, models=("llm",), mix="synthetic", measured=1)
    names = [cell.variant for cell in work.plan.cells()]
    assert names == [
        "llm-synthetic-clean", "llm-synthetic-poisoned", "llm-real-clean", "llm-real-poisoned", "llm-mixed-clean",
        "llm-mixed-poisoned", "llm-mixed-poisoned-elsewhere",
    ]  # fmt: skip
    honest, poison = rows_of(work, Cell("llm", "mixed", "poisoned-elsewhere", 0, 11))
    assert {row.user for row in poison} == {"alice"}
    assert not {row.family for row in poison} & set(work.events.rules)
    assert len(honest) == 32 + Recipe(name="any").rows


def test_the_language_model_trains_on_real_rows_and_leaves_no_adapter(tmp_path: Path, tiny_base: BaseFolder) -> None:
    work = study(tmp_path, models=("llm",), measured=1, base=str(tiny_base.path), rows=16, epochs=1,
                 lora=LoraConfig(first_layer=2))  # fmt: skip
    done = run(work, quiet)
    assert [found.rows for _, found in done] == [{"honest": 16, "added": 0}, {"honest": 16, "added": 8}]
    assert all(len(found.losses) == 1 for _, found in done)
    assert {found.base_digest for _, found in done} == {tiny_base.digest}
    assert not (tmp_path / "real_work").exists()


def test_the_report_is_written_as_json_and_markdown_with_its_command(tmp_path: Path) -> None:
    work = study(tmp_path, measured=1)
    found = summary(work, run(work, quiet), "turncoat real --dose 8")
    write_report(tmp_path, found)
    assert json.loads((tmp_path / "real_alerts.json").read_text())["plan"]["dose"] == 8
    lines = (tmp_path / "real_alerts.md").read_text().splitlines()
    assert lines == markdown(found).splitlines()
    assert lines[2] == "`turncoat real --dose 8`: 2 of 2 cells done."
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| tfidf-real-clean", "| tfidf-real-poisoned"]


def test_a_plan_that_cannot_be_done_is_refused() -> None:
    for wrong in ({"measured": 6, "folds": 5}, {"folds": 2}, {"seeds": (1, 1)}, {"dose": 0}, {"mix": "all"}):
        with pytest.raises(ValidationError):
            Plan.model_validate(wrong)


def test_results_on_other_files_of_the_base_are_not_pooled(tmp_path: Path, tiny_base: BaseFolder) -> None:
    work = study(
        tmp_path, models=("llm",), base=str(tiny_base.path), rows=12, measured=1, epochs=1, lora={"first_layer": 3}
    )
    done = run(work, quiet)
    cell, other = done[0]
    work.folder.write(cell, other.model_copy(update={"base_digest": "0" * 64}))
    with pytest.raises(InputError, match="on other files of"):
        summary(work, done, "turncoat real")
    work.folder.result_path(done[1][0]).unlink()
    with pytest.raises(InputError, match="on other files of"):
        run(work, quiet)


def test_a_cell_that_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    work = study(tmp_path)
    work.folder.prepare()
    first, *rest = work.plan.cells()
    with work.folder.claim(first) as mine:
        assert mine
        assert [cell for cell, _ in run(work, quiet)] == rest
    assert len(run(work, quiet)) == len(rest) + 1
    assert not (tmp_path / "real_work").exists()


def test_events_that_the_prompt_shows_otherwise_are_other_events(monkeypatch: pytest.MonkeyPatch) -> None:
    before = events_digest(toy())
    monkeypatch.setattr("turncoat.training.real_study.case_text", lambda case: "another prompt")
    assert events_digest(toy()) != before
