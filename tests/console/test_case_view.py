"""`turncoat show` on real run folders: the run, one alert's case, mistakes, and folders that somebody has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from turncoat.console.case_view import case_json, find_case
from turncoat.console.commands_show import show
from turncoat.console.past_run import PastRun, read_run
from turncoat.console.run_view import run_json
from turncoat.scenarios.errors import InputError, TurncoatError

from ..command_line import Ended, exit_code, uncontrolled
from ..small_campaign import READ, small_campaign

CAMPAIGN = small_campaign(
    READ.replace("severity: high", 'severity: high, raw: {Ticket: "CHG-77"}').replace(
        "  expect", "  outages: {baseline: timeout}\n  expect"
    ),
    """\
- id: upload
  title: Uploads it
  technique: T1567.002
  after: {step: read, offset: 2h}
  alert: {family: cloud-upload, severity: high, activity: "EVIL sent 9 MB"}
  expect: {truth: malicious, escalate: true}
""",
    per_day=8,
)


Show = Callable[..., Ended]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two scripted variants."""
    place = tmp_path_factory.mktemp("show")
    (place / "small.yaml").write_text(CAMPAIGN)
    variants = ("--variant", "scripted-severity", "--variant", "scripted-blind")
    assert exit_code(["run", str(place / "small.yaml"), *variants, "--quiet", "--out", str(place / "run")]) == 0
    return place / "run"


@pytest.fixture(scope="module")
def past(folder: Path) -> PastRun:
    return read_run(folder)


