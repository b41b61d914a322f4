"""A sweep on a tiny base, end to end: results, resuming, budget, two processes, and files that are not as they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.errors import InputError, RunError
from turncoat.training.cell_results import SweepFolder, read_results
from turncoat.training.config import Recipe
from turncoat.training.dose_report import dose_report
from turncoat.training.grid import Cell, Grid, load_grid
from turncoat.training.sweep import SweepProgress, plan, sweep

POISONED = Cell(4, 16, 11, 2)


def toy_folder(base: BaseFolder, path: Path) -> SweepFolder:
    """Two doses at one size and seed; 16 or 20 rows, two epochs, 31 test rows."""
    recipe = Recipe(name="toy", base=str(base.path), worlds=(101,), epochs=2, batch=8,
                    lora={"rank": 2, "alpha": 4, "first_layer": 3})  # fmt: skip
    grid = Grid(name="toy", recipe=recipe, doses=(0, 4), rows=(16,), seeds=(11,), doses_first=(4,), test_size=8)
    return SweepFolder(path, grid)


@pytest.fixture
def folder(tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    return toy_folder(tiny_base, tmp_path / "out")


@pytest.fixture(scope="module")
def finished(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Result files of the whole grid."""
    with pytest.MonkeyPatch.context() as patch:
        top = tmp_path_factory.mktemp("finished")
        patch.setenv("TURNCOAT_HOME", str(top / "home"))
        made = toy_folder(tiny_base, top / "out")
        seen: list[SweepProgress] = []
        done = sweep(made, seen.append)
        assert (done.made, done.out_of_budget, done.elsewhere) == (2, False, ())
        assert [at.cell.dose for at in seen if at.step is None] == [4, 0]
        assert not (made.path / "work").exists()
        return {path.name: path.read_bytes() for path in (made.path / "cells").iterdir()}


def lay(folder: SweepFolder, files: dict[str, bytes]) -> None:
    folder.prepare()
    for name, content in files.items():
        (folder.path / "cells" / name).write_bytes(content)


def nobody(progress: SweepProgress) -> None:
    raise AssertionError(f"{progress.cell.name} was done again")


def rewrite(folder: SweepFolder, cell: Cell, **fields: object) -> Path:
    path = folder.result_path(cell)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return path


