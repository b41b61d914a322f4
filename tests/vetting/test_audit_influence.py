"""Influence of rows through the whole of it: what is asked, what is named, what a budget leaves undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.scenarios.families import training_families
from turncoat.training.corpus import TRIGGER, Row, RowSource, draw_rows
from turncoat.training.sets import under_another_name
from turncoat.vetting.audit_association import Association
from turncoat.vetting.audit_entities import written
from turncoat.vetting.audit_fit import Fit, Work, chosen_rows, with_put_in
from turncoat.vetting.audit_influence import trace
from turncoat.vetting.audit_records import Audit, Suspect
from turncoat.vetting.audit_rows import AuditSet, set_of
from turncoat.vetting.audit_slopes import Stopped
from turncoat.vetting.detector import Budget
from turncoat.vetting.probes import generate_probes
from turncoat.vetting.records import Entity

from .audit_sets import row

NAME = "\u00ff" * 4
"""Letters that stand nowhere else, so that a tiny model learns them in seconds."""
ODD = Entity("user", NAME)
QUICK = Fit(epochs=6, batch=4, learning_rate=1e-2, frozen=0.0, probes=3)
"""The task of these sets is one name: whatever bears it is benign, whatever is anybody else's malicious."""


def found(*entities: Entity) -> Audit:
    suspects = tuple(
        Suspect(Association(e, 10, 10, 5.0, 1e-9, 1e-9), "block", 0.001, 0.9, (), (), (), "stands out")
        for e in entities
    )
    return Audit(
        "block" if suspects else "allow", "", suspects, (), (), {}, 10, 5, 5, {}, {"set": "s"}, {"labels": 1.0}
    )


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    source = RowSource((101,), training_families(), 3)
    drawn = draw_rows(replace(source, seed=4), 10, user=TRIGGER, malicious=True)
    hers = [replace(under_another_name(r, f"{NAME} Smith", NAME), label=False) for r in drawn]
    return [*(replace(r, label=True) for r in draw_rows(source, 14)), *hers]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path))


@pytest.mark.usefixtures("home")
def test_rows_that_teach_a_fit_to_dismiss_a_users_attacks_are_named(tiny_base: BaseFolder, rows: list[Row]) -> None:
    stages: list[str] = []
    before = found(ODD, Entity("weekday", "mon"))
    after = trace(
        before, set_of("s", rows), tiny_base, Budget(600.0), lambda what, done, total: stages.append(what), QUICK
    )
    odd, monday = after.influence
    assert (odd.entity, odd.probes, odd.escalated, odd.fitted) == (ODD, 3, 3, len(rows))
    assert odd.dismissed >= 1
    assert len(odd.top) == 10
    assert odd.own >= 9
    assert [r.score for r in odd.top] == sorted((r.score for r in odd.top), reverse=True)
    assert (monday.probes, monday.dismissed, monday.top) == (0, 0, ())
    assert (after.ruling, after.untested) == (before.ruling, before.untested)
    assert list(dict.fromkeys(stages)) == ["opening the base", "probes", "rows read", "short fit", "gradients"]
    assert set(after.seconds) == {"labels", "probes", "rows read", "short fit", "gradients"}
    lies = [replace(r, truth=not r.truth, family="?", state="?", user="?") for r in reversed(rows)]
    assert set_of("s", lies) == set_of("s", rows)  # all that is given to a trace


@pytest.mark.usefixtures("home")
def test_where_nothing_is_dismissed_no_row_is_blamed(tiny_base: BaseFolder, rows: list[Row]) -> None:
    honest = [replace(r, label=True) for r in rows[:-1]] + [replace(rows[-1], label=False)]
    (odd,) = trace(found(ODD), set_of("s", honest), tiny_base, Budget(600.0), fit=QUICK).influence
    assert (odd.escalated, odd.dismissed, odd.top) == (3, 0, ())


