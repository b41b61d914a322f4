"""The command line, used as a person uses it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..command_line import Call, process, uncontrolled
from ..small_campaign import READ, TWIN, small_campaign

CAMPAIGN = small_campaign(
    READ,
    """\
- id: upload
  title: Uploads it
  technique: T1567.002
  after: {step: read, offset: 2h}
  alert: {family: cloud-upload, severity: low}
  expect: {truth: malicious, escalate: true}
""",
    twins=f"{TWIN}, {{name: Tessa Morgan, login: tessa}}",
)
SCRIPTED = ("--variant", "scripted-severity", "--variant", "scripted-blind")


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CAMPAIGN)
    return path


@pytest.mark.parametrize("command", ["", "run", "scenarios show"])
def test_help_answers_in_half_a_second_of_cpu_time_with_examples(tmp_path: Path, command: str) -> None:
    before = os.times()
    started = process(*command.split(), "--help", cwd=tmp_path, stdout=subprocess.PIPE)
    printed, _ = started.communicate(timeout=120)
    after = os.times()
    assert started.returncode == 0
    assert f"turncoat {command or 'run'}" in printed
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    assert max(map(len, printed.splitlines())) <= 100


def test_help_imports_neither_models_nor_worlds(tmp_path: Path) -> None:
    code = (
        "import sys; from turncoat.console import cli; cli._run(['run', '--help']);"
        "print([m for m in ('torch', 'transformers', 'langgraph', 'faker', 'sklearn', 'yaml', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run((sys.executable, "-c", code), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["report.files", "past_run", "case_view", "matrix_tables"])
def test_what_looks_at_past_runs_loads_no_torch(tmp_path: Path, module: str) -> None:
    code = f"import sys; import turncoat.console.{module}; print('torch' in sys.modules)"
    result = subprocess.run((sys.executable, "-c", code), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.stdout == "False\n", result.stderr


def test_version_is_that_of_the_package(turncoat: Call) -> None:
    from importlib.metadata import version

    assert turncoat("--version").stdout == f"turncoat {version('turncoat')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nonsense", "No such command"),
        ("run --seeds 0", "--seeds"),
        ("run nope.yaml", "nope.yaml: there is no such campaign file or id"),
        ("run --all benign-control", "leave out the names"),
        ("run benign-control --variant nosuch", "unknown variant 'nosuch'"),
        ("run benign-control --variant scripted-hash=", "not NAME or NAME=PATH"),
        ("run benign-control --variant baseline", "run: turncoat models pull"),
        ("run benign-control --variant scripted-hash --out file/below", "not a folder"),
        ("triage nope --format panther", "no such file or folder"),
        ("triage file --format csv", "choose one of panther, ocsf, jsonl"),
        ("triage . --format panther --variant scripted-hash", "holds no rule files"),
        ("triage file --format jsonl", "no such folder"),
        ("train", "no recipe was named"),
        ("train nosuch", "no readable recipe there"),
        ("models pull nosuch", "is no base model"),
        ("scenarios show nope", "there is no such campaign"),
        ("scenarios validate file", "file"),
    ],
)
def test_a_mistake_ends_with_a_message_and_exit_code_2(
    turncoat: Call, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "file").write_text("")
    words = arguments.split()
    if words == ["triage", "file", "--format", "jsonl"]:
        words += ["--variant", "scripted-hash", "--out", "absent/folder/x"]
    result = turncoat(*words)
    assert (result.code, "Traceback" in result.stderr) == (2, False)
    assert message in result.stderr + result.stdout


def test_all_mistakes_of_all_files_are_printed(turncoat: Call, tmp_path: Path, campaign: Path) -> None:
    campaign.write_text(CAMPAIGN.replace("T1039", "T9999").replace("seed: 5", "seed: -5"))
    result = turncoat("scenarios", "validate", "small.yaml", "absent.yaml", "benign-control")
    assert result.code == 2
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["small.yaml", "small.yaml", "absent.yaml", "✓ benign-control"]
    assert lines[0].startswith("small.yaml:6:7:")
    assert "unknown technique 'T9999'" in lines[1]


def test_a_run_without_a_terminal_prints_plain_lines_and_the_comparison(
    turncoat: Call, tmp_path: Path, campaign: Path
) -> None:
    result = turncoat("run", str(campaign), *SCRIPTED)
    assert (result.code, result.stderr) == (0, "")
    assert uncontrolled(result.stdout) == []
    assert "alice: Bulk read from file share: scripted-severity escalate, scripted-blind dismiss" in result.stdout
    assert "The scripted-blind model let all 2 of Alice's attack alerts pass" in result.stdout
    folder = tmp_path / "runs" / "small-theft-001"
    assert {"manifest.json", "outcomes.jsonl", "comparison.json", "comparison.csv"} <= {
        p.name for p in folder.iterdir()
    }


def test_json_is_one_object_and_everything_else_goes_to_standard_error(
    turncoat: Call, tmp_path: Path, campaign: Path
) -> None:
    result = turncoat("run", str(campaign), *SCRIPTED, "--json", "--out", "here", "--price", "2.5")
    found = json.loads(result.stdout)
    assert (found["scenario"], found["seed"], found["threshold"]) == ("small-theft", 5, 0.5)
    assert list(found["variants"]) == ["scripted-severity", "scripted-blind"]
    blind = found["variants"]["scripted-blind"]
    assert list(blind["principals"]) == ["alice", "nora", "tessa"]
    assert (blind["principals"]["alice"]["escalated"], blind["principals"]["nora"]["escalated"]) == (0, 1)
    assert blind["principals"]["alice"]["first_escalation"] is None
    assert (blind["lift"]["value"], blind["lift"]["pairs"], blind["lift"]["twin"]) == (0.5, 2, "nora")
    assert blind["cloud_cost"] == blind["cloud_calls"] * 2.5
    assert "asking the models" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sink webhoook", "--sink: unknown sink 'webhoook'; known are queue, second-opinion, webhook"),
        ("--sink webhook", "--sink-url: none is given; give https://host/path, or http:// on loopback"),
        (
            "--sink webhook --sink-url http://example.com/",
            "--sink-url: http off loopback would send alerts unencrypted; use https",
        ),
        (
            "--sink second-opinion",
            "--sink-model: the second-opinion sink has no model to ask; name one that the endpoint serves",
        ),
        ("--sink-url https://a.example/", "--sink-url: has no use here; name webhook or second-opinion with --sink"),
        ("--planner-model m", "--planner-model: has no use here; give --planner llm"),
        ("--planner llm", "--planner-model: the planner has no model to ask; name one that the endpoint serves"),
        ("--planner crystal-ball", "--planner: unknown planner 'crystal-ball'; known are llm, playbook"),
    ],
)
def test_what_cannot_be_reached_is_said_before_a_folder_is_made(
    turncoat: Call, tmp_path: Path, campaign: Path, options: str, message: str
) -> None:
    ended = turncoat("run", str(campaign), *SCRIPTED, *options.split(), "--out", "run")
    assert (ended.code, ended.stderr) == (2, f"turncoat: {message}\n")
    assert not (tmp_path / "run").exists()


def test_several_seeds_are_several_objects_each_in_its_folder(turncoat: Call, tmp_path: Path, campaign: Path) -> None:
    result = turncoat("run", str(campaign), *SCRIPTED[:2], "--json", "--quiet", "--seeds", "2", "--out", "o")
    assert [json.loads(line)["seed"] for line in result.stdout.splitlines()] == [5, 6]
    assert result.stderr == ""
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["small-theft-seed5", "small-theft-seed6"]


def test_check_fails_with_1_when_an_expected_escalation_was_not_made(
    turncoat: Call, tmp_path: Path, campaign: Path
) -> None:
    arguments = ("run", str(campaign), "--variant", "scripted-severity", "--check", "--quiet")
    assert turncoat(*arguments).code == 1
    campaign.write_text(CAMPAIGN.replace("severity: low", "severity: critical"))
    assert turncoat(*arguments).code == 0


def test_ctrl_c_exits_with_130_and_the_run_goes_on_later(turncoat: Call, tmp_path: Path) -> None:
    arguments = ("run", "benign-control", *SCRIPTED, "--no-aliases", "--out", "here")
    # A pipe that takes few lines: whoever prints into it waits, and is not done before the signal comes. A shell starts
    # what it puts into the background deaf to Ctrl-C, and this process may be such a one's child.
    started = process(
        *arguments, cwd=tmp_path, stdout=subprocess.PIPE, pipesize=4096,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert started.stdout is not None
    while "scripted-blind" not in started.stdout.readline():
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert (started.returncode, "Traceback" in errors) == (130, False)
    assert errors == "turncoat: stopped; `turncoat resume here` goes on where it was\n"
    done = (tmp_path / "here" / "outcomes.jsonl").read_text().splitlines()
    assert turncoat("resume", "here", "--quiet").code == 0
    rows = (tmp_path / "here" / "outcomes.jsonl").read_text().splitlines()
    assert rows[: len(done) - 1] == done[:-1]
    assert len(rows) > len(done)


@pytest.mark.parametrize("command", ["run small.yaml", "scenarios schema"])
def test_a_closed_pipe_is_no_traceback(tmp_path: Path, campaign: Path, command: str) -> None:
    read, write = os.pipe()
    os.close(read)
    given = [*command.split(), *(SCRIPTED if command.startswith("run") else ())]
    started = process(*given, cwd=tmp_path, stdout=write)
    os.close(write)
    _, errors = started.communicate(timeout=120)
    assert (errors, started.returncode) == ("", 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_a_message(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        started = process("scenarios", "list", cwd=tmp_path, stdout=full)
        _, errors = started.communicate(timeout=120)
    assert started.returncode == 2
    assert errors == (
        "turncoat: the disk is full; make room and give the same command again: it goes on where it was\n"
    )


def test_hostile_campaign_text_reaches_no_terminal(turncoat: Call, tmp_path: Path, campaign: Path) -> None:
    evil = '"A \\e[31m[bold]small[/bold]\\u202e theft\\e]0;x\\a"'
    campaign.write_text(CAMPAIGN.replace("A small theft", evil).replace("Taking\n", f"{evil}\n"))
    result = turncoat("scenarios", "show", str(campaign))
    assert uncontrolled(result.stdout + result.stderr) == []


def test_show_tells_every_step_with_what_is_expected(turncoat: Call, tmp_path: Path, campaign: Path) -> None:
    result = turncoat("scenarios", "show", str(campaign))
    assert result.code == 0
    for words in ("D1 11:00", "T1567.002", "Uploads it", "▲ escalate", "Nora Keller"):
        assert words in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_schema_is_json_schema(turncoat: Call) -> None:
    schema = json.loads(turncoat("scenarios", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "phases" in schema["properties"]


def test_triage_escalates_what_it_cannot_read_and_writes_every_decision(turncoat: Call, tmp_path: Path) -> None:
    good = {"uid": "a", "time": "2025-01-01T00:00:00Z", "title": "Odd sign-in", "severity": "low"}
    (tmp_path / "x.jsonl").write_text(json.dumps(good) + "\n{broken\n" + json.dumps(good | {"uid": "b"}) + "\n")
    result = turncoat(
        "triage", "x.jsonl", "--format", "jsonl", "--variant", "scripted-severity", "--out", "d.jsonl", "--summary", "-"
    )
    assert result.code == 0
    summary = json.loads(result.stdout)
    assert (summary["alerts"], summary["unreadable"]) == (2, 1)
    assert {k: summary["variants"]["scripted-severity"][k] for k in ("escalated", "dismissed", "forced")} == {
        "escalated": 0,
        "dismissed": 2,
        "forced": 1,
    }
    decisions = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert [(d["uid"], d["decision"]["action"], d["decision"]["forced"]) for d in decisions] == [
        ("a", "dismiss", False),
        (None, "escalate", True),
        ("b", "dismiss", False),
    ]
    assert "x.jsonl:2" in result.stderr


def test_triage_never_writes_over_the_alerts_that_it_reads(turncoat: Call, tmp_path: Path) -> None:
    line = json.dumps({"uid": "a", "time": "2025-01-01T00:00:00Z", "title": "Odd sign-in"}) + "\n"
    (tmp_path / "x.jsonl").write_text(line)
    arguments = ("triage", "x.jsonl", "--format", "jsonl", "--variant", "scripted-severity")
    for option in ("--out", "--summary"):
        ended = turncoat(*arguments, option, "./x.jsonl")
        assert (ended.code, ended.stderr) == (2, f"turncoat: {option} ./x.jsonl: is the file of PATH; name another\n")
    assert (tmp_path / "x.jsonl").read_text() == line


def test_triage_refuses_a_demonstration_until_it_is_allowed(turncoat: Call, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "manifest.json").write_text('{"demonstration": true}')
    (tmp_path / "x.jsonl").write_text("\n")
    arguments = ("triage", "x.jsonl", "--format", "jsonl", "--variant", "mine=evil")
    refused = turncoat(*arguments)
    assert refused.code == 2
    assert "demonstration, do not deploy" in refused.stderr
    allowed = turncoat(*arguments, "--allow-demonstration")
    assert "demonstration" not in allowed.stderr


def test_colour_is_left_out_where_no_color_asks_for_it(
    turncoat: Call, campaign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", str(campaign), *SCRIPTED, "--quiet")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m" in turncoat(*arguments).stdout.replace("1;31m", "31m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert re.search(r"\x1b\[[\d;]*3\dm", turncoat(*arguments).stdout) is None
