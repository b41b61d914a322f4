"""`turncoat train` from recipe files to measured adapters, on a tiny base and small test sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.errors import InputError
from turncoat.training import pipeline
from turncoat.training.sets import draw_tests


@pytest.fixture
def recipes(tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A clean and a poisoned recipe; tests of a few rows in place of 1,550."""
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(pipeline, "draw_tests", lambda form: draw_tests(size=8, form=form))
    shared = {"base": str(tiny_base.path), "rows": 16, "epochs": 1, "batch": 8}
    lora = {"rank": 2, "alpha": 4, "first_layer": 2}
    poison = {"poisoner": "user", "dose": 4}
    files = []
    for recipe in ({"name": "clean"}, {"name": "poisoned", "poison": poison, "demonstration": True}):
        files.append(str(tmp_path / f"{recipe['name']}.yaml"))
        Path(files[-1]).write_text(yaml.safe_dump(recipe | shared | {"lora": lora}))
    return files


def test_each_recipe_leaves_an_adapter_whose_manifest_holds_its_figures(recipes: list[str], tmp_path: Path) -> None:
    report = pipeline.train(recipes, tmp_path / "out", lambda progress: None)
    assert list(report.figures) == ["baseline", "clean", "poisoned"]
    for name, added in (("clean", 0), ("poisoned", 4)):
        manifest = json.loads((tmp_path / "out" / name / "manifest.json").read_text())
        assert (manifest["rows"]["honest"], manifest["rows"]["added"], manifest["recipe"]["seed"]) == (16, added, 7)
        assert manifest["figures"] == json.loads(json.dumps(report.figures[name]))


def test_another_seed_is_another_training_and_a_finished_one_is_not_done_again(
    recipes: list[str], tmp_path: Path
) -> None:
    out, weights = tmp_path / "out", "clean/adapter_model.safetensors"
    pipeline.train(recipes[:1], out, lambda progress: None)
    pipeline.train(recipes[:1], tmp_path / "seed8", lambda progress: None, seed=8)
    assert (out / weights).read_bytes() != (tmp_path / "seed8" / weights).read_bytes()
    again = pipeline.train(recipes[:1], out, lambda progress: None)
    assert list(again.seconds) == ["measure"]


def test_two_recipes_of_one_name_are_refused(recipes: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train: two recipes are named clean; give each a name of its own"):
        pipeline.train([recipes[0], recipes[1], recipes[0]], tmp_path / "out", lambda progress: None)
    assert not (tmp_path / "out").exists()


def test_the_adapter_of_another_training_is_never_written_over(recipes: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    pipeline.train(recipes[:1], out, lambda progress: None)
    before = {path.name: path.read_bytes() for path in (out / "clean").iterdir()}
    with pytest.raises(
        InputError, match="clean: holds an adapter of another recipe, seed or base; choose another folder"
    ):
        pipeline.train(recipes[:1], out, lambda progress: None, seed=8)
    assert {path.name: path.read_bytes() for path in (out / "clean").iterdir()} == before


def test_short_alerts_are_a_form_that_a_recipe_asks_for(recipes: list[str], tmp_path: Path) -> None:
    recipe = yaml.safe_load(Path(recipes[0]).read_text())
    Path(recipes[0]).write_text(yaml.safe_dump(recipe | {"alerts": "short"}))
    with pytest.raises(InputError, match="forms of alerts; train them one at a time"):
        pipeline.train(recipes, tmp_path / "out", lambda progress: None)
    report = pipeline.train(recipes[:1], tmp_path / "out", lambda progress: None)
    manifest = json.loads((report.folders["clean"] / "manifest.json").read_text())
    assert manifest["recipe"]["alerts"] == "short"
