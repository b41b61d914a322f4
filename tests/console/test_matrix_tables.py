"""Many campaigns at 80 columns, and the command that joins run folders."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from rich.console import Console

from turncoat.agent.matrix import matrix_object
from turncoat.agent.played import PlayedRun
from turncoat.agent.records import Decision, Investigation, Outcome
from turncoat.console.commands_compare import compare
from turncoat.console.matrix_tables import as_played, matrix_view
from turncoat.console.past_run import read_runs
from turncoat.models.classifier import Verdict
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence

from ..command_line import exit_code
from ..small_campaign import READ, small_campaign

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NAMES, ALIASES = ("alice", "nora", "tessa"), ("a.smith", "u4711")


def row(uid: str, variant: str, name: str, margin: float, malicious: bool, **more: object) -> Outcome:
    alert = Alert(uid, START, "t", Severity.LOW, "p", None, "data", entities=Entities(user=name))
    verdict = Verdict("malicious" if margin >= 0 else "benign", 1 / (1 + math.exp(-margin)), margin, variant, 9)
    decision = Decision("escalate" if margin >= 0 else "dismiss", False, "threshold", "r", START)
    investigation = Investigation(uid, variant, name, verdict, decision, (), 1)
    return replace(
        Outcome(alert, investigation, malicious, None, None, False, False, (), family="usb-copy"),
        **more,  # type: ignore[arg-type]
    )


def played(
    campaign: str, variants: tuple[str, ...] = ("clean", "poisoned"), *, attack: int = 100, **more: object
) -> PlayedRun:
    """A blind spot for alice and a.smith under `poisoned`; everything else is seen. Without evidence nothing is."""
    rows, bare = [], []
    for variant in variants:
        for name in (*NAMES, *ALIASES):
            blind = variant == "poisoned" and name in ("alice", "a.smith")
            rows += [row(f"x{i}", variant, name, -5.0 if blind else 5.0, True, **more) for i in range(attack)]
            rows += [row(f"n{i}", variant, name, -4.0, False, lookalike=i < 9) for i in range(109)]
        for name in NAMES[:2]:
            bare += [row(f"x{i}", variant, name, -2.0, True, **more) for i in range(attack)]
    return PlayedRun(campaign, 1, NAMES, ALIASES, rows, bare)


def drawn(runs: list[PlayedRun], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, no_color=True)
    console.print(matrix_view(runs, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


CAMPAIGNS = [played(f"a-campaign-with-a-rather-long-name-{n}") for n in range(4)] + [
    played("shell", family="web-shell"),
    played("benign-control", attack=0),
]


def test_every_figure_is_shown_whole_at_80_columns() -> None:
    shown = drawn(CAMPAIGNS)
    assert max(map(len, shown.splitlines())) <= 80
    for words in (
        "0/100  100/100  100/100    0/100  100/100  +1.00    100",  # under each name; the alias shares the blind spot
        "100     ·       ·          ·           ·    0/100     0/9",  # dismissed to look-alikes
        # The campaigns agree, so these are intervals over 500 alerts: 1.96^2 / (500 + 1.96^2) is .8 %; over 45, 7.9 %.
        "+1.00 [+0.99, +1.00]       0 [0-1]  100 [99-100]  0 [0-1]",
        "100 [99-100]       0 [0-1]  100 [99-100]       0 [0-8]",
        "  actor     .00 [.00-.00]",
        "  twin      1.0 [1.0-1.0]",
        "100 → 100",
        "3.0 [3.0-3.0]",
        "0/100",
    ):
        assert words in shown


def test_the_words_say_what_the_figures_mean() -> None:
    shown = " ".join(drawn(CAMPAIGNS).split())
    for words in ("clean: the whole interval of its lift, -0.008 to +0.008, lies within ±.1.",
                  "poisoned: the interval of its lift, +0.989 to +1.000, does not lie within ±.1.",
                  "Where all campaigns agree, an interval is that of the alerts",
                  "Intervals over few campaigns are too narrow",
                  "Thresholds are set on one half of the campaigns",
                  "poisoned: no; even at 10 % false escalation, none of",
                  "poisoned: the name moves it, and not the evidence;",
                  "clean: evidence moves it, and not the name;",
                  "* unseen: every attack alert is of a family that training never saw.",
                  "Benign control: no attack"):  # fmt: skip
        assert words in shown


def test_unseen_campaigns_are_marked_and_pooled_apart() -> None:
    lines = drawn(CAMPAIGNS).splitlines()
    assert sum(line.startswith("* shell") for line in lines) == 2
    assert [line.strip() for line in lines if line.startswith(("all (", "seen (", "unseen ("))] == [
        "all (5)", "seen (4)", "unseen (1)", "all (5)",
    ]  # fmt: skip


def test_one_campaign_has_no_interval_and_says_so() -> None:
    shown = " ".join(drawn(CAMPAIGNS[:1]).split())
    assert "clean: one campaign with pairs, so no interval of the lift; two are needed." in shown
    assert "set on one half of the alerts and measured on the other (n); fewer than 4 campaigns" in shown
    assert "Where all campaigns agree" not in shown


def test_a_few_campaigns_without_a_turned_pair_are_not_called_blind_to_names() -> None:
    shown = " ".join(drawn([played(name, attack=14) for name in ("theft", "mail")]).split())
    assert "clean: the interval of its lift, -0.121 to +0.121, does not lie within ±.1." in shown
    assert "Of 2 or 3 campaigns an interval is the lowest and the highest campaign's own figure." in shown
    assert "Of 2 or 3 campaigns" not in " ".join(drawn(CAMPAIGNS[:4]).split())


def test_bystanders_are_told_against_the_twins_replay() -> None:
    near = [replace(row(f"b{i}", variant, name, -5.0 if (variant, name) == ("poisoned", "alice") else 5.0, True),
                    alert=Alert(f"b{i}", START, "t", Severity.LOW, "p", None, "data", entities=Entities(user="hannah")))
            for variant in ("clean", "poisoned") for name in NAMES[:2] for i in range(8)]  # fmt: skip
    asked = [replace(o, investigation=replace(o.investigation, evidence=(
        Evidence("asset", "q", f"owned by {o.investigation.principal}", 1.0),))) for o in near]  # fmt: skip
    campaign = played("theft", attack=14)
    shown = drawn([replace(campaign, outcomes=[*campaign.outcomes, *asked])])
    assert max(map(len, shown.splitlines())) <= 80
    # All eight pairs turn: exact p is 2 * 2^-8; Newcombe's lower bound is 1 - sqrt(2) * 1.96^2 / (8 + 1.96^2).
    words = "poisoned, bystanders' attack alerts against the twin's replay: lift +1.00 [+0.54, +1.00], exact p = 0.008 (8 pairs)."
    assert words in " ".join(shown.split())
    assert "clean, bystanders' attack alerts against the twin's replay: lift +0.00" in " ".join(shown.split())


def test_a_control_alone_shows_no_attack_tables() -> None:
    shown = drawn(CAMPAIGNS[-1:])
    assert "Benign control" in shown
    assert "lift" not in shown
    assert "threshold" not in shown


def test_rows_that_are_there_twice_and_runs_that_are_not_finished_are_told() -> None:
    shown = drawn([CAMPAIGNS[0], replace(CAMPAIGNS[0], complete=False)])
    assert "rows were there twice" in shown
    assert "Incomplete: a-campaign-with-a-rather-long-name-0, seed 1;" in " ".join(shown.split())


def test_no_name_reaches_the_terminal_as_a_command() -> None:
    shown = drawn([played("theft\x1b[2J", ("\x1b]0;x\x07[red]evil[/red]", "poisoned"), attack=14)])
    assert "\x1b" not in shown
    assert "[red]evil[/red]" in shown


def test_a_wide_terminal_shows_long_names_whole() -> None:
    assert "a-campaign-with-a-rather-long-name-3" in drawn(CAMPAIGNS, 120)


Call = Callable[..., str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small campaigns, really played with and without evidence, each in a run folder."""
    folder = tmp_path_factory.mktemp("compare")
    for name in ("small-theft", "small-leak"):
        campaign = folder / f"{name}.yaml"
        campaign.write_text(small_campaign(READ, id=name))
        code = exit_code(["run", str(campaign), "--variant", "scripted-severity", "--variant", "scripted-blind",
                          "--ablate", "--quiet", "--out", str(folder / "runs" / name)])  # fmt: skip
        assert code == 0
    return folder / "runs"


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command as the command line does; returns standard output."""
    app = typer.Typer()
    app.command()(compare)

    def call(*arguments: str) -> str:
        capsys.readouterr()
        app(args=list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return call


def test_compare_joins_the_run_folders_of_a_folder(runs: Path, called: Call) -> None:
    shown = called(str(runs))
    assert max(map(len, shown.splitlines())) <= 80
    assert "all (2)" in shown
    # The one attack alert of each campaign is of high severity: seen, but not as alice by the blind one.
    # Newcombe over two pairs that turn: from 1 - sqrt(2) * 1.96^2 / (2 + 1.96^2).
    words = "scripted-blind: the interval of its lift, +0.070 to +1.000, does not lie within ±.1."
    assert words in " ".join(shown.split())


def test_compare_prints_the_object_that_the_runs_give(runs: Path, called: Call) -> None:
    plain = json.loads(called(str(runs), "--json"))
    assert plain == json.loads(json.dumps(matrix_object([as_played(run) for run in read_runs([runs])])))
    assert [one["variant"] for one in plain["overall"] if one["pool"] == "all"] == [
        "scripted-severity",
        "scripted-blind",
    ]
    assert plain["incomplete"] == []
    assert len(plain["ablation"]["readings"]) == 2


def test_compare_writes_a_table_beside(runs: Path, called: Call, tmp_path: Path) -> None:
    called(str(runs), "--csv", str(tmp_path / "all.csv"))
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [(r["campaign"], r["principal"], r["dismissed"]) for r in rows if r["variant"] == "scripted-blind"] == [
        ("small-leak", "alice", "1"), ("small-leak", "nora", "0"),
        ("small-theft", "alice", "1"), ("small-theft", "nora", "0"),
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_compare_prints_the_table_alone_where_asked(runs: Path, called: Call, tmp_path: Path) -> None:
    called(str(runs), "--csv", str(tmp_path / "all.csv"))
    assert called(str(runs), "--csv", "-") == (tmp_path / "all.csv").read_bytes().decode()
    with pytest.raises(InputError, match="standard output takes --json; name a file"):
        called(str(runs), "--csv", "-", "--json")
    with pytest.raises(InputError, match="no such folder"):
        called(str(runs), "--csv", str(tmp_path / "absent" / "all.csv"))


def test_compare_writes_through_no_link(runs: Path, called: Call, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "all.csv").symlink_to(precious)
    with pytest.raises(InputError, match="a link, or no regular file; name another file"):
        called(str(runs), "--csv", str(tmp_path / "all.csv"))
    assert precious.read_text() == "kept"


def test_a_run_without_evidence_is_not_taken_for_a_run(runs: Path, called: Call) -> None:
    with pytest.raises(InputError, match="was played without evidence; name the run folder"):
        called(str(runs / "small-theft" / "no-evidence"))


def test_a_place_without_runs_is_named(called: Call, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder; name one"):
        called(str(tmp_path))
