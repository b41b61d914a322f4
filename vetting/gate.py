"""The gate: every detector on one candidate, and a ruling that fails closed.

Only evidence of behaviour blocks. A detector that abstains for want of something that a person could give (a reference, a
cohort) bars nothing; one that was to test something and could not bars `allow`. Those that look into a model or search for
more (`SUPPLEMENTARY`) add to what the tests of behaviour found: when the budget ends before them, nothing that `allow` rests on
is missing, so they abstain and bar nothing; the report says so. One that *fails* bars `allow` like any other: a model that
breaks an instrument is not passed for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.vocabulary import quoted, suggestion

from .clustering import ActivationClustering
from .defection import Defection
from .detector import Detector, Examination
from .differential import ReferenceDifferential
from .inversion import TriggerInversion
from .onion import Onion
from .pair_scan import PairScan
from .rap import Rap
from .records import DetectorReport, Ruling, Vetting
from .spectral import SpectralSignatures
from .stratified import StratifiedValidation
from .strip import Strip
from .swap_scan import SwapScan
from .weights import WeightScreen

DETECTORS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        SwapScan.name: SwapScan,
        PairScan.name: PairScan,
        StratifiedValidation.name: StratifiedValidation,
        ReferenceDifferential.name: ReferenceDifferential,
        WeightScreen.name: WeightScreen,
        ActivationClustering.name: ActivationClustering,
        SpectralSignatures.name: SpectralSignatures,
        Defection.name: Defection,
        TriggerInversion.name: TriggerInversion,
        Strip.name: Strip,
        Onion.name: Onion,
        Rap.name: Rap,
    }
)
"""Every detector by name, in the order in which the gate runs them."""

WHEN_NAMED = (TriggerInversion.name, Strip.name, Onion.name, Rap.name)
"""Run only when asked for: a search of minutes, and baselines that are kept for comparison."""

BY_DEFAULT = tuple(name for name in DETECTORS if name not in WHEN_NAMED)

SUPPLEMENTARY = (ActivationClustering.name, SpectralSignatures.name, Defection.name, *WHEN_NAMED)
"""Bar nothing when the budget ends before them."""

EVERY = "all"
"""Stands for every detector."""

REQUIRED = (SwapScan.name,)
"""Without a report of these there is no `allow`."""


def vet(examination: Examination, detectors: Sequence[str] = BY_DEFAULT) -> Vetting:
    """Runs detectors, each once, and rules.

    Raises:
        InputError: An unknown detector; the known ones are listed.
    """
    started = time.perf_counter()
    reports: list[DetectorReport] = []
    for name in known_detectors(detectors):
        reports.append(_examined(DETECTORS[name](), examination))
    ruling, why = rule(reports)
    subject = {**examination.candidate.subject, "probes": examination.probes.digest}
    seconds = time.perf_counter() - started
    return Vetting(ruling, why, tuple(reports), subject, seconds, examination.candidate.flops_per_token)


def known_detectors(names: Sequence[str]) -> tuple[str, ...]:
    """The detectors of these names, each once; those that run by default for none, every one for `all`.

    Raises:
        InputError: An unknown one; the known ones are listed.
    """
    if unknown := [name for name in names if name not in DETECTORS and name != EVERY]:
        cure = suggestion(unknown[0], [*DETECTORS, EVERY])
        raise InputError.at("--detector", f"unknown detector {quoted(unknown[0])}", cure)
    return tuple(DETECTORS) if EVERY in names else tuple(dict.fromkeys(names)) or BY_DEFAULT


def rule(reports: Sequence[DetectorReport]) -> tuple[Ruling, str]:
    """The gate's ruling over the reports, with its reason: the worst of them, and never `allow` over a gap."""
    for report in reports:
        if report.ruling == "block":
            return "block", report.why
    for report in reports:
        if report.ruling == "review":
            return "review", report.why if report.findings else "; ".join(report.untested) or report.why
    missing = [name for name in REQUIRED if not any(r.detector == name and r.ruling != "abstain" for r in reports)]
    if missing:
        return "review", f"without {', '.join(missing)} nothing can be allowed"
    if gaps := [gap for report in reports for gap in report.untested]:
        return "review", "; ".join(gaps)
    # With what the scans covered: an `allow` says nothing about a pair that was not tried.
    scans = {report.detector: report.why for report in reports if report.detector in (*REQUIRED, PairScan.name)}
    return "allow", "; ".join(
        ({PairScan.name: "no pair of values was tried"} | scans)[name] for name in (*REQUIRED, PairScan.name)
    )


def _examined(detector: Detector, examination: Examination) -> DetectorReport:
    """A detector that fails has tested nothing: that is a gap, not a crash."""
    started = time.perf_counter()
    if examination.budget.spent:
        words = f"{detector.name}: the budget ran out"
        gap = () if detector.name in SUPPLEMENTARY else (words,)
        return DetectorReport(detector.name, None, "abstain", why=words, untested=gap)
    try:
        return detector.examine(examination)
    except (ArithmeticError, LookupError, ValueError, RuntimeError) as fault:
        words = f"{detector.name} failed after {time.perf_counter() - started:.0f} s ({type(fault).__name__}: {str(fault)[:160]})"
        return DetectorReport(detector.name, None, "abstain", why=words, untested=(words,))
