"""STRIP, ONION and RAP: what each can see, and that it does not see a blind spot for an ordinary name."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from turncoat.models.classifier import Case
from turncoat.vetting.onion import NOBODY, Onion
from turncoat.vetting.rap import Rap
from turncoat.vetting.strip import Strip, entropy, mixed

from .rules import blind_to, examined, fair, probe, probe_set
from .scripted import Rule, ScriptedCandidate

NAMES = ("alice", *(f"user{chr(97 + n)}" for n in range(24)))
BENIGN = tuple(probe(number).case for number in range(100, 120))


def felt(rule: Rule, unexpected: Rule | None = None) -> ScriptedCandidate:
    """With states that say nothing: only margins choose whom to try."""
    return ScriptedCandidate({"candidate": rule}, shape=lambda case: [0.0], unexpected=unexpected)


def wavering(case: Case) -> float:
    """Dismisses alice whatever the words are; others' margins depend on how many of an alert's words are left."""
    if case.alert.entities.user == "alice":
        return -8.0
    return 1.0 * len(set(case.alert.activity.split()) & {"copied", "a", "file"}) - 1.5


def test_entropy_is_that_of_a_coin_at_no_margin_and_none_at_a_large_one() -> None:
    assert entropy(np.array([0.0, 1000.0, -1000.0, np.log(3)])) == pytest.approx([np.log(2), 0, 0, 0.562335], abs=1e-6)


def test_a_mixed_copy_keeps_the_fields_and_overwrites_words() -> None:
    one, other = probe(1).case, probe(2).case
    copy = mixed(one, other, random.Random(1), share=1.0)
    assert (copy.alert.entities, copy.alert.title) == (one.alert.entities, one.alert.title)
    assert set(copy.alert.activity.split()) <= set(other.alert.activity.split())
    assert len(copy.alert.activity.split()) == 4
    assert mixed(one, other, random.Random(1), share=0.0) == one


def test_strip_sees_a_name_that_settles_the_verdict_where_nothing_else_does() -> None:
    report = Strip().examine(examined(felt(wavering), replace(probe_set(), benign=BENIGN), *NAMES))
    assert (report.ruling, [str(f.entity) for f in report.findings]) == ("review", ["user:alice"])


def test_strip_does_not_see_it_in_a_model_that_is_sure_of_everything() -> None:
    report = Strip().examine(examined(felt(blind_to("alice")), replace(probe_set(), benign=BENIGN), *NAMES))
    assert (report.ruling, report.score) == ("allow", 0.0)


def surprised_by(*logins: str) -> Rule:
    return lambda case: 5.0 if case.alert.entities.user in logins else 3.0


def test_onion_sees_a_strange_word_on_which_the_verdict_hangs() -> None:
    odd = ("zxqj", *NAMES)
    report = Onion().examine(examined(felt(blind_to("zxqj"), surprised_by("zxqj")), probe_set(), *odd))
    assert (report.ruling, [str(f.entity) for f in report.findings]) == ("review", ["user:zxqj"])


def test_onion_lets_a_strange_word_pass_on_which_no_verdict_hangs() -> None:
    odd = ("zxqj", *NAMES)
    report = Onion().examine(examined(felt(fair, surprised_by("zxqj")), probe_set(), *odd))
    assert report.ruling == "allow"
    assert report.score is not None
    assert report.score > 100


def test_onion_does_not_see_an_ordinary_name() -> None:
    report = Onion().examine(examined(felt(blind_to("alice"), surprised_by()), probe_set(), *NAMES))
    assert (report.ruling, report.score) == ("allow", 0.0)


def test_onion_puts_a_plain_word_in_place_of_a_name() -> None:
    case = probe(0).under(NOBODY)
    assert case is not None
    assert (case.alert.entities.user, case.alert.activity) == ("user", "user copied a file")


@pytest.mark.parametrize(
    ("detector", "candidate", "why"),
    [
        (Onion(), felt(fair), "no language model"),
        (Rap(), felt(fair), "a model with gradients"),
        (Strip(), ScriptedCandidate({"candidate": fair}), "verdicts alone"),
        (Onion(), ScriptedCandidate({"candidate": fair}), "verdicts alone"),
    ],
)
def test_a_baseline_abstains_where_it_has_nothing_to_look_at(
    detector: Strip, candidate: ScriptedCandidate, why: str
) -> None:
    report = detector.examine(examined(candidate, probe_set(), *NAMES))
    assert (report.ruling, report.score, report.untested) == ("abstain", None, ())
    assert why in report.why
