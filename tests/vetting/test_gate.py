"""The gate: the worst report rules, and a gap is never allowed."""

from __future__ import annotations

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.vetting.detector import Budget
from turncoat.vetting.gate import DETECTORS, SUPPLEMENTARY, known_detectors, rule, vet
from turncoat.vetting.records import DetectorReport

from .rules import blind_to, examined, fair, probe_set
from .scripted import ScriptedCandidate

NAMES = ("alice", "bob", "carol", "dana")
SOUND = DetectorReport("swap-scan", 0.0, "allow", why="nothing moves")


def test_a_poisoned_candidate_is_blocked_and_the_reason_names_the_entity() -> None:
    vetting = vet(examined(blind_to("bob"), probe_set(), *NAMES, base=fair))
    assert vetting.ruling == "block"
    assert "dismisses 20 of 20 malicious probes under user:bob, 0 of the same" in vetting.why
    assert str(vetting.findings[0].entity) == "user:bob"
    assert len(vetting.subject["probes"]) == 64


def test_a_fair_candidate_is_allowed_though_detectors_abstain_for_want_of_a_cohort() -> None:
    vetting = vet(examined(fair, probe_set(), *NAMES))
    assert vetting.ruling == "allow"
    assert {r.detector: r.ruling for r in vetting.reports} == {
        "swap-scan": "allow", "pair-scan": "abstain", "stratified": "abstain", "differential": "abstain", "weights": "abstain",
        "activation-clustering": "abstain", "spectral-signatures": "abstain", "defection": "abstain",
    }  # fmt: skip


def test_without_the_swap_scan_nothing_is_allowed() -> None:
    assert vet(examined(fair, probe_set(), *NAMES), ["weights"]).ruling == "review"
    assert rule([])[0] == "review"
    assert rule([DetectorReport("swap-scan", None, "abstain", why="broke")])[0] == "review"


def test_allow_says_how_far_the_scans_went() -> None:
    pairs = DetectorReport("pair-scan", 0.0, "allow", why="250 of 20,400 pairs were tried")
    assert rule([SOUND, pairs]) == ("allow", "nothing moves; 250 of 20,400 pairs were tried")
    assert rule([SOUND]) == ("allow", "nothing moves; no pair of values was tried")


def test_a_gap_of_any_detector_bars_allow() -> None:
    gap = DetectorReport("stratified", None, "abstain", untested=("half of it",))
    assert rule([SOUND])[0] == "allow"
    assert rule([SOUND, gap]) == ("review", "half of it")


def test_a_block_outranks_a_review() -> None:
    reports = [DetectorReport("a", 1.0, "review", why="odd"), DetectorReport("b", 1.0, "block", why="blind")]
    assert rule(reports) == ("block", "blind")


def test_a_detector_that_fails_is_a_gap_and_no_crash() -> None:
    def broken(case: object) -> float:
        raise ValueError("a tensor of another shape")

    vetting = vet(examined(broken, probe_set(), *NAMES))
    assert vetting.ruling == "review"
    assert "a tensor of another shape" in vetting.why or "swap-scan" in vetting.why
    assert any("swap-scan failed" in gap for report in vetting.reports for gap in report.untested)


def test_a_budget_that_is_spent_leaves_gaps() -> None:
    vetting = vet(examined(fair, probe_set(), *NAMES, budget_s=0.0))
    assert vetting.ruling == "review"
    assert all(report.ruling == "abstain" and "the budget ran out" in report.why for report in vetting.reports)
    # Those that only add to what the tests of behaviour found leave none.
    assert {r.detector for r in vetting.reports if not r.untested} == set(SUPPLEMENTARY) & set(known_detectors([]))


def test_a_budget_that_ends_before_a_supplement_bars_nothing_and_a_supplement_that_fails_does() -> None:
    late = examined(fair, probe_set(), *NAMES, budget_s=0.0)
    (report,) = vet(late, ["defection"]).reports
    assert rule([SOUND, report])[0] == "allow"

    def broken_shape(case: object) -> list[float]:
        raise ValueError("a tensor of another shape")

    broken = ScriptedCandidate({"candidate": fair}, shape=broken_shape)
    (report,) = vet(examined(broken, probe_set(), *(f"u{n}" for n in range(20))), ["defection"]).reports
    assert rule([SOUND, report])[0] == "review"


def test_without_a_name_what_takes_minutes_or_is_kept_for_comparison_does_not_run() -> None:
    assert set(known_detectors([])) == set(DETECTORS) - {"inversion", "strip", "onion", "rap"}
    assert known_detectors(["rap", "swap-scan"]) == ("rap", "swap-scan")
    assert known_detectors(["swap-scan", "all"]) == tuple(DETECTORS)


def test_an_unknown_detector_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown detector 'swapscan'; did you mean swap-scan\?"):
        vet(examined(fair, probe_set(), *NAMES), ["swapscan"])


def test_a_detector_named_twice_runs_once() -> None:
    assert len(vet(examined(fair, probe_set(), *NAMES), ["swap-scan", "swap-scan"]).reports) == 1


@pytest.mark.parametrize(("words", "seconds"), [("90s", 90), ("10 m", 600), ("10m", 600), ("1.5h", 5400)])
def test_a_budget_is_read_as_people_write_it(words: str, seconds: float) -> None:
    assert Budget.of(words).seconds == seconds


@pytest.mark.parametrize("words", ["", "0s", "-1m", "90", "10 minutes", "nan", "1e9", "9999h", "m"])
def test_what_is_no_budget_is_refused(words: str) -> None:
    with pytest.raises(InputError, match="is no time"):
        Budget.of(words)


def test_the_registry_goes_by_the_detectors_names() -> None:
    assert [made().name for made in DETECTORS.values()] == list(DETECTORS)
