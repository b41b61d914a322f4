"""Variants by name, and that warming them up changes nothing but the time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.models.adapter import load_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.classifier import AlertClassifier, Case
from turncoat.models.engine import Engine
from turncoat.models.finetuned import FineTunedClassifier
from turncoat.models.scoring import Scored
from turncoat.models.scripted import ScriptedClassifier
from turncoat.models.variants import VariantSet, known_variants, open_variants, shipped_adapters
from turncoat.scenarios.errors import ModelError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Context


class CountingEngine(Engine):
    """Counts what is asked of it."""

    asked = 0

    def score(
        self, wanted: Sequence[tuple[str, Sequence[int]]], on_batch: Callable[[int], None] | None = None
    ) -> Scored:
        self.asked += len(wanted)
        return super().score(wanted, on_batch)


def case(number: int) -> Case:
    """An alert; its text grows with the number, so that lengths differ."""
    alert = Alert(
        f"{number:012x}", datetime(2025, 1, 6, 9, number, tzinfo=UTC), "Run key" + " again" * number, Severity.MEDIUM,
        "EDR", None, "endpoint", f"step {number}", Entities(user="alice"),
    )  # fmt: skip
    return Case(alert, Context())


CASES = [case(i) for i in range(11)]


@pytest.fixture
def variants(tiny_base: BaseFolder, adapter_folder: Path) -> VariantSet:
    """`baseline`, `mine` and a rule, on an engine that counts, in fp32."""
    engine = CountingEngine(tiny_base)
    engine.model.float()
    adapter = load_adapter(adapter_folder, hidden=32, layers=4, base_digest=tiny_base.digest)
    memo: dict[tuple[str, tuple[int, ...]], float] = {}
    engine.add("baseline", None)
    engine.add("mine", adapter)
    found: dict[str, AlertClassifier] = {
        "baseline": FineTunedClassifier(engine, "baseline", None, memo),
        "mine": FineTunedClassifier(engine, "mine", adapter, memo),
        "rule": ScriptedClassifier("scripted-severity"),
    }
    return VariantSet(found, memo)


def counted(variants: VariantSet) -> CountingEngine:
    mine = variants["mine"]
    assert isinstance(mine, FineTunedClassifier)
    assert isinstance(mine.engine, CountingEngine)
    return mine.engine


def test_after_warming_up_nothing_more_is_computed(variants: VariantSet) -> None:
    engine = counted(variants)
    variants.warm([(name, case) for name in variants for case in CASES])
    assert engine.asked == 2 * len(CASES)
    for name in variants:
        assert None not in variants[name].classify(CASES)
    assert engine.asked == 2 * len(CASES)


def test_a_prompt_that_two_alerts_share_is_computed_once(variants: VariantSet) -> None:
    twice = [CASES[0], replace(CASES[0], alert=replace(CASES[0].alert, uid="another"))]
    verdicts = variants["mine"].classify(twice)
    assert counted(variants).asked == 1
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("name", ["baseline", "mine", "rule"])
def test_a_verdict_is_the_same_warmed_up_or_not(variants: VariantSet, name: str) -> None:
    alone = [variants[name].classify([case])[0] for case in CASES]
    variants._memo.clear()
    variants.warm([(v, case) for v in variants for case in CASES])
    for before, after in zip(alone, variants[name].classify(CASES), strict=True):
        assert before is not None
        assert after is not None
        assert (after.answer, after.tokens, after.fingerprint) == (before.answer, before.tokens, before.fingerprint)
        assert after.margin == pytest.approx(before.margin, abs=1e-4)


@pytest.mark.parametrize("name", ["baseline", "mine"])
def test_a_verdict_is_the_softmax_of_the_two_logits(variants: VariantSet, name: str) -> None:
    verdicts = variants[name].classify(CASES)
    prompts = [ids for _, ids in variants._memo]  # in the order of the cases
    expected = counted(variants).logits(prompts, [name])[name].softmax(1)[:, 1].tolist()
    for ids, p, verdict in zip(prompts, expected, verdicts, strict=True):
        assert verdict is not None
        assert verdict.p_malicious == pytest.approx(p, abs=1e-4)
        assert verdict.answer == ("malicious" if p >= 0.5 else "benign")
        assert verdict.tokens == len(ids)


def test_a_logit_that_is_not_finite_is_no_verdict(variants: VariantSet) -> None:
    engine = counted(variants)
    mine = variants["mine"]
    assert isinstance(mine, FineTunedClassifier)
    assert mine.adapter is not None
    assert mine.adapter.head is not None
    engine.add("huge", replace(mine.adapter, head=mine.adapter.head * 1e38))
    huge = FineTunedClassifier(engine, "huge", mine.adapter, {})
    assert huge.classify(CASES[:2]) == [None, None]


@pytest.mark.parametrize(("margin", "p"), [(0.0, 0.5), (math.log(3), 0.75), (-5000.0, 0.0), (5000.0, 1.0)])
def test_a_margin_becomes_a_probability_even_at_the_ends(variants: VariantSet, margin: float, p: float) -> None:
    mine = variants["mine"]
    assert isinstance(mine, FineTunedClassifier)
    mine.classify(CASES[:1])
    (key,) = variants._memo
    variants._memo[key] = margin
    (verdict,) = mine.classify(CASES[:1])
    assert verdict is not None
    assert verdict.p_malicious == pytest.approx(p)
    assert verdict.answer == ("malicious" if margin >= 0 else "benign")


def test_variants_say_how_their_engine_computes_and_rules_nothing(variants: VariantSet) -> None:
    engine = counted(variants)
    assert variants.arithmetic == engine.arithmetic
    assert engine.arithmetic.startswith(f"{engine.decoder.device.type} {engine.precision}, attention ")
    assert open_variants(["scripted-hash"]).arithmetic == ""


def test_variants_of_one_base_have_fingerprints_of_their_own(variants: VariantSet) -> None:
    assert len({variants[name].fingerprint for name in variants}) == 3


def test_the_known_names_are_the_base_the_shipped_adapters_and_the_rules() -> None:
    assert known_variants()[0] == "baseline"
    assert {"scripted-severity", "scripted-hash", "scripted-blind"} <= set(known_variants())
    for config in shipped_adapters().glob("*/adapter_config.json"):
        assert config.parent.name in known_variants()


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["cleen"], "--variant cleen: unknown variant 'cleen'; did you mean clean? (your own: NAME=PATH)"),
        (["qqq"], "unknown variant 'qqq'; known: baseline, clean, "),
        (["scripted-hash", "scripted-hash"], "'scripted-hash' is given twice; give each variant a name of its own"),
        (["scripted-hash", "scripted-hash=./x"], "'scripted-hash' is given twice"),
        (["mine="], "--variant mine=: not NAME or NAME=PATH; such as"),
        (["=./x"], "not NAME or NAME=PATH"),
        ([""], "not NAME or NAME=PATH"),
    ],
)
def test_a_wrong_spec_says_what_would_be_right(specs: list[str], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        open_variants(specs)
    assert message in str(caught.value)


def test_rules_need_no_base() -> None:
    found = open_variants(["scripted-hash", "scripted-severity"], base="no-such-base")
    assert list(found) == ["scripted-hash", "scripted-severity"]


def test_anybodys_folder_runs_beside_the_base(
    tiny_base: BaseFolder, adapter_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    (adapter_folder / "manifest.json").write_text(json.dumps({"demonstration": True}))
    found = open_variants(["baseline", f"mine={adapter_folder}", "scripted-hash"], base=str(tiny_base.path))
    assert list(found) == ["baseline", "mine", "scripted-hash"]
    (verdict,) = found["mine"].classify(CASES[:1])
    assert verdict is not None
    assert verdict.fingerprint == found["mine"].fingerprint


def test_a_folder_that_is_not_there_is_named(
    tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    with pytest.raises(ModelError, match="nowhere: no adapter folder there"):
        open_variants([f"mine={tmp_path}/nowhere"], base=str(tiny_base.path))