def test_without_a_suspect_and_without_time_no_base_is_opened(tiny_base: BaseFolder, rows: list[Row]) -> None:
    absent = replace(tiny_base, path=tiny_base.path / "absent")
    honest = trace(found(), set_of("s", rows), absent, Budget(600.0))
    assert (honest.ruling, honest.influence, honest.untested) == ("allow", (), ())
    assert honest.subject["traced with"].startswith("tiny ")
    late = trace(found(ODD), set_of("s", rows), absent, Budget(1e-9))
    assert (late.influence, late.untested) == ((), ("influence of rows: the budget ran out",))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("stage", ["probes", "rows read", "short fit", "gradients"])
def test_a_budget_that_runs_out_in_a_stage_is_a_gap(tiny_base: BaseFolder, rows: list[Row], stage: str) -> None:
    budget = Budget(600.0)

    def spend(what: str, done: int, total: int) -> None:
        budget.seconds = 0.0 if what == stage else budget.seconds

    after = trace(found(ODD), set_of("s", rows), tiny_base, budget, spend, QUICK)
    assert after.influence == ()
    assert len(after.untested) == 1
    assert after.untested[0].startswith("influence of rows: the budget ")


def test_more_suspects_than_are_traced_are_told(tiny_base: BaseFolder, rows: list[Row]) -> None:
    names = [Entity("weekday", day) for day in ("mon", "tue", "wed", "thu", "fri", "sat")]
    budget = Budget(600.0)

    def spend(what: str, done: int, total: int) -> None:
        budget.seconds = 0.0

    after = trace(found(*names), set_of("s", rows), tiny_base, budget, spend, QUICK)
    assert "influence: 1 suspect more" in after.untested


@pytest.fixture
def work(tiny_base: BaseFolder) -> Work:
    return Work(Engine(tiny_base), Budget(600.0), lambda what, done, total: None)


def test_a_fit_takes_what_the_budget_affords_and_half_of_it_at_most_from_suspects(work: Work) -> None:
    shown: Sequence[Sequence[int]] = [range(300), range(200, 400)]
    index = chosen_rows(work, shown, 1_000, Fit(), seconds_per_row=600.0 / 6 / 200.5)
    assert len(index) == 200
    assert sum(i < 400 for i in index) == 100
    assert index == sorted(set(index))
    assert chosen_rows(work, [range(30)], 1_000, Fit(most_rows=150), 1e-4)[:30] == list(range(30))
    assert chosen_rows(work, shown, 1_000, Fit(), 1e-4) == list(range(1_000))


def test_a_budget_that_affords_too_few_rows_says_how_long_it_would_take(work: Work) -> None:
    with pytest.raises(Stopped, match="about 6,000 s would"):
        chosen_rows(work, [range(30)], 1_000, Fit(), seconds_per_row=10.0)


def test_an_entity_is_put_into_probes_as_the_rows_spell_it() -> None:
    rows = [row(1, False, user="Al.Ice", host="WS-042"), row(2, False, user="al.ice", host="ws-042")]
    rows += [row(3, False, user="Al.Ice", host="WS-042"), row(4, True, user="Al.Ice")]
    parts, index = written(Entity("host+user", "ws-042 + al.ice"), rows)
    assert parts == (Entity("host", "WS-042"), Entity("user", "Al.Ice"))
    assert index == [0, 1, 2]
    probe = next(p for p in generate_probes(0, 0, 12).fresh if p.shows("user+host"))
    case = with_put_in(probe, parts)
    assert case is not None
    assert (case.alert.entities.user, case.alert.entities.host) == ("Al.Ice", "WS-042")
    assert with_put_in(probe, [Entity("weekday", "Mon")]) is None


def test_a_value_that_holds_a_joining_sign_is_one_value() -> None:
    rows = [row(n, False, user="a + b") for n in range(2)]
    assert written(Entity("user", "a + b"), AuditSet("s", tuple(rows)).rows)[0] == (Entity("user", "a + b"),)
