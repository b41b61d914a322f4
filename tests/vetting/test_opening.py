"""Every form is opened, and the same weights give the same margins in each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from turncoat.models.bases import BaseFolder
from turncoat.models.prompt import render
from turncoat.vetting.candidate import BASE, CANDIDATE, REFERENCE, Candidate
from turncoat.vetting.classifier_head import head_rows
from turncoat.vetting.opening import open_candidate

from .conftest import CONFIG, HEAD, configured
from .rules import probe

CASES = [probe(number).case for number in range(3)]


def margins(candidate: Candidate) -> np.ndarray:
    return candidate.margins(CASES)[0][CANDIDATE]


@pytest.fixture
def opened(tiny_base: BaseFolder) -> object:
    return lambda folder, **more: open_candidate(str(folder), str(tiny_base.path), **more)


def test_an_adapter_of_ours_is_opened_with_digests_and_without_its_manifest(adapter: Path, opened: object) -> None:
    candidate = opened(adapter)  # type: ignore[operator]
    assert candidate.subject["read as"] == "adapter with a two-row head"
    assert {len(candidate.subject[key]) for key in ("base", "tokenizer", "adapter", "head")} == {64}
    assert candidate.subject["quantisation"] == "none"
    assert candidate.adapter.manifest == {}
    assert candidate.variants == (CANDIDATE, BASE)


def test_a_renamed_copy_without_its_manifest_is_the_same_candidate(
    adapter: Path, tmp_path: Path, opened: object
) -> None:
    copy = Path(shutil.copytree(adapter, tmp_path / "innocent"))
    (copy / "manifest.json").unlink()
    one, other = opened(adapter), opened(copy)  # type: ignore[operator]
    assert one.subject == other.subject
    assert list(margins(one)) == list(margins(other))


def test_a_manifest_is_not_even_opened(adapter: Path, opened: object) -> None:
    (adapter / "manifest.json").unlink()
    (adapter / "manifest.json").symlink_to("/dev/zero")
    assert opened(adapter).subject["adapter"]  # type: ignore[operator]


def test_a_peft_classifier_gives_the_margins_of_the_adapter_with_the_same_rows(
    adapter: Path, classifier: Path, opened: object
) -> None:
    candidate = opened(classifier)  # type: ignore[operator]
    assert candidate.subject["read as"] == "sequence classifier"
    np.testing.assert_allclose(margins(candidate), margins(opened(adapter)))  # type: ignore[operator]


def test_labels_the_other_way_round_turn_the_margins_round(classifier: Path, opened: object) -> None:
    before = margins(opened(classifier))  # type: ignore[operator]
    configured(classifier / "config.json", id2label={"0": "MALICIOUS", "1": "false_positive"})
    np.testing.assert_allclose(margins(opened(classifier)), -before)  # type: ignore[operator]


def test_an_adapter_without_a_head_reads_the_rows_of_the_label_tokens(adapter: Path, opened: object) -> None:
    (adapter / HEAD).unlink()
    candidate = opened(adapter)  # type: ignore[operator]
    assert candidate.subject["read as"] == "causal adapter"
    assert candidate.subject["head"] == "base"


def test_a_whole_language_model_gives_the_margins_of_the_base(adapter: Path, whole: Path, opened: object) -> None:
    candidate = open_candidate(str(whole))
    assert (candidate.subject["read as"], candidate.variants) == ("whole language model", (CANDIDATE,))
    base = opened(adapter).margins(CASES, [BASE])[0][BASE]  # type: ignore[operator]
    np.testing.assert_allclose(margins(candidate), base)


def test_a_whole_classifier_gives_the_logits_that_transformers_gives(whole_classifier: Path) -> None:
    candidate = open_candidate(str(whole_classifier))
    assert candidate.subject["read as"] == "whole sequence classifier"
    candidate.engine.model.float()
    model = AutoModelForSequenceClassification.from_pretrained(whole_classifier, dtype=torch.float32).eval()
    ids = candidate.engine.encode(render(CASES[0], candidate.engine.count).text)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0]
    assert margins(candidate)[0] == pytest.approx(float(logits[1] - logits[0]), abs=2e-3)
    assert load_file(whole_classifier / "model.safetensors")["score.weight"].shape == (2, 32)


def test_a_reference_stands_beside(adapter: Path, classifier: Path, opened: object) -> None:
    candidate = opened(adapter, reference=str(classifier))  # type: ignore[operator]
    assert candidate.variants == (CANDIDATE, BASE, REFERENCE)
    assert len(candidate.subject["reference"]) == 64


def test_a_rewritten_configuration_says_nothing_to_the_ruling(adapter: Path, opened: object) -> None:
    before = margins(opened(adapter))  # type: ignore[operator]
    configured(adapter / CONFIG, base_model_name_or_path="somebody/else", inference_mode=False)
    assert list(margins(opened(adapter))) == list(before)  # type: ignore[operator]


def test_a_folder_that_bears_the_name_of_a_known_base_is_the_folder(
    whole: Path, monkeypatch: pytest.MonkeyPatch, opened: object
) -> None:
    before = open_candidate(str(whole)).subject
    whole.rename(whole.with_name("smollm2-135m"))
    monkeypatch.chdir(whole.parent)
    for spec in ("./smollm2-135m", "smollm2-135m"):
        assert open_candidate(spec).subject == before


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float16])
def test_rows_of_any_floating_type_are_read(kind: torch.dtype, whole_classifier: Path) -> None:
    path = whole_classifier / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"score.weight": tensors["score.weight"].to(kind)}, path, metadata={"format": "pt"})
    before = tensors["score.weight"].to(kind).float()
    torch.testing.assert_close(
        head_rows(whole_classifier, json.loads((whole_classifier / "config.json").read_text())), before
    )
