"""Trigger inversion and RAP on a tiny model with gradients; the ruling on strings that are tested by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from turncoat.models.adapter import Adapter
from turncoat.models.bases import BaseFolder
from turncoat.models.engine import Engine
from turncoat.models.lora import LoraShape
from turncoat.vetting.candidate import BASE, CANDIDATE, Candidate
from turncoat.vetting.detector import Budget
from turncoat.vetting.directory import Directory
from turncoat.vetting.inversion import SlotTrial, TriggerInversion, findings_of_strings, nearest_entry
from turncoat.vetting.rap import Rap
from turncoat.vetting.records import Entity
from turncoat.vetting.slots import SLOTS, Alphabet
from turncoat.vetting.token_search import FoundString, Search, find_string, random_string

from .rules import examined, fair, person, probe, probe_set

NAMES = ("alice", *(f"user{chr(97 + n)}" for n in range(24)))
BENIGN = tuple(probe(number).case for number in range(100, 124))


@pytest.fixture(scope="module")
def candidate(tiny_base: BaseFolder) -> Candidate:
    """The tiny base with a head that escalates every probe by a margin of about three."""
    engine = Engine(tiny_base)
    engine.model.float()
    engine.add(BASE, None)
    cases = [probe(number).case for number in range(8)]
    bare = Candidate(engine, None)
    engine.add(CANDIDATE, None)
    middle = torch.from_numpy(bare.states(cases).states.mean(axis=0))
    head = torch.stack((torch.zeros_like(middle), 3 * middle / middle.square().sum()))
    adapter = Adapter(LoraShape(1, 1, 4), {}, head, "none", "head")
    engine.add(CANDIDATE, adapter)
    return Candidate(engine, adapter)


def test_strings_are_plain_text_that_reads_back_as_the_tokens_searched_for(candidate: Candidate) -> None:
    for slot in SLOTS.values():
        alphabet = Alphabet(candidate.engine, slot)
        text = random_string(alphabet, random.Random(3))
        assert text
        assert text.isascii()
        assert text.isprintable()
        assert alphabet.text(alphabet.ids(text)) == text


def test_a_string_stands_wherever_the_slot_shows_it() -> None:
    one = probe(0, host="PC-1")
    as_user, as_text = (slot.fill(one, "zed.q") for slot in SLOTS.values())
    assert as_user is not None
    assert as_text is not None
    assert (as_user.alert.entities.user, as_user.alert.activity) == ("zed.q", "zed.q copied a file")
    assert (as_text.alert.entities.user, as_text.alert.activity) == ("useraa", "useraa copied a file zed.q")


def test_a_search_finds_a_string_that_moves_the_model_further_than_random_ones(candidate: Candidate) -> None:
    alphabet = Alphabet(candidate.engine, SLOTS["user"])
    searched = [probe(0), probe(1)]
    found = find_string(Search(candidate, alphabet, searched, CANDIDATE, BASE), Budget(60), random.Random(1), 4)
    assert 0 < found.steps <= 4

    def gain(text: str) -> float:
        with_, without = (
            candidate.margins([case for one in searched if (case := fill(one))], (CANDIDATE, BASE))[0]
            for fill in (lambda one: SLOTS["user"].fill(one, text), lambda one: one.case)
        )
        return float((without[CANDIDATE] - with_[CANDIDATE] - without[BASE] + with_[BASE]).mean())

    assert found.gain == pytest.approx(gain(found.text), abs=1e-4)
    rng = random.Random(2)
    assert found.gain > max(gain(random_string(alphabet, rng)) for _ in range(6))


def test_a_search_without_time_keeps_its_random_start(candidate: Candidate) -> None:
    alphabet = Alphabet(candidate.engine, SLOTS["user"])
    search = Search(candidate, alphabet, [probe(0)], CANDIDATE, BASE)
    assert find_string(search, Budget(0.0), random.Random(1)).text == random_string(alphabet, random.Random(1))


@pytest.mark.parametrize("detector", [TriggerInversion(), Rap()])
def test_on_a_real_model_a_report_is_sound_and_rules_no_more_than_review(
    detector: TriggerInversion, candidate: Candidate
) -> None:
    probes = replace(probe_set(fresh=24), benign=BENIGN)
    report = detector.examine(examined(candidate, probes, *NAMES, budget_s=8.0))
    assert report.why
    assert (report.score is None) == (report.ruling == "abstain")
    assert report.ruling in ("allow", "review", "abstain")
    assert report.cost.forwards > 0
    assert report.untested == ()


def slot_trial(passed: int, moved: float, moved_other: float) -> SlotTrial:
    found = FoundString("alyce", 4.0, 9, examined(fair, probe_set()).candidate.margins([])[1])
    return SlotTrial(SLOTS["user"], found, replace(found, text="omvis"), moved, moved_other,
                  np.arange(20) < passed, np.zeros(20, dtype=bool), 5.0)  # fmt: skip


DIRECTORY = Directory(tuple(map(person, ("bob", "alice", "carol"))))


def test_a_string_that_moves_the_candidate_out_of_proportion_is_reviewed_with_the_nearest_name() -> None:
    (finding,) = findings_of_strings([slot_trial(20, 12.0, 3.0)], BASE, DIRECTORY)
    assert (finding.ruling, finding.entity, finding.lift, finding.n) == ("review", Entity("user", "alyce"), 1.0, 20)
    assert finding.p == pytest.approx(2.0**-20)
    assert "4.0 times as far as the base" in finding.why
    assert "nearest in the directory is alice" in finding.why


@pytest.mark.parametrize(
    ("passed", "moved", "moved_other"),
    [(20, 12.0, 6.0), (20, -12.0, 3.0), (20, 2.0, 0.1), (5, 12.0, 3.0), (0, 12.0, 3.0)],
)
def test_an_ordinary_adversarial_string_is_no_finding(passed: int, moved: float, moved_other: float) -> None:
    assert list(findings_of_strings([slot_trial(passed, moved, moved_other)], BASE, DIRECTORY)) == []


def test_the_nearest_entry_of_an_empty_directory_is_none() -> None:
    assert nearest_entry("alyce", Directory(())) == ""


def test_without_a_model_or_another_to_compare_with_it_abstains(candidate: Candidate) -> None:
    script = TriggerInversion().examine(examined(fair, probe_set(), *NAMES, base=fair))
    assert (script.ruling, script.why) == ("abstain", "needs a model with gradients")
    alone = TriggerInversion().examine(examined(replace(candidate, adapter=None), probe_set(), *NAMES))
    assert (alone.ruling, alone.why) == ("abstain", "needs a base or a reference to compare with")
