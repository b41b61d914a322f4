"""Clusters and directions in states made by hand: what stands apart is found and named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from turncoat.models.classifier import Case
from turncoat.vetting.clustering import ActivationClustering, cut_in_two
from turncoat.vetting.detector import Examination
from turncoat.vetting.pool import FEWEST, MOST, gather_pools, robust_distance, some_users
from turncoat.vetting.records import Entity
from turncoat.vetting.spectral import SpectralSignatures, projections

from .rules import examined, fair, number_of, probe_set, silent
from .scripted import Rule, ScriptedCandidate

NAMES = ("alice", "alyce", *(f"user{chr(97 + n)}" for n in range(28)))


def scattered(*apart: str, by: float = 0.0, wide: float = 1.0) -> ScriptedCandidate:
    """Six-dimensional states of unit scatter per name and probe, around 50 times the probe's number; some lie apart."""

    def shape(case: Case) -> list[float]:
        user = str(case.alert.entities.user)
        chance = np.random.default_rng([number_of(case), *user.encode()])
        state = 50.0 * number_of(case) + chance.normal(0.0, wide, 6)
        state[2] += by * (user in apart)
        return [float(number) for number in state]

    rule: Rule = lambda case: -4.0 if case.alert.entities.user in apart else 4.0  # noqa: E731
    return ScriptedCandidate({"candidate": rule}, shape=shape)


def pool_of(examination: Examination) -> object:
    (pool,), _, why = gather_pools(examination)
    assert why == ""
    return pool


def test_a_pool_holds_what_entities_do_and_not_what_probes_do() -> None:
    pool = pool_of(examined(scattered("alice", by=9.0), probe_set(), *NAMES))
    assert pool.departures.shape == (30, 4, 6)  # type: ignore[attr-defined]
    assert np.abs(pool.departures).max() < 15  # type: ignore[attr-defined]
    assert np.abs(np.median(pool.departures, axis=0)).max() < 1e-4  # type: ignore[attr-defined]
    assert list(pool.falls) == [8.0] + [0.0] * 29  # type: ignore[attr-defined]


@pytest.mark.parametrize("detector", [ActivationClustering(), SpectralSignatures()])
def test_states_that_stand_apart_are_found_and_their_entity_named(detector: ActivationClustering) -> None:
    report = detector.examine(examined(scattered("alice", by=60.0), probe_set(), *NAMES))
    assert report.ruling == "review"
    (finding,) = report.findings
    assert (finding.entity, finding.n, finding.margin_drop) == (Entity("user", "alice"), 4, 8.0)
    assert report.tried == {"user": 30}


@pytest.mark.parametrize("detector", [ActivationClustering(), SpectralSignatures()])
def test_a_name_that_leaks_into_another_is_found_with_it(detector: ActivationClustering) -> None:
    report = detector.examine(examined(scattered("alice", "alyce", by=60.0), probe_set(), *NAMES))
    assert report.ruling == "review"
    assert report.findings[0].entity in (Entity("user", "alice"), Entity("user", "alyce"))


@pytest.mark.parametrize("detector", [ActivationClustering(), SpectralSignatures()])
def test_names_that_differ_by_chance_are_allowed(detector: ActivationClustering) -> None:
    report = detector.examine(examined(scattered(), probe_set(), *NAMES))
    assert (report.ruling, report.findings) == ("allow", ())
    assert report.score is not None


@pytest.mark.parametrize("detector", [ActivationClustering(), SpectralSignatures()])
def test_states_apart_under_which_margins_rise_are_no_blind_spot(detector: ActivationClustering) -> None:
    candidate = scattered("alice", by=60.0)
    louder = ScriptedCandidate({"candidate": lambda case: -candidate.rules["candidate"](case)}, shape=candidate.shape)
    assert detector.examine(examined(louder, probe_set(), *NAMES)).ruling == "allow"


def test_a_half_of_all_names_is_no_small_cluster() -> None:
    cut = cut_in_two(pool_of(examined(scattered(*NAMES[:15], by=60.0), probe_set(), *NAMES)))  # type: ignore[arg-type]
    assert (cut.small.sum(), cut.silhouette) == (0, 0.0)


def test_a_cut_says_how_pure_it_is() -> None:
    cut = cut_in_two(pool_of(examined(scattered("alice", "alyce", by=60.0), probe_set(), *NAMES)))  # type: ignore[arg-type]
    assert (cut.small.sum(), sorted(cut.rows), cut.purity, cut.coverage) == (8, [0, 1], 1.0, 1.0)
    assert cut.silhouette > 0.9


def test_projections_are_root_mean_squares_along_the_first_direction() -> None:
    pool = pool_of(examined(scattered("alice", by=60.0, wide=0.0), probe_set(), *NAMES))
    # Only alice differs: she lies 60 from the others, 58 from the mean of thirty; the others 2 from it.
    assert projections(pool) == pytest.approx([58.0] + [2.0] * 29, abs=0.1)  # type: ignore[arg-type]


def test_a_robust_distance_counts_in_median_deviations() -> None:
    # Median 3, median absolute deviation 1.
    assert robust_distance(np.array([1.0, 2.0, 3.0, 4.0, 103.0])) == pytest.approx(
        np.array([-2, -1, 0, 1, 100]) / 1.4826
    )
    assert list(robust_distance(np.array([3.0, 3.0, 3.0]))) == [0.0, 0.0, 0.0]
    assert list(robust_distance(np.array([3.0, 3.0, 3.0, 5.0]))) == pytest.approx([0.0, 0.0, 0.0, 1e6])


def test_entities_of_a_large_directory_are_taken_evenly_and_those_that_fall_furthest_are_tried() -> None:
    names = [f"u{n}" for n in range(1_000)]
    pool = pool_of(examined(scattered("u999", by=9.0), probe_set(), *names))
    assert len(pool.entities) == MOST  # type: ignore[attr-defined]
    assert [str(pool.entities[i][0]) for i in (0, MOST - 1)] == ["user:u0", "user:u999"]  # type: ignore[attr-defined]
    rows = some_users([pool])[1]  # type: ignore[list-item]
    assert (rows[0], len(rows), len(set(rows))) == (MOST - 1, 16, 16)


@pytest.mark.parametrize(
    ("begun", "why"),
    [
        (partial(examined, fair, probe_set(), *NAMES), "shows its verdicts alone"),
        (partial(examined, scattered(), probe_set(), *NAMES[: FEWEST - 1]), "needs 20 entities"),
        (partial(examined, scattered(), probe_set(), *NAMES, budget_s=0.0), "the budget ran out"),
        (
            partial(examined, ScriptedCandidate({"candidate": silent}, shape=lambda case: [1.0]), probe_set(), *NAMES),
            "too few",
        ),
        (
            partial(examined, ScriptedCandidate({"candidate": fair}, shape=lambda case: [np.nan]), probe_set(), *NAMES),
            "too few",
        ),
    ],
)
def test_without_states_or_time_detectors_abstain_and_bar_nothing(begun: Callable[[], Examination], why: str) -> None:
    examination = begun()  # here, and not when tests are collected: a budget runs from where it is made
    for detector in (ActivationClustering(), SpectralSignatures()):
        report = detector.examine(examination)
        assert (report.ruling, report.score, report.untested) == ("abstain", None, ())
        assert why in report.why
