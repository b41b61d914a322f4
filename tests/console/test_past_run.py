from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turncoat.agent.folder import digest
from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.console.past_run import PastRun, read_run, read_runs, run_folders
from turncoat.console.run_order import RunOrder, read_order, said_again, variants_again
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.loader import campaign_text, list_campaigns, load_campaign, parse_campaign
from turncoat.scenarios.schema import Campaign

from ..command_line import PROGRAM

VARIANTS = {name: ScriptedClassifier(name) for name in ("scripted-severity", "scripted-blind")}


def small(name: str = "insider-departing-exfil") -> Campaign:
    """One benign alert a day, Alice and her first twin."""
    whole = load_campaign(name)
    other = whole.counterfactuals.model_copy(
        update={"twins": whole.counterfactuals.twins[:1], "aliases": (), "no_name": False}
    )
    return whole.model_copy(update={"noise": whole.noise.model_copy(update={"per_day": 1}), "counterfactuals": other})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    plan = Plan(small(), 5, tmp_path / "run", RunOrder(variants=tuple(VARIANTS), ablate=True))
    play(plan, VARIANTS, Settings(), lambda event: None)
    return plan.folder


@pytest.mark.parametrize("name", list_campaigns())
def test_a_campaign_written_out_reads_back_equal(name: str) -> None:
    campaign = load_campaign(name)
    assert parse_campaign(campaign_text(campaign)) == campaign


def test_a_run_reads_back_as_it_was_played(run: Path) -> None:
    past: PastRun = read_run(run)
    assert past.complete
    assert past.principals == ("alice", "nora")
    assert len(past.outcomes) == (14 + 8) * 2 * 2
    assert len(past.without_evidence) == len(past.outcomes)
    assert not any(o.investigation.evidence for o in past.without_evidence)
    told = json.loads((run / "comparison.json").read_text())
    assert past.comparison.as_json()["variants"] == told["variants"]


def test_a_run_that_was_put_in_place_of_its_ablation_is_refused(run: Path) -> None:
    below = run / "no-evidence"
    for name in ("manifest.json", "outcomes.jsonl"):
        (below / name).write_bytes((run / name).read_bytes())
    with pytest.raises(RunError, match="not the run above it with its evidence withheld"):
        read_run(run)


def test_a_folder_goes_on_with_the_same_campaign_alone_and_by_the_latest_order(run: Path) -> None:
    changed = small()
    first = changed.phases[0].steps[0]
    other = first.model_copy(update={"title": first.title + " again"})
    phase = changed.phases[0].model_copy(update={"steps": (other, *changed.phases[0].steps[1:])})
    changed = changed.model_copy(update={"phases": (phase, *changed.phases[1:])})
    with pytest.raises(RunError, match="holds a run of another version of the campaign; choose an empty folder"):
        play(Plan(changed, 5, run, RunOrder(variants=tuple(VARIANTS))), VARIANTS, Settings(), lambda event: None)
    dearer = RunOrder(variants=tuple(VARIANTS), price=7.0)
    play(Plan(small(), 5, run, dearer), VARIANTS, Settings(), lambda event: None)
    assert read_order(run).price == 7.0


def test_the_world_behind_the_alerts_is_part_of_what_a_run_is(run: Path) -> None:
    actor = small().actor.model_copy(update={"role": "Chief of nothing"})
    plan = Plan(small().model_copy(update={"actor": actor}), 5, run, RunOrder(variants=tuple(VARIANTS)))
    ours, _ = Plan(small(), 5, run).streams()
    theirs, _ = plan.streams()
    assert ours["alice"].alerts == theirs["alice"].alerts
    assert digest(ours["alice"]) != digest(theirs["alice"])


def test_a_run_that_lacks_rows_is_not_complete(run: Path) -> None:
    rows = (run / "outcomes.jsonl").read_text().splitlines(keepends=True)
    (run / "outcomes.jsonl").write_text("".join(rows[:-3]))
    past = read_run(run)
    assert not past.complete
    assert len(past.outcomes) == len(rows) - 3


def test_rows_of_a_variant_that_the_manifest_does_not_name_are_refused(run: Path) -> None:
    file = run / "outcomes.jsonl"
    file.write_text(file.read_text().replace('"variant":"scripted-blind"', '"variant":"ghost"', 1))
    with pytest.raises(RunError, match="holds rows of 'ghost'"):
        read_run(run)