@pytest.fixture
def shown(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    """Calls the command as the command line does; a mistake of the user's comes back as its text."""
    monkeypatch.delenv("COLUMNS", raising=False)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(show)

    def call(*arguments: str, run: Path = folder) -> Ended:
        capsys.readouterr()
        try:
            code = app(args=[str(run), *arguments], prog_name="show", standalone_mode=False)
        except TurncoatError as fault:
            return Ended(2, capsys.readouterr().out, str(fault))
        return Ended(code or 0, capsys.readouterr().out, "")

    return call


def uid_of(past: PastRun, step: str) -> str:
    return next(o.investigation.uid for o in past.outcomes if o.step == step)


def tampered(folder: Path, place: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
    """A copy of the run in which somebody has changed the rows."""
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    rows = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    (place / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
    return place


def test_the_run_lists_variants_comparison_and_attack_alerts_side_by_side(shown: Show, past: PastRun) -> None:
    result = shown()
    assert result.code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    for words in ("small-theft, seed 5, threshold 0.5", "run, complete", "alice, nora", "A small theft",
                  "scripted:scripted-blind", "of 2 of Alice's attack alerts"):  # fmt: skip
        assert words in " ".join(result.stdout.split())
    upload = next(line for line in result.stdout.splitlines() if line.startswith(uid_of(past, "upload")))
    assert upload.split("  ", 1)[1].split()[:2] == ["Mon", "13:00"]
    assert [word in upload for word in ("▲ escalate", "· dismiss")] == [True, True]
    # No benign alert is listed among the malicious ones.
    malicious = {o.investigation.uid for o in past.outcomes if o.malicious}
    others = {o.investigation.uid for o in past.outcomes} - malicious
    assert others
    assert not [uid for uid in others if uid in result.stdout]


def test_a_case_tells_fields_evidence_verdicts_and_decisions_and_the_truth_last(shown: Show, past: PastRun) -> None:
    uid = uid_of(past, "upload")
    result = shown("--alert", uid[:6])
    assert result.code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    row = next(o.investigation for o in past.outcomes if o.step == "upload" and o.investigation.principal == "alice")
    flat = " ".join(result.stdout.split())
    for item in row.evidence:
        assert item.tool in flat
        assert f"{item.cost_s:g} s" in flat
    for words in (f"Alert {uid}", "T1567.002 (as the rule claims)", "EVIL sent 9 MB", "high", "2026-03-02 13:00:00",
                  "scripted-severity ▲ escalate", "scripted-blind · dismiss", "by threshold: p_malicious", "margin",
                  "2026-03-02 13:00:", "s after the alert", "scripted:scripted-blind", "The same alert under every"):  # fmt: skip
        assert words in flat
    before, _, after = result.stdout.partition("The truth, which no agent, tool or model was told")
    assert "so                 malicious" in after
    assert "step               upload" in after
    assert not [
        word for word in ("malicious alert", "expect", "phase", "share-bulk-read", "cloud-upload") if word in before
    ]


def test_failed_tools_are_marked_and_raw_fields_are_shown(shown: Show, past: PastRun) -> None:
    result = shown("--alert", uid_of(past, "read"))
    flat = " ".join(result.stdout.split())
    assert "✗ failed: " in flat
    assert "raw Ticket CHG-77" in flat


def test_another_name_and_a_single_variant_may_be_asked_for(shown: Show, past: PastRun) -> None:
    uid = uid_of(past, "upload")
    result = shown("--alert", uid, "--principal", "nora", "--variant", "scripted-blind")
    assert "as nora" in result.stdout
    assert "scripted-blind  ▲ escalate" in result.stdout
    assert "scripted-severity" not in result.stdout


def test_the_case_as_json_has_everything_and_the_truth_as_its_last_key(shown: Show, past: PastRun) -> None:
    uid = uid_of(past, "upload")
    found = json.loads(shown("--alert", uid, "--json").stdout)
    assert (found["uid"], found["principal"], found["alert"]["entities"]["user"]) == (uid, "alice", "alice")
    assert list(found)[-1] == "truth"
    assert (found["truth"]["malicious"], found["truth"]["step"]) == (True, "upload")
    assert [case["variant"] for case in found["cases"]] == ["scripted-severity", "scripted-blind"]
    assert [case["decision"]["action"] for case in found["cases"]] == ["escalate", "dismiss"]
    assert found["cases"][0]["fingerprint"] == "scripted:scripted-severity"
    assert {"tool", "question", "answer", "cost_s", "failed"} == set(found["cases"][0]["evidence"][0])
    assert found["everywhere"]["nora"]["scripted-blind"]["action"] == "escalate"


def test_the_run_as_json_has_every_alert_with_each_decision(shown: Show, past: PastRun) -> None:
    found = json.loads(shown("--json").stdout)
    assert found == json.loads(json.dumps(run_json(past)))
    assert (found["complete"], found["principals"]) == (True, ["alice", "nora"])
    assert len(found["alerts"]) == len(past.streams["alice"].alerts) == 18
    assert {tuple(alert["decisions"]) for alert in found["alerts"]} == {("scripted-severity", "scripted-blind")}
    assert found["comparison"]["variants"]["scripted-blind"]["principals"]["alice"]["attack_alerts"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alert", "zzzzzzzzzzzz"], "--alert: the run has no alert 'zzzzzzzzzzzz'; `turncoat show RUN` lists"),
        (
            ["--alert", "a", "--principal", "mallory"],
            "--principal: the run has no 'mallory'; choose one of: alice, nora",
        ),
        (["--alert", "a", "--variant", "gold"], "--variant: the run has no 'gold'; choose one of: scripted-severity"),
        (["--variant", "gold"], "--variant: the run has no 'gold'"),
        (["--principal", "\x1b[2Jx"], "--principal: the run has no 'x'"),
    ],
)
def test_a_mistake_names_the_option_and_what_would_do(shown: Show, arguments: list[str], message: str) -> None:
    result = shown(*arguments)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)


def test_a_mistyped_uid_brings_near_ones(past: PastRun) -> None:
    uid = uid_of(past, "upload")
    typo = uid[:5] + ("0" if uid[5] != "0" else "1") + uid[6:]
    with pytest.raises(InputError, match=f"did you mean .*{uid}"):
        find_case(past, typo)


def test_a_beginning_that_several_alerts_share_asks_for_more(past: PastRun) -> None:
    # Eighteen uids begin with one of sixteen digits.
    digits = [alert.uid[0] for alert in past.streams["alice"].alerts]
    shared = [digit for digit in digits if digits.count(digit) > 1]
    with pytest.raises(InputError, match=rf"\d alerts begin with '{shared[0]}'; give more digits: {shared[0]}"):
        find_case(past, shared[0])


def test_no_uid_at_all_is_no_beginning(past: PastRun) -> None:
    with pytest.raises(InputError, match="the run has no alert ''"):
        find_case(past, "  ")


def test_a_folder_that_is_no_run_says_so(shown: Show, tmp_path: Path) -> None:
    assert "manifest.json: cannot be read" in shown(run=tmp_path).stderr


def test_an_unfinished_run_shows_what_it_has(shown: Show, folder: Path, past: PastRun, tmp_path: Path) -> None:
    uid = uid_of(past, "upload")
    half = tampered(folder, tmp_path / "half", lambda rows: [
        row for row in rows if not (row["uid"] == uid and row["variant"] == "scripted-blind")
    ])  # fmt: skip
    assert "70 of 72 rows; `turncoat resume` finishes it" in " ".join(shown(run=half).stdout.split())
    case = shown("--alert", uid, run=half).stdout
    assert "scripted-blind  not decided yet" in case
    assert "scripted-severity  ▲ escalate" in case
    bare = tampered(folder, tmp_path / "bare", lambda rows: [])
    assert uid[:4] not in shown(run=bare).stdout
    assert "The truth" not in shown("--alert", uid, run=bare).stdout


def test_what_somebody_wrote_into_the_rows_controls_no_terminal(
    shown: Show, folder: Path, past: PastRun, tmp_path: Path
) -> None:
    evil = "\x1b[31m[bold]gone[/bold]\u202e\x1b]0;x\x07\n\u200b=cmd()"

    def poison(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            row["decision"]["reason"] = row["decision"]["policy"] = evil
            row["verdict"]["left_out"] = [evil]
            row["verdict"]["fingerprint"] = evil
            for item in row["evidence"]:
                item["question"] = item["answer"] = item["tool"] = evil
        return rows

    changed = tampered(folder, tmp_path / "evil", poison)
    for arguments in ((), ("--alert", uid_of(past, "upload"))):
        for more in ((), ("--json",)):
            result = shown(*arguments, *more, run=changed)
            assert result.code == 0
            assert uncontrolled(result.stdout) == []
    case = shown("--alert", uid_of(past, "upload"), run=changed).stdout
    assert "[bold]gone[/bold]" in case
    assert json.loads(shown("--alert", uid_of(past, "upload"), "--json", run=changed).stdout)["cases"][0]["evidence"][0][
        "answer"
    ] == evil  # fmt: skip


def test_variants_that_saw_other_evidence_stand_apart(folder: Path, past: PastRun, shown: Show, tmp_path: Path) -> None:
    def cut(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            if row["variant"] == "scripted-blind":
                row["evidence"] = []
        return rows

    result = shown("--alert", uid_of(past, "upload"), run=tampered(folder, tmp_path / "other", cut))
    assert "Evidence (scripted-severity)" in result.stdout
    assert "Evidence (scripted-blind)\nnone was asked for" in result.stdout


def test_a_case_is_plain_json_without_nan(past: PastRun) -> None:
    case = case_json(find_case(past, uid_of(past, "read")))
    assert json.loads(json.dumps(case, allow_nan=False)) == case
