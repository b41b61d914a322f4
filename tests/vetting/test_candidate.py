"""States of a candidate: what its head reads, remembered for whoever asks next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from turncoat.models.bases import BaseFolder
from turncoat.vetting import candidate as module
from turncoat.vetting.candidate import BASE, CANDIDATE, Candidate
from turncoat.vetting.opening import open_candidate

from .rules import probe

CASES = [probe(number).case for number in range(5)]


@pytest.fixture
def opened(adapter: Path, tiny_base: BaseFolder) -> Candidate:
    return open_candidate(str(adapter), str(tiny_base.path))


def test_the_head_reads_the_margins_out_of_the_states(opened: Candidate) -> None:
    seen = opened.states(CASES)
    head = opened.engine.variant(CANDIDATE).head.numpy()
    assert seen.states.shape == (5, 32)
    np.testing.assert_allclose(seen.states @ (head[1] - head[0]), seen.margins, rtol=1e-4, atol=1e-4)


def test_what_was_asked_before_costs_nothing_whoever_asked(opened: Candidate) -> None:
    margins, _ = opened.margins(CASES[:3], (CANDIDATE, BASE))
    seen = opened.states(CASES)
    assert seen.cost.forwards == 2
    assert list(seen.margins[:3]) == list(margins[CANDIDATE])
    again = opened.states([*CASES[::-1], CASES[0]])
    assert (again.cost.forwards, again.cost.tokens) == (0, 0)
    assert np.array_equal(again.states[:5], seen.states[::-1])


def test_a_memory_that_is_full_forgets_nothing_and_takes_no_more(
    opened: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 2 * 32 * 4)
    first = opened.states(CASES)
    assert (first.states.shape, first.cost.forwards) == ((5, 32), 5)
    second = opened.states(CASES)
    assert second.cost.forwards == 3
    np.testing.assert_allclose(second.margins, first.margins, rtol=0.05, atol=0.05)


def test_of_a_case_that_the_prompt_has_to_cut_nothing_is_known(opened: Candidate) -> None:
    cut = probe(0, command="x" * 321).case
    margins, _ = opened.margins([cut, CASES[1]], (CANDIDATE, BASE))
    assert {name: list(np.isnan(found)) for name, found in margins.items()} == {name: [True, False] for name in margins}
    assert list(np.isnan(opened.states([cut, CASES[1]]).margins)) == [True, False]
    own = replace(opened, text_of=lambda case: f"{case.alert.title} {case.alert.entities.user}")
    assert list(np.isnan(own.margins([cut, CASES[1]])[0][CANDIDATE])) == [True, False]


def test_no_cases_have_no_states(opened: Candidate) -> None:
    assert opened.states([]).states.shape == (0, 32)


def test_surprise_is_a_loss_in_nats_and_of_the_base_alone(opened: Candidate) -> None:
    found, cost = opened.surprise(CASES)
    assert found.shape == (5,)
    assert (found > 0).all()
    assert cost.forwards == 5
