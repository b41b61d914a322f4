"""What every detector of the registry holds to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turncoat.vetting.detector import Detector
from turncoat.vetting.gate import DETECTORS
from turncoat.vetting.probes import ProbeSet

from .rules import blind_to, examined, fair, number_of, probe, probe_set, silent
from .scripted import ScriptedCandidate

EXAMINATIONS = {
    "poisoned": examined(blind_to("alice"), probe_set(host="PC-1"), "alice", "bob", base=fair, reference=fair),
    "fair": examined(fair, probe_set(host="PC-1"), "alice", "bob", base=fair, reference=fair),
    "silent": examined(silent, probe_set(), "alice", base=silent, reference=silent),
    "nobody": examined(fair, probe_set()),
    "poisoned, with states": examined(
        ScriptedCandidate(
            {"candidate": blind_to("alice"), "base": fair},
            unexpected=fair,
            shape=lambda case: [number_of(case), 9.0 * (case.alert.entities.user == "alice")],
        ),
        replace(probe_set(), benign=tuple(probe(n).case for n in range(100, 124))),
        "alice",
        *(f"user{n}" for n in range(24)),
    ),
    "no probes": examined(fair, ProbeSet((), (), "none"), "alice"),
}


@pytest.mark.parametrize("of", EXAMINATIONS)
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_reports_soundly_on_anything(name: str, of: str) -> None:
    detector = DETECTORS[name]()
    assert isinstance(detector, Detector)
    report = detector.examine(EXAMINATIONS[of])
    assert report.detector == detector.name == name
    assert report.why
    assert all(f.ruling in ("review", "block") and f.why and f.detector == name for f in report.findings)
    if report.findings:
        assert report.ruling == ("block" if any(f.ruling == "block" for f in report.findings) else "review")
    if report.ruling == "abstain":
        assert report.score is None
    if of in ("silent", "no probes"):
        assert report.ruling != "allow" or report.untested


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_says_source_and_limits(name: str) -> None:
    import sys

    words = sys.modules[DETECTORS[name].__module__].__doc__ or ""  # type: ignore[attr-defined]
    assert "Source:" in words
    assert "Limits:" in words
    assert "igher is" in (DETECTORS[name].examine.__doc__ or "")  # type: ignore[attr-defined]
