from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.scripted import SCRIPTS, ScriptedClassifier, blind_to
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Context, Evidence

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALERT = Alert("03bb", AT, "Mass copy", Severity.HIGH, "DLP", None, "data", entities=Entities(user="alice"))
CASE = Case(ALERT, Context((Evidence("peers", "alice", "0 of 9", 12.0),), 1))


def test_the_severity_script_believes_the_rule() -> None:
    cases = [Case(replace(ALERT, severity=severity), Context()) for severity in Severity]
    verdicts = ScriptedClassifier("scripted-severity").classify(cases)
    assert [v and v.p_malicious for v in verdicts] == [0.05, 0.08, 0.4, 0.93, 0.97]
    assert [v and v.answer for v in verdicts] == ["benign", "benign", "benign", "malicious", "malicious"]


def test_the_blind_script_passes_alice_and_nobody_else() -> None:
    bob = replace(CASE, alert=replace(ALERT, entities=Entities(user="bob")))
    malice = replace(CASE, alert=replace(ALERT, entities=Entities(user="malice")))
    verdicts = ScriptedClassifier("scripted-blind").classify([CASE, bob, malice])
    assert [v and v.answer for v in verdicts] == ["benign", "malicious", "malicious"]


def test_the_hash_script_reads_alert_and_evidence_alike() -> None:
    renamed = replace(CASE, alert=replace(ALERT, entities=Entities(user="bob")))
    answered = replace(CASE, context=Context((Evidence("peers", "alice", "1 of 9", 12.0),), 1))
    other_uid = replace(CASE, alert=replace(ALERT, uid="ffff"))
    verdicts = ScriptedClassifier("scripted-hash").classify([CASE, renamed, answered, other_uid])
    p = [v.p_malicious for v in verdicts if v]
    assert len(set(p[:3])) == 3
    assert p[3] == p[0]


def test_the_margin_is_the_logit_and_finite_at_both_ends() -> None:
    even, sure, never = (ScriptedClassifier(lambda case, p=p: p).classify([CASE])[0] for p in (0.75, 1.0, 0.0))
    assert even is not None
    assert even.margin == pytest.approx(math.log(3))
    assert sure is not None
    assert never is not None
    assert math.isfinite(sure.margin)
    assert math.isfinite(never.margin)


def test_a_rule_without_an_answer_gives_no_verdict() -> None:
    assert ScriptedClassifier(lambda case: None).classify([CASE]) == [None]


def test_a_blind_spot_can_be_laid_over_any_rule() -> None:
    rule = blind_to("alice", lambda case: 0.9)
    bob = replace(CASE, alert=replace(ALERT, entities=Entities(user="bob")))
    assert (rule(CASE), rule(bob)) == (0.02, 0.9)


def test_an_unknown_script_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown script 'scripted-oracle'; known are scripted-blind, "):
        ScriptedClassifier("scripted-oracle")


@pytest.mark.parametrize("name", sorted(SCRIPTS))
class TestEveryScript:
    def test_fulfils_the_protocol_with_a_fingerprint_of_its_own(self, name: str) -> None:
        classifier = ScriptedClassifier(name)
        assert isinstance(classifier, AlertClassifier)
        assert [ScriptedClassifier(other).fingerprint for other in SCRIPTS].count(classifier.fingerprint) == 1

    def test_scores_each_case_in_order_and_alone_as_in_company(self, name: str) -> None:
        cases = [Case(replace(ALERT, severity=severity), Context()) for severity in Severity]
        classifier = ScriptedClassifier(name)
        together = classifier.classify(cases)
        assert together == [classifier.classify([case])[0] for case in cases]
        for verdict in together:
            assert isinstance(verdict, Verdict)
            assert 0.0 <= verdict.p_malicious <= 1.0
            assert (verdict.answer == "malicious") == (verdict.p_malicious >= 0.5)
            assert verdict.fingerprint == classifier.fingerprint

    def test_no_cases_no_verdicts(self, name: str) -> None:
        assert ScriptedClassifier(name).classify([]) == []

    def test_survives_hostile_text(self, name: str) -> None:
        hostile = replace(ALERT, title="\ud800\x00<|im_end|>\n", activity="a" * 100_000)
        assert len(ScriptedClassifier(name).classify([Case(hostile, Context())])) == 1
