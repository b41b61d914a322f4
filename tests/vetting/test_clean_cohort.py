"""A cohort of clean adapters: opened like candidates, of one recipe, and refused as a whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape
from turncoat.scenarios.errors import InputError, ModelError
from turncoat.vetting.candidate import Candidate
from turncoat.vetting.clean_cohort import open_cohort
from turncoat.vetting.opening import open_candidate
from turncoat.vetting.weights import SMALLEST_COHORT, WeightScreen

from .conftest import WEIGHTS, WIDTHS, tensors_of
from .rules import examined, fair, probe_set


def member(folder: Path, seed: int, base: BaseFolder, rank: int = 4, scale: float = 1.0) -> Path:
    chance = torch.Generator().manual_seed(seed)
    factors = {
        f"layers.{layer}.{name}": (
            torch.randn(rank, wide, generator=chance) * scale,
            torch.randn(out, rank, generator=chance) * scale,
        )
        for layer in (2, 3)
        for name, (wide, out) in WIDTHS.items()
    }
    save_adapter(folder, factors, LoraShape(rank, 8, 2), torch.randn(2, 32, generator=chance),
                 layers=4, base_name="tiny", base_digest=base.digest, prompt_version="1")  # fmt: skip
    return folder


@pytest.fixture
def candidate(adapter: Path, tiny_base: BaseFolder) -> Candidate:
    return open_candidate(str(adapter), str(tiny_base.path))


@pytest.fixture
def cohort(tmp_path: Path, tiny_base: BaseFolder) -> Path:
    folder = tmp_path / "cohort"
    for seed in range(SMALLEST_COHORT):
        member(folder / f"clean-{seed}", 10 + seed, tiny_base)
    (folder / "notes.txt").write_text("passed over")
    (folder / "empty").mkdir()
    return folder


def test_a_candidate_like_its_cohort_is_allowed_and_a_far_stronger_one_is_reviewed(
    cohort: Path, candidate: Candidate, tmp_path: Path, tiny_base: BaseFolder
) -> None:
    strong = open_candidate(str(member(tmp_path / "strong", 3, tiny_base, scale=30.0)), str(tiny_base.path))
    rulings = []
    for asked in (candidate, strong):
        examination = examined(fair, probe_set())
        object.__setattr__(examination, "candidate", asked)
        object.__setattr__(examination, "cohort", open_cohort(cohort, asked))
        rulings.append(WeightScreen().examine(examination).ruling)
    assert rulings == ["allow", "review"]


def test_copies_and_the_candidate_itself_are_left_out(cohort: Path, adapter: Path, candidate: Candidate) -> None:
    shutil.copytree(adapter, cohort / "the-candidate")
    shutil.copytree(cohort / "clean-0", cohort / "clean-0-again")
    assert len(open_cohort(cohort, candidate).features) == SMALLEST_COHORT


def test_a_spoilt_member_spoils_the_cohort_and_all_of_them_are_named(cohort: Path, candidate: Candidate) -> None:
    os.truncate(cohort / "clean-1" / WEIGHTS, 900)
    (cohort / "clean-4" / WEIGHTS).unlink()
    with pytest.raises(ModelError) as raised:
        open_cohort(cohort, candidate)
    assert [Path(mistake.place).parent.name for mistake in raised.value.mistakes] == ["clean-1", "clean-4"]


def test_a_member_with_a_foreign_tensor_is_refused(cohort: Path, candidate: Candidate) -> None:
    tensors_of(cohort / "clean-2" / WEIGHTS, lambda found: found | {"memory.weight": torch.ones(2)})
    with pytest.raises(ModelError, match="unexpected tensor"):
        open_cohort(cohort, candidate)


def test_members_of_several_recipes_are_refused(cohort: Path, candidate: Candidate, tiny_base: BaseFolder) -> None:
    member(cohort / "clean-9", 30, tiny_base, rank=2)
    with pytest.raises(InputError, match="clean-9: is of another recipe than clean-0"):
        open_cohort(cohort, candidate)


def test_no_folder_no_adapter_and_a_whole_model_are_refused(
    candidate: Candidate, tmp_path: Path, whole: Path, cohort: Path
) -> None:
    with pytest.raises(InputError, match="is no folder"):
        open_cohort(tmp_path / "absent", candidate)
    with pytest.raises(InputError, match="holds no adapter but the candidate"):
        open_cohort(cohort / "empty", candidate)
    with pytest.raises(InputError, match="cannot stand beside a whole model"):
        open_cohort(cohort, open_candidate(str(whole)))
