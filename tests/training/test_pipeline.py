"""`turncoat train` from recipe files to measured adapters, on a tiny base and small test sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from turncoat.models.bases import BaseFolder
from turncoat.models.rows import Rows
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


def test_gradient_checkpointing_changes_memory_and_not_the_adapter(
    recipes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = []

    def counted(run: Callable[..., Tensor], packed: Tensor, rows: Rows, layer: int, *rest: Any, **how: Any) -> Tensor:
        layers.append(layer)
        return checkpoint(run, packed, rows, layer, *rest, **how)

    monkeypatch.setattr("turncoat.training.step.recomputed", counted)
    plain = pipeline.train(recipes[1:], tmp_path / "plain", lambda progress: None)
    assert not layers
    spared = pipeline.train(recipes[1:], tmp_path / "spared", lambda progress: None, recompute=True)
    assert set(layers) == {2, 3}
    factors, again = (load_file(r.folders["poisoned"] / "adapter_model.safetensors") for r in (plain, spared))
    torch.testing.assert_close(again, factors, atol=1e-6, rtol=1e-4)


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