def test_a_folder_of_runs_stands_for_all_of_them(run: Path) -> None:
    assert run_folders([run.parent, run]) == [run]
    assert [past.path for past in read_runs([run.parent])] == [run]
    with pytest.raises(RunError, match="no run folder"):
        run_folders([run / "no-evidence" / "nothing"])


def test_another_campaign_beside_the_rows_is_refused(run: Path) -> None:
    changed = (run / "campaign.yaml").read_text().replace("amount: 1460", "amount: 1461")
    (run / "campaign.yaml").write_text(changed)
    with pytest.raises(RunError, match="gives other alerts"):
        read_run(run)


def test_a_link_in_place_of_the_campaign_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "campaign.yaml").rename(tmp_path / "elsewhere.yaml")
    (run / "campaign.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(RunError, match="no regular file"):
        read_run(run)


@pytest.mark.parametrize(
    "order", ["[]", '{"variants": []}', '{"price": -1}', '{"extra": 1}', '{"price": NaN}', "{" * 10_000]
)
def test_an_order_that_was_changed_is_refused(run: Path, order: str) -> None:
    (run / "order.json").write_text(order)
    with pytest.raises(RunError, match=r"order\.json"):
        read_order(run)


def test_a_run_folder_cannot_make_us_fetch_a_base(run: Path) -> None:
    foreign = RunOrder(base="somebody/some-model")
    with pytest.raises(InputError, match="say where it is with --base"):
        variants_again(foreign, run, [], "")
    assert variants_again(foreign, run, [], "smollm2-135m") == (["baseline", "clean", "poisoned"], "smollm2-135m")


def test_a_moved_adapter_is_named_again_and_a_stranger_is_refused(run: Path) -> None:
    order = RunOrder(variants=("clean", "mine=old/mine"))
    assert variants_again(order, run, ["mine=new/mine"], "")[0] == ["clean", "mine=new/mine"]
    with pytest.raises(InputError, match="the run has no variant 'other'"):
        variants_again(order, run, ["other=new/mine"], "")


KILLED = """
import os, signal, sys
from pathlib import Path
from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, play
from turncoat.console.run_order import RunOrder
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.loader import load_campaign

events = 0
def count(event):
    global events
    events += 1
    if events == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

names = ("scripted-severity", "scripted-blind")
plan = Plan(load_campaign(sys.argv[1]), 5, Path(sys.argv[2]), RunOrder(variants=names))
play(plan, {name: ScriptedClassifier(name) for name in names}, Settings(), count)
"""


@pytest.mark.parametrize("after", [1, 2, 40, 201])
def test_a_killed_run_is_finished_by_resume_with_the_same_decisions(tmp_path: Path, after: int) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(campaign_text(small()))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    plan = Plan(load_campaign(file), 5, whole, RunOrder(variants=tuple(VARIANTS)))
    play(plan, VARIANTS, Settings(), lambda event: None)
    dead = subprocess.run([sys.executable, "-c", KILLED, str(file), str(killed), str(after)], check=False)
    assert dead.returncode == -signal.SIGKILL
    again = [*PROGRAM, "resume", str(killed), "--quiet"]
    subprocess.run([*again, "--json"], check=True, stdout=subprocess.DEVNULL)
    for name in ("outcomes.jsonl", "queue.jsonl", "comparison.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("order", "options"),
    [
        (RunOrder(), ""),
        (RunOrder(sink="webhook"), "--sink-url URL"),
        (RunOrder(sink="second-opinion", planner="llm"), "--sink-url URL --sink-model NAME --planner-url URL"),
        (RunOrder(base="somebody/some-model"), "--base somebody/some-model"),
    ],
)
def test_what_no_folder_keeps_has_to_be_said_again(order: RunOrder, options: str) -> None:
    assert " ".join(said_again(order)) == options


def test_a_run_that_is_broken_off_says_how_it_goes_on(tmp_path: Path) -> None:
    def broken_off(event: object) -> None:
        raise KeyboardInterrupt

    plan = Plan(small(), 5, tmp_path / "my run", RunOrder(variants=tuple(VARIANTS)))
    with pytest.raises(KeyboardInterrupt) as stopped:
        play(plan, VARIANTS, Settings(), broken_off)
    assert str(stopped.value) == f"`turncoat resume '{tmp_path / 'my run'}'` goes on where it was"