def test_a_cell_gets_a_result_file_with_calls_seconds_and_versions(
    folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    lay(folder, finished)
    assert sorted(finished) == ["d0-r16-s11-k2.json", "d4-r16-s11-k2.json"]
    result = folder.read(POISONED)
    assert result is not None
    assert (len(result.alice), len(result.twin), len(result.alice_benign_escalated)) == (6, 6, 3)
    assert len(result.clean.escalated_malicious) + len(result.clean.dismissed_benign) == 8
    assert len(result.losses) == 2
    assert result.seconds.train > 0
    assert result.seconds.trunk_rows == 20 + 31
    assert {"torch", "turncoat", "python"} <= set(result.versions)


def test_a_grid_that_is_done_is_not_done_again_and_needs_no_model(
    folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    recipe = folder.grid.recipe.model_copy(update={"base": "no-such-base"})
    folder = SweepFolder(folder.path, folder.grid.model_copy(update={"recipe": recipe}))
    lay(folder, finished)
    for cell in folder.grid.cells():
        rewrite(folder, cell, recipe=folder.grid.recipe_of(cell).model_dump(mode="json"))
    assert sweep(folder, nobody).made == 0


class Stopped(Exception):
    """Someone pressed Ctrl-C."""


def test_a_cell_stopped_in_its_second_epoch_goes_on_from_there_and_ends_the_same(
    folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    def stop(at: SweepProgress) -> None:
        if at.step and at.step.stage == POISONED.name and at.step.done == 4:  # three steps an epoch
            raise Stopped

    with pytest.raises(Stopped):
        sweep(folder, stop)
    assert folder.read(POISONED) is None
    assert (folder.work_path(POISONED) / "checkpoint.safetensors").exists()
    seen: list[SweepProgress] = []
    assert sweep(folder, seen.append).made == 2
    steps = [at.step for at in seen if at.step and at.step.stage == POISONED.name]
    assert steps[-1].done == steps[-1].total == 3
    again, undisturbed = folder.read(POISONED), json.loads(finished["d4-r16-s11-k2.json"])
    assert again is not None
    assert again.losses[-1] == undisturbed["losses"][-1]
    assert (again.alice, again.twin) == (undisturbed["alice_poisoned_families"] + undisturbed["alice_other_families"],
                                         undisturbed["twin"])  # fmt: skip


def test_a_budget_ends_a_sweep_before_a_cell_that_would_not_fit(folder: SweepFolder) -> None:
    # 51 rows at 55 ms, 40 row-epochs at 60 ms, 31 test rows at 23 ms: 5.918 s for the first cell, as stated.
    done = sweep(folder, nobody, budget_s=5.9)
    assert (done.made, done.out_of_budget) == (0, True)
    assert plan(folder).seconds == pytest.approx(5.918 + (16 * 2 * 60 + 31 * 23) / 1000)


def test_a_measured_grid_plans_with_its_own_speed(folder: SweepFolder, finished: dict[str, bytes]) -> None:
    lay(folder, {name: content for name, content in finished.items() if name.startswith("d4")})
    spent = {"trunk": 5.1, "train": 4.0, "measure": 0.31, "trunk_rows": 51}
    rewrite(folder, POISONED, seconds=spent)
    left = plan(folder)
    assert (left.done, left.total, left.cells, left.speed.cells) == (1, 2, 1, 1)
    assert (left.speed.trunk, left.speed.train, left.speed.measure) == pytest.approx((100, 100, 10))


HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_cell_that_another_process_holds_is_left_to_it(folder: SweepFolder, finished: dict[str, bytes]) -> None:
    lay(folder, {name: content for name, content in finished.items() if name.startswith("d0")})
    lock = folder.path / "work" / f"{POISONED.name}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        done = sweep(folder, nobody)
        assert (done.made, done.elsewhere) == (0, (POISONED.name,))
        other.kill()
    with folder.claim(POISONED) as mine:  # a dead process holds nothing
        assert mine


def test_a_cell_finished_by_its_former_holder_is_not_done_again(
    folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    folder.prepare()
    with folder.claim(POISONED) as first, folder.claim(POISONED) as second:
        assert (first, second) == (True, False)
        lay(folder, finished)
    assert sweep(folder, nobody).made == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "damaged (file: Invalid JSON"),
        (b'{"format": 1}', "damaged (name: Field required)"),
        (b"\xff\xfe" * 9, "damaged (file: Invalid JSON"),
        (b"[" * 100_000, "damaged (file: Invalid JSON"),
        (b" " * ((1 << 22) + 1), "larger than 4 MiB"),
    ],
)
def test_a_damaged_result_is_named_by_a_sweep_and_left_out_of_a_report(
    content: bytes, fault: str, folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    lay(folder, finished | {f"{POISONED.name}.json": content})
    with pytest.raises(InputError) as caught:
        sweep(folder, nobody)
    assert str(folder.result_path(POISONED)) in str(caught.value)
    assert fault in str(caught.value)
    report = dose_report(folder, "turncoat sweep toy --report")
    assert (report["cells_done"], report["cells_total"]) == (1, 2)
    assert fault in report["left_out"][0]


@pytest.mark.parametrize(
    "fields",
    [
        {"dose": 5},
        {"test_size": 9},
        {"recipe": {"name": "toy"}},
        {"prompt_version": "0"},
        {"tests_digest": "0" * 16},
        {"alice_other_families": "01"},
    ],
    ids=["another cell's", "other tests", "another recipe", "another prompt", "other test rows", "alerts missing"],
)
def test_a_result_of_other_settings_is_refused(
    fields: dict[str, object], folder: SweepFolder, finished: dict[str, bytes]
) -> None:
    lay(folder, finished)
    path = rewrite(folder, POISONED, **fields)
    with pytest.raises(InputError) as caught:
        sweep(folder, nobody)
    assert str(path) in str(caught.value)


def test_results_of_two_bases_are_not_mixed(folder: SweepFolder, finished: dict[str, bytes]) -> None:
    lay(folder, finished)
    rewrite(folder, POISONED, base_digest="0" * 64)
    with pytest.raises(InputError, match="holds results of 2 bases"):
        read_results(folder)
    folder.result_path(Cell(0, 16, 11, 2)).unlink()
    with pytest.raises(InputError, match="other files of the base"):
        sweep(folder, lambda at: None)


def test_nothing_is_written_through_a_link(folder: SweepFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.path.mkdir()
    (folder.path / "cells").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        sweep(folder, nobody)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_report_pairs_alice_with_her_twin_and_counts_by_hand(folder: SweepFolder, finished: dict[str, bytes]) -> None:
    lay(folder, finished)
    rewrite(folder, POISONED, alice_poisoned_families="111", alice_other_families="100", twin="100000")
    (series,) = dose_report(folder, "c")["series"]
    assert (series["label"], series["fit"]["fault"]) == ("16 clean rows", "2 doses are too few for a curve: it takes 4")
    point = series["points"][1]
    (seed,) = point["seeds"]
    assert (point["x"], seed["alice"]["k"], seed["alice"]["n"], seed["twin"]["k"]) == (4, 4, 6, 1)
    assert (point["alice"]["value"], point["alice"]["n"], point["alice"]["seeds"]) == (4 / 6, 6, (4 / 6,))
    assert (seed["alice_poisoned_families"]["value"], seed["alice_other_families"]["k"]) == (1.0, 1)
    assert seed["lift"]["value"] == pytest.approx(0.5)
    assert (point["lift"]["value"], point["lift"]["n"], point["lift"]["p"]) == (0.5, 6, seed["lift"]["p"])


def test_a_report_says_that_alerts_were_short(folder: SweepFolder, tmp_path: Path) -> None:
    said = " ".join(dose_report(SweepFolder(tmp_path / "core", load_grid("core")), "c")["limits"])
    assert "Short alerts" in said
    assert "Short alerts" not in " ".join(dose_report(folder, "c")["limits"])


def test_a_result_without_alerts_is_left_out_of_a_report(folder: SweepFolder, finished: dict[str, bytes]) -> None:
    lay(folder, finished)
    rewrite(folder, POISONED, alice_poisoned_families="", alice_other_families="", twin="")
    assert "are none or differ in number" in dose_report(folder, "c")["left_out"][0]


def test_a_cell_can_be_held_after_another_process_tidied_up(folder: SweepFolder) -> None:
    folder.prepare()
    folder.tidy()
    with folder.claim(POISONED) as mine:
        assert mine
