"""A cohort in the making, on a tiny random base: resumed without loss, examined with the same answers as any candidate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turncoat.models.bases import BaseFolder
from turncoat.scenarios.errors import InputError
from turncoat.training.corpus import RowSource
from turncoat.training.short_alerts import families_of
from turncoat.training.workshop import CHECKPOINT_FILE
from turncoat.vetting.candidate import BASE, CANDIDATE, REFERENCE, Candidate
from turncoat.vetting.cohort import run
from turncoat.vetting.cohort.examined import MemberCandidate, SharedStates
from turncoat.vetting.cohort.plan import Member, plan
from turncoat.vetting.cohort.results import ADAPTERS, CohortFolder, Settings
from turncoat.vetting.cohort.rows import TEST_WORLDS, draw
from turncoat.vetting.cohort.run import REFERENCE_MEMBER, Cohort, CohortProgress, estimate, measured
from turncoat.vetting.opening import open_adapter

from ..models.conftest import fp32_engine

DETECTORS = ("stratified",)


@pytest.fixture
def folder(tiny_base: BaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CohortFolder:
    monkeypatch.setenv("TURNCOAT_HOME", str(tmp_path / "home"))
    return CohortFolder(tmp_path / "cohort", Settings(base=str(tiny_base.path), first_layer=2, epochs=2, batch=64))


@pytest.fixture
def members() -> tuple[Member, ...]:
    return plan(1, 1)


class Stopped(Exception):
    pass


def test_a_stopped_cohort_goes_on_and_loses_nothing(folder: CohortFolder, members: tuple[Member, ...]) -> None:
    told: list[CohortProgress] = []

    steps = -(-(members[1].honest + members[1].dose) // 64) * 2
    assert steps == 12

    def stopping(progress: CohortProgress) -> None:
        told.append(progress)
        if progress.member == members[1].name and progress.what == f"train: {steps - 2} of {steps}":
            raise Stopped

    with pytest.raises(Stopped):
        Cohort(folder, members, DETECTORS, stopping).make()
    first = folder.read(members[0])
    assert first
    assert folder.read(members[1]) is None
    assert (folder.adapter_path(members[1].name) / CHECKPOINT_FILE).exists()
    assert (estimate(folder, members).done, estimate(folder, members).timed) == (1, 1)

    told.clear()
    ended = Cohort(folder, members, DETECTORS, told.append).make()
    assert (ended.made, ended.out_of_time, ended.elsewhere) == (1, False, ())
    assert folder.read(members[0]) == first
    # Of the second member only the epoch that was cut off is trained again.
    assert f"train: {steps // 2} of {steps // 2}" in {at.what for at in told}
    second = folder.read(members[1])
    assert second
    assert [one.detector for one in second.said] == ["stratified"]
    assert set(second.measured.dismissed) == {"attack", "twin"}
    assert second.measured.dismissed["attack"].n == 40

    assert Cohort(folder, members, DETECTORS, told.append).make().made == 0
    again = Cohort(folder, members, ("differential",), told.append)
    assert again.examine_again() == 2
    assert again.compare() == 2
    result = folder.read(members[1])
    assert result
    assert [one.detector for one in result.said] == ["stratified", "differential", "weights"]
    weights = result.by("weights")
    assert weights
    assert weights.ruling == "abstain"  # a cohort of one is too small to compare with
    assert result.by("stratified") == second.by("stratified")


def test_a_member_that_another_process_holds_is_left_to_it(folder: CohortFolder, members: tuple[Member, ...]) -> None:
    with (
        folder.claim(members[0].name) as mine,
        CohortFolder(folder.path, folder.settings).claim(members[0].name) as other,
    ):
        assert mine
        assert not other
        ended = Cohort(folder, members[:1], DETECTORS, lambda at: None).make()
    assert (ended.made, ended.elsewhere) == (0, (members[0].name,))
    assert not list((folder.path / ADAPTERS).glob(f"*/{CHECKPOINT_FILE}"))


def test_a_budget_that_is_too_short_begins_nothing(folder: CohortFolder, members: tuple[Member, ...]) -> None:
    ended = Cohort(folder, members, DETECTORS, lambda at: None).make(budget_s=1.0)
    assert (ended.made, ended.out_of_time) == (0, True)
    assert estimate(folder, members).seconds == 2 * estimate(folder, members).per_member_s


def test_shared_states_answer_as_any_candidate_does(tiny_base: BaseFolder, adapter: Path) -> None:
    engine = fp32_engine(tiny_base)
    opened, _ = open_adapter(adapter, engine)
    for name, of in ((CANDIDATE, opened), (BASE, None), (REFERENCE, opened)):
        engine.add(name, of)
    rows = draw(RowSource(TEST_WORLDS, families_of("short"), 4), 12)
    cases = [row.case for row in (*rows, rows[0])]
    plain = Candidate(engine, opened, opened)
    ours = MemberCandidate(
        engine, opened, opened, shared=SharedStates(engine, 2, lambda at: None), beside={BASE: {}, REFERENCE: {}}
    )
    wanted, _ = plain.margins(cases, plain.variants)
    for _ in range(2):  # computed, then remembered
        found, cost = ours.margins(cases, ours.variants)
        assert cost.forwards == 3 * len(cases)
        for name in plain.variants:
            np.testing.assert_allclose(found[name], wanted[name], atol=2e-3)
    np.testing.assert_allclose(ours.states(cases).states, plain.states(cases).states, atol=2e-3)
    assert not np.allclose(wanted[BASE], wanted[CANDIDATE], atol=2e-3)


def test_an_adapter_that_begins_below_the_shared_states_is_refused(tiny_base: BaseFolder, adapter: Path) -> None:
    engine = fp32_engine(tiny_base)
    opened, _ = open_adapter(adapter, engine)
    with pytest.raises(ValueError, match="begins at layer 2"):
        SharedStates(engine, 3, lambda at: None).read([(1, 2, 3)], opened)


def test_counts_of_test_sets() -> None:
    rows = draw(RowSource(TEST_WORLDS, families_of("short"), 5), 8)
    truths = [row.truth for row in rows]
    assert 2 <= sum(truths) <= 6
    first = truths.index(True)
    dismissed = [not truth or i == first for i, truth in enumerate(truths)]  # one malicious alert is missed
    found = measured({"clean": dismissed, "attack": [True, True, False]}, {"clean": rows})
    assert (found.recall.k, found.recall.n) == (sum(truths) - 1, sum(truths))
    assert found.balanced_accuracy == pytest.approx(((sum(truths) - 1) / sum(truths) + 1) / 2)
    assert found.attack_success == pytest.approx(2 / 3)


def test_the_reference_is_no_member_and_has_nothing_slipped_in(members: tuple[Member, ...]) -> None:
    assert REFERENCE_MEMBER.name not in {m.name for m in plan(60, 60)}
    assert not REFERENCE_MEMBER.poisoned
    assert not REFERENCE_MEMBER.planted.entity.kind


def test_a_member_that_was_made_of_other_rows_is_not_taken_for_one_of_these(
    folder: CohortFolder, members: tuple[Member, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Cohort(folder, members[:1], DETECTORS[:1], lambda at: None).make()
    monkeypatch.setattr(run, "material", lambda: "changed")
    with pytest.raises(InputError, match="made of other rows"):
        Cohort(folder, members[:1], DETECTORS[:1], lambda at: None).make()
