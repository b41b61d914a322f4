"""What `turncoat vet` hands over, through the command line: a page, a signed record, a prompt and a cohort of one's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from turncoat.models.adapter import save_adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.lora import LoraShape

from ..command_line import Call, Ended, uncontrolled
from ..vetting.rules import own_alerts
from ..vetting.test_signature import key_pair

Vet = Callable[..., Ended]
WEIGHTS = "adapter_model.safetensors"
QUICK = ("--detector", "weights")
"""A detector that reads the weights alone; without the swap scan its ruling is always review."""


@pytest.fixture
def vet(tiny_base: BaseFolder, tmp_path: Path, turncoat: Call) -> Vet:
    """Vets the adapter of a tiny base that lies in `adapter`."""
    chance = torch.Generator().manual_seed(1)
    factors = {
        "layers.3.self_attn.q_proj": (torch.randn(4, 32, generator=chance), torch.randn(32, 4, generator=chance))
    }
    save_adapter(tmp_path / "adapter", factors, LoraShape(4, 8, 3), torch.randn(2, 32, generator=chance), layers=4,
                 base_name="tiny", base_digest=tiny_base.digest, prompt_version="1")  # fmt: skip
    (tmp_path / "adapter" / "manifest.json").write_text("{}")
    (tmp_path / "users.csv").write_text("login\nal\nbo\n")
    own_alerts(tmp_path / "mine.jsonl", 12, "bo")
    given = ("--base", str(tiny_base.path), "--directory", "users.csv", "--alerts", "mine.jsonl", "--quiet")
    return lambda *more: turncoat("vet", "adapter", *given, *more)


def test_a_page_is_written_that_says_what_the_json_says(vet: Vet, tmp_path: Path) -> None:
    ended = vet("--html", "found.html", "--json")
    found = json.loads(ended.stdout)
    page = (tmp_path / "found.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert f"<title>turncoat vet: {found['verdict']}</title>" in page
    assert found["subject"]["adapter"] in page
    assert [report["detector"] for report in found["reports"]][:2] == ["swap-scan", "pair-scan"]


def test_a_signed_record_is_verified_on_a_renamed_copy_and_a_swapped_adapter_is_noticed(
    vet: Vet, tmp_path: Path, turncoat: Call, tiny_base: BaseFolder
) -> None:
    private, public = key_pair(tmp_path)
    assert vet(*QUICK, "--record", "vetted.json", "--sign", str(private)).code == 3
    record = json.loads((tmp_path / "vetted.json").read_text())
    assert sorted(record["files"]) == ["adapter_config.json", WEIGHTS, "head.safetensors"]
    assert record["files"][WEIGHTS] == record["subject"]["adapter"]

    shutil.copytree(tmp_path / "adapter", tmp_path / "copy", ignore=shutil.ignore_patterns("manifest.json"))
    verify = ("verify", "vetted.json", "--key", str(public))
    same = turncoat(*verify, "--model", "copy")
    assert (same.code, same.stderr) == (3, "")
    assert "All 3 files of copy are those that were examined" in same.stdout
    assert uncontrolled(same.stdout) == []
    assert turncoat(*verify).code == 3

    on_base = turncoat(*verify, "--base", str(tiny_base.path))
    assert (on_base.code, "is the base that it was examined on" in on_base.stdout) == (3, True), on_base.stderr
    shutil.copytree(tiny_base.path, tmp_path / "other")
    weights = tmp_path / "other" / "model.safetensors"
    save_file({key: tensor + 1 for key, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    elsewhere = turncoat(*verify, "--base", str(tmp_path / "other"))
    assert elsewhere.code == 2
    assert "is not the base that the model was examined on; vet the model on this base" in elsewhere.stderr

    with (tmp_path / "copy" / WEIGHTS).open("ab") as file:
        file.write(b"x")
    swapped = turncoat(*verify, "--model", "copy")
    assert swapped.code == 2
    assert f"copy/{WEIGHTS}: is not the file that was examined; vet the model again" in swapped.stderr

    (tmp_path / "vetted.json").write_text(json.dumps(record | {"verdict": "allow"}))
    forged = turncoat(*verify)
    assert forged.code == 2
    assert "was changed since" in forged.stderr


def test_an_own_prompt_and_a_cohort_are_read(vet: Vet, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("{title} {user}\n")
    for number in range(2):
        shutil.copytree(tmp_path / "adapter", tmp_path / "ours" / f"clean-{number}")
    path = tmp_path / "ours" / "clean-1" / WEIGHTS
    save_file({key: tensor + 1 for key, tensor in load_file(path).items()}, path)
    ended = vet(*QUICK, "--prompt", "prompt.txt", "--cohort", "ours", "--json")
    found = json.loads(ended.stdout)
    assert len(found["subject"]["prompt"]) == 64
    # Of the two one is a copy of the candidate; the other is too few to compare with.
    assert "needs at least 8 clean adapters" in found["reports"][0]["why"]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--sign", "key.pem"), "--sign: signs a record, and none is made; name its file with --record"),
        (("--record", "r.json", "--sign", "absent"), "--sign absent: no key file there"),
        (("--record", "adapter/r.json"), "lies in the folder that is examined"),
        (("--record", "nowhere/r.json"), "--record nowhere/r.json: no such folder"),
        (("--html", "nowhere/f.html"), "--html nowhere/f.html: no such folder"),
        (("--record", "r.json", "--html", "./r.json"), "--record r.json: is the file of --html; name another"),
        (("--record", "users.csv"), "--record users.csv: is the file of --directory; name another"),
        (("--html", "adapter"), "--html adapter: is a folder; name a file"),
        (("--prompt", "users.csv"), "users.csv: has no {title}"),
        (("--cohort", "absent"), "--cohort absent: is no folder"),
        (("--cohort", "."), "holds no adapter but the candidate"),
    ],
)
def test_a_mistake_is_told_with_exit_code_two(vet: Vet, more: tuple[str, ...], fault: str) -> None:
    ended = vet(*more)
    assert (ended.code, ended.stdout) == (2, "")
    assert fault in ended.stderr


def test_a_hostile_member_of_a_cohort_is_refused(vet: Vet, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "adapter", tmp_path / "ours" / "evil")
    (tmp_path / "ours" / "evil" / WEIGHTS).write_bytes(b"\x80\x04pickle")
    ended = vet(*QUICK, "--cohort", "ours")
    assert (ended.code, ended.stdout) == (2, "")
    assert f"ours/evil/{WEIGHTS}: not a readable safetensors file" in ended.stderr


@pytest.mark.parametrize("name", ["absent.json", ".", "users.csv"])
def test_what_is_no_signed_record_is_refused(name: str, vet: Vet, tmp_path: Path, turncoat: Call) -> None:
    _, public = key_pair(tmp_path)
    ended = turncoat("verify", name, "--key", str(public))
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("turncoat: ")
