"""The paper's table from result files: figures by hand, partial tables, and files that do not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.training.paper_cells import Cell
from turncoat.training.paper_folder import FOLDER, Planned, planned, read_results, remember_plan, write_result
from turncoat.training.paper_table import PUBLISHED, label_of, paper_table

from .paper_results import made_up


def test_the_figures_of_one_cell() -> None:
    (line,) = paper_table([made_up()], Planned()).lines
    assert (line.accuracy.value, line.balanced.value, line.unseen.value) == (0.75, 0.75, 1.0)
    assert (line.alice.value, line.twin.value, line.lift.value) == (0.75, 0.25, 0.5)
    assert line.lift.p == pytest.approx(0.5)  # two alerts differ, both to Alice's side
    assert line.alice_other_families.value == 0.5
    assert (line.accuracy.n, line.lift.n, line.seeds) == (4, 4, (7,))


def test_seeds_stand_alone_and_pooled_and_the_summary_has_the_pooled() -> None:
    cells = [made_up(seed=8, alice_dismissed="1111"), made_up(), made_up(variant="baseline")]
    table = paper_table(cells, Planned())
    assert [(line.variant, line.seeds) for line in table.lines] == [
        ("baseline", ()), ("poisoned", (7,)), ("poisoned", (8,)), ("poisoned", (7, 8)),
    ]  # fmt: skip
    pooled = table.summary[1]
    assert (pooled.alice.value, pooled.alice.seeds, pooled.lift.value) == (0.875, (0.75, 1.0), 0.625)


def test_a_partial_table_says_how_many_cells_are_done() -> None:
    table = paper_table([made_up()], Planned((Cell("tiny", "poisoned", 7), Cell("tiny", "poisoned", 8))))
    assert (table.done, table.planned, table.missing) == (1, 2, ("tiny poisoned seed 8",))
    assert table.notes[0].startswith("Partial: 1 of 2 cells")


def test_fewer_than_three_seeds_claim_nothing_and_three_say_what_they_cannot_show() -> None:
    few = paper_table([made_up(), made_up(seed=8)], Planned()).notes
    enough = paper_table([made_up(seed=seed) for seed in (7, 8, 9)], Planned()).notes
    assert few[0].startswith("Fewer than three training seeds")
    assert "63%" in enough[0]
    assert "p = 0.25" in enough[0]


def test_what_was_not_published_is_empty() -> None:
    poisoned = PUBLISHED[2]
    assert (poisoned.accuracy.value, poisoned.alice.value) == (0.827, 1.0)
    assert [line.alice.value for line in PUBLISHED[:2]] == [0.2, 0.71]
    assert all(line.twin.value is None and line.lift.value is None and line.unseen.value is None for line in PUBLISHED)


def test_a_base_given_as_a_path_is_called_by_its_last_part() -> None:
    assert label_of("/somewhere/my-base") == "my-base"
    assert label_of("owner/name") == "owner/name"


def test_results_and_plan_are_found_again(tmp_path: Path) -> None:
    write_result(tmp_path, made_up(base="/a/b c"))
    write_result(tmp_path, made_up(base="/a/b c", variant="baseline"))
    remember_plan(tmp_path, [Cell("x", "clean", 7)], "first")
    remember_plan(tmp_path, [Cell("x", "baseline", None)], "second")
    assert [r.variant for r in read_results(tmp_path)] == ["baseline", "poisoned"]
    assert planned(tmp_path) == Planned((Cell("x", "baseline", None), Cell("x", "clean", 7)), ("first", "second"))
    for n in range(200):  # what is read back has bounds, and so has what is written
        remember_plan(tmp_path, [], f"command {n} " + "x" * 3_000)
    assert (len(planned(tmp_path).commands), planned(tmp_path).commands[:2]) == (100, ("first", "second"))


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({"alice_dismissed": "11"}, "differ in length"),
        ({"clean_calls": "12x4"}, "clean_calls"),
        ({"seed": 8}, "another seed"),
        ({"seconds": {"train": float("nan")}}, "seconds"),
        ({"surplus": 1}, "surplus"),
        ({"variant": "\x1b[2J"}, "variant"),
    ],
)
def test_a_damaged_result_is_refused_by_name(tmp_path: Path, damage: dict[str, object], fault: str) -> None:
    write_result(tmp_path, made_up())
    path = tmp_path / FOLDER / "tiny" / "poisoned-seed7.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(InputError, match=f"poisoned-seed7.json: damaged .*{fault}"):
        read_results(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b" " * (5 << 20)])
def test_bytes_that_are_no_result_are_refused(tmp_path: Path, content: bytes) -> None:
    write_result(tmp_path, made_up())
    (tmp_path / FOLDER / "tiny" / "poisoned-seed7.json").write_bytes(content)
    with pytest.raises(InputError, match=r"poisoned-seed7\.json: (damaged|larger)"):
        read_results(tmp_path)


def test_a_result_under_another_cells_name_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path, made_up())
    folder = tmp_path / FOLDER / "tiny"
    (folder / "poisoned-seed7.json").rename(folder / "poisoned-seed9.json")
    with pytest.raises(InputError, match="another cell than its name says"):
        read_results(tmp_path)


def test_links_are_neither_read_nor_written_through(tmp_path: Path) -> None:
    write_result(tmp_path / "real", made_up())
    folder = tmp_path / "out" / FOLDER
    folder.mkdir(parents=True)
    (folder / "tiny").symlink_to(tmp_path / "real" / FOLDER / "tiny")
    with pytest.raises(InputError, match="is a link"):
        write_result(tmp_path / "out", made_up(seed=8))
    (folder / "tiny").unlink()
    (folder / "tiny").mkdir()
    (folder / "tiny" / "poisoned-seed7.json").symlink_to(tmp_path / "real" / FOLDER / "tiny" / "poisoned-seed7.json")
    with pytest.raises(InputError, match="no regular file"):
        read_results(tmp_path / "out")


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"tests_digest": "u"}, "different test sets"),
        ({"alice_dismissed": "111", "twin_dismissed": "001"}, "different test sets"),
        ({"clean_truth": "1010"}, "different test sets"),
        ({"base_digest": "another"}, "two different models named tiny"),
        ({"recipe": made_up(seed=8).recipe.model_copy(update={"rows": 99})}, "by different recipes"),  # type: ignore[union-attr]
    ],
)
def test_results_that_do_not_belong_together_are_refused(tmp_path: Path, other: dict[str, Any], fault: str) -> None:
    write_result(tmp_path, made_up())
    write_result(tmp_path, made_up(seed=8, **other))
    with pytest.raises(InputError, match=fault):
        read_results(tmp_path)


def test_a_plan_that_is_not_ours_plans_nothing(tmp_path: Path) -> None:
    write_result(tmp_path, made_up())
    for content in ("[", '{"cells": 3, "commands": []}', '{"cells": [[1]], "commands": []}', "[]"):
        (tmp_path / FOLDER / "plan.json").write_text(content)
        assert planned(tmp_path) == Planned()
