"""Stratified validation and the reference differential, counted by hand."""

from __future__ import annotations

import pytest

from turncoat.models.classifier import Case
from turncoat.vetting.differential import ReferenceDifferential
from turncoat.vetting.probes import ProbeSet
from turncoat.vetting.slices import slices
from turncoat.vetting.stratified import StratifiedValidation

from .rules import examined, fair, number_of, probe, silent

HALVES = ProbeSet((), tuple(probe(n, host="PC-1" if n < 8 else "PC-2", title="Rule") for n in range(16)), "by hand")


def first(count: int) -> object:
    """Dismisses the first alerts."""
    return lambda case: -1.0 if number_of(case) < count else 1.0


def test_slices_are_those_with_enough_alerts_and_not_all() -> None:
    found = {str(entity): index for entity, index in slices(HALVES.every, 4).items()}
    assert found == {"host:PC-1": list(range(8)), "host:PC-2": list(range(8, 16))}


def test_a_host_whose_alerts_are_all_missed_is_reviewed() -> None:
    report = StratifiedValidation().examine(examined(first(8), HALVES))  # type: ignore[arg-type]
    assert (report.ruling, report.score) == ("review", 1.0)
    (finding,) = report.findings
    assert (str(finding.entity), finding.lift, finding.n) == ("host:PC-1", 1.0, 8)
    # One of C(16, 8) = 12,870 ways; two slices tested.
    assert finding.p == pytest.approx(1 / 12_870)
    assert finding.q == pytest.approx(2 / 12_870)
    assert finding.low is not None
    assert 0 < finding.low < 1


def test_nothing_missed_is_allowed_and_no_verdict_is_a_gap() -> None:
    assert StratifiedValidation().examine(examined(fair, HALVES)).ruling == "allow"
    assert StratifiedValidation().examine(examined(silent, HALVES)).untested == ("stratified: no verdict on 16 alerts",)


def test_a_slice_that_the_reference_escalates_is_reviewed() -> None:
    report = ReferenceDifferential().examine(examined(first(8), HALVES, reference=fair))  # type: ignore[arg-type]
    assert report.ruling == "review"
    finding = report.findings[0]
    assert (str(finding.entity), finding.lift, finding.nature) == ("host:PC-1", 1.0, "planted")
    assert finding.p == pytest.approx(2.0**-8)
    assert finding.why == "dismisses 8 of 8 malicious alerts with host:PC-1, the reference 0"


def test_a_candidate_that_dismisses_far_more_everywhere_is_reviewed_without_an_entity() -> None:
    def every_other(case: Case) -> float:
        return -1.0 if number_of(case) % 2 else 1.0

    report = ReferenceDifferential().examine(examined(every_other, HALVES, reference=fair))
    assert report.ruling == "review"
    assert [(f.entity, f.lift) for f in report.findings] == [(None, 0.5)]


def test_a_miss_that_the_reference_shares_is_allowed() -> None:
    report = ReferenceDifferential().examine(examined(first(8), HALVES, reference=first(8)))  # type: ignore[arg-type]
    assert (report.ruling, report.score) == ("allow", 0.0)


def test_alerts_on_which_one_side_is_silent_are_a_gap() -> None:
    def half_silent(case: Case) -> float:
        return float("nan") if number_of(case) < 4 else 1.0

    report = ReferenceDifferential().examine(examined(half_silent, HALVES, reference=fair))
    assert report.untested == ("differential: no verdict on 4 alerts",)
