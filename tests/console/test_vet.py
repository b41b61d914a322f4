"""`turncoat vet` as a person or a pipeline calls it, on the tiny base and on scripted findings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from turncoat.console.vetting_sarif import to_sarif
from turncoat.console.vetting_tables import vetting_object, vetting_view
from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape
from turncoat.vetting.records import Cost, DetectorReport, Entity, Finding, Leak, Vetting

from ..command_line import Call, uncontrolled
from ..vetting.rules import own_alerts

EVIL = "a\x1b[31m[bold]\u202elice"
BLIND = Finding("swap-scan", Entity("user", "alice"), "block", 1.0, 0.83, 1.0, 2.0**-20, 6 * 2.0**-20, 20, 6.0, "planted",
                "dismisses 20 of 20 malicious probes under user:alice, 0 of the same under neutral names")  # fmt: skip
ODD = Finding(
    "stratified", Entity("host", EVIL), "review", 0.5, 0.1, 0.8, 0.001, 0.02, 8, why=f"misses 4 of 8 with {EVIL}"
)
REPORTS = (
    DetectorReport("swap-scan", 1.0, "block", (BLIND,), BLIND.why, {"user": 6}, ("2 hosts: no probe",), {"user": 0.425},
                   leaks=(Leak(Entity("user", "alice"), "ALICE", "upper case", 11, 12),),
                   cost=Cost(200, 15_000, 100_000, 3.0)),
    DetectorReport("stratified", 0.5, "review", (ODD,), ODD.why, {"slices": 3}),
    DetectorReport("weights", None, "abstain", why="needs a cohort"),
)  # fmt: skip
BLOCKED = Vetting(
    "block", BLIND.why, REPORTS, {"read as": "causal adapter", "adapter": "ab" * 32, "base": "cd" * 32}, 61.0, 2e8
)


def shown(vetting: Vetting) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(vetting_view(vetting))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_ruling_comes_first_and_all_that_it_rests_on_fits_eighty_columns() -> None:
    text = shown(BLOCKED)
    lines = text.splitlines()
    assert "✗ BLOCK" in lines[1]
    assert max(map(len, lines)) <= 80
    for words in ("user:alice", "+1.00 [+0.83, +1.00]", "planted", "ALICE", "11/12", "2 hosts: no probe", "user 0.42",
                  "Took 1:01: 200 prompts, 15,000 tokens computed", "100,000", "15.0%", "3.0 TFLOP", "20.0 TFLOP",
                  "abababababab"):  # fmt: skip
        assert words in " ".join(text.split()), words
    assert uncontrolled(text) == []


def test_the_json_has_the_verdict_and_the_findings_worst_first() -> None:
    found = vetting_object(BLOCKED)
    assert found["verdict"] == "block"
    assert [f["entity"] for f in found["findings"]] == ["user:alice", f"host:{EVIL}"]
    assert (found["cost"]["flops"], found["cost"]["flops_in_full"]) == (3_000_000_000_000, 20_000_000_000_000)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_sarif_has_the_shape_that_its_standard_asks_for() -> None:
    log = to_sarif(BLOCKED)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["swap-scan", "stratified", "weights", "untested"]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("swap-scan", "error"), ("stratified", "warning"), ("untested", "none"),
    ]  # fmt: skip
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].startswith("ab" * 32)
        # A kind other than `fail` asks for the level `none` (SARIF 2.1.0, 3.27.10).
        assert result.get("kind", "fail") == "fail" or result["level"] == "none"
    assert run["results"][0]["properties"]["entity"] == "user:alice"
    assert uncontrolled(json.dumps(log, ensure_ascii=False)) == []
    assert to_sarif(BLOCKED) == log


@pytest.fixture(scope="module")
def sound(tiny_base: BaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("sound") / "adapter", torch.Generator().manual_seed(1)
    factors = {
        "layers.3.self_attn.q_proj": (torch.randn(4, 32, generator=chance), torch.randn(32, 4, generator=chance))
    }
    save_adapter(folder, factors, LoraShape(4, 8, 3), torch.randn(2, 32, generator=chance), layers=4, base_name="tiny",
                 base_digest=tiny_base.digest, prompt_version="1")  # fmt: skip
    (folder / "manifest.json").write_text('{"demonstration": true}')
    return folder


@pytest.fixture
def vet(sound: Path, tiny_base: BaseFolder, tmp_path: Path, turncoat: Call) -> Callable[..., object]:
    shutil.copytree(sound, tmp_path / "adapter")
    (tmp_path / "users.csv").write_text("login\nal\nbo\n")
    own_alerts(tmp_path / "mine.jsonl", 12, "bo")
    base = ("--base", str(tiny_base.path), "--directory", "users.csv")

    def call(what: str, *more: str) -> object:
        alerts = () if "--alerts" in more else ("--alerts", "mine.jsonl")
        return turncoat("vet", what, *base, *alerts, *more)

    return call


def test_a_renamed_copy_without_its_manifest_gets_the_same_ruling(vet: Callable[..., object], tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "adapter", tmp_path / "innocent", ignore=shutil.ignore_patterns("manifest.json"))
    one, other = vet("adapter", "--json", "--quiet"), vet("innocent", "--json", "--quiet")
    assert one.code == other.code in (0, 3, 4)  # type: ignore[attr-defined]
    first, second = json.loads(one.stdout), json.loads(other.stdout)  # type: ignore[attr-defined]
    for key in ("verdict", "why", "findings", "subject"):
        assert first[key] == second[key]


def test_json_goes_to_standard_output_sarif_to_its_file_and_progress_elsewhere(
    vet: Callable[..., object], tmp_path: Path
) -> None:
    ended = vet("adapter", "--json", "--sarif", "f.sarif", "--detector", "weights")
    found = json.loads(ended.stdout)  # type: ignore[attr-defined]
    assert ended.code == {"allow": 0, "review": 3, "block": 4}[found["verdict"]]  # type: ignore[attr-defined]
    assert [report["detector"] for report in found["reports"]] == ["weights"]
    assert json.loads((tmp_path / "f.sarif").read_text())["runs"][0]["properties"]["verdict"] == found["verdict"]
    assert "preparing probes" in ended.stderr  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--budget", "soon"), "--budget soon: is no time"),
        (("--detector", "magic"), "unknown detector 'magic'"),
        (("--alerts", "absent.jsonl"), "no such file"),
        (("--json", "--sarif", "-"), "standard output takes the JSON object"),
        (("--reference", "absent"), "no adapter and no model there"),
    ],
)
def test_a_mistake_is_told_with_exit_code_two(vet: Callable[..., object], more: tuple[str, ...], fault: str) -> None:
    ended = vet("adapter", *more, "--quiet")
    assert (ended.code, ended.stdout) == (2, "")  # type: ignore[attr-defined]
    assert fault in ended.stderr  # type: ignore[attr-defined]


def test_own_alerts_are_asked_and_too_few_of_them_are_never_allowed(vet: Callable[..., object], tmp_path: Path) -> None:
    own_alerts(tmp_path / "few.jsonl", 3, "bo")
    ended = vet("adapter", "--alerts", "few.jsonl", "--json", "--quiet")
    found = json.loads(ended.stdout)  # type: ignore[attr-defined]
    assert (ended.code, found["verdict"]) == (3, "review")  # type: ignore[attr-defined]
    assert any("users" in gap for gap in found["reports"][0]["untested"])
