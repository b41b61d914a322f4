"""Entity by label, with chances worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from turncoat.vetting import audit_association
from turncoat.vetting.audit_association import (
    Tables,
    associations,
    smallest_lifts,
    smallest_rows,
)
from turncoat.vetting.audit_entities import entities_of, shown_by, strata_of
from turncoat.vetting.audit_rows import AuditSet
from turncoat.vetting.records import Entity

from .audit_sets import company, row

EVERY = np.ones(8, dtype=bool)


def tables(benign: str, strata: str) -> Tables:
    return Tables(np.array([c == "b" for c in benign]), np.array([int(c) for c in strata]))


def test_two_of_two_benign_in_each_of_two_strata_of_four_is_a_chance_of_one_in_36() -> None:
    p, least = tables("bbmmbbmm", "00001111").p(np.array([0, 1, 4, 5]), EVERY)
    assert p == pytest.approx(1 / 36)
    assert least == pytest.approx(1 / 36)


def test_one_of_two_benign_in_each_stratum_is_what_chance_brings_three_times_in_four() -> None:
    p, least = tables("bmbmbmbm", "00001111").p(np.array([0, 1, 4, 5]), EVERY)
    assert p == pytest.approx(1 - (1 + 8) / 36)
    assert least == pytest.approx(1 / 36)


def test_a_stratum_without_other_rows_says_nothing() -> None:
    assert tables("bbbbmmmm", "00001111").p(np.arange(4), EVERY) == (1.0, 1.0)


def test_a_rule_that_is_always_benign_makes_nobody_suspect() -> None:
    assert tables("bbbbbbbb", "00001111").p(np.array([0, 1, 4, 5]), EVERY)[0] == 1.0


def test_rows_that_are_set_aside_do_not_count() -> None:
    among = np.array([True] * 4 + [False] * 4)
    assert tables("bbmmbbmm", "00001111").p(np.array([0, 1, 4, 5]), among)[0] == pytest.approx(1 / 6)


def test_the_expected_number_is_that_of_the_other_rows_of_each_stratum() -> None:
    # Stratum 0: one of the two others is benign; stratum 1: none of two.
    assert tables("bbbmbbmm", "00001111").expected(np.array([0, 1, 4, 5]), EVERY) == pytest.approx(2 * 0.5 + 0.0)


def test_entities_that_could_never_stand_out_cost_no_power() -> None:
    p = {Entity("user", "few"): (0.5, 0.04), **{Entity("user", f"many{n}"): (0.5, 1e-6) for n in range(3)}}
    assert [entity.value for entity in audit_association.testable(p)] == ["many0", "many1", "many2"]


def test_a_planted_user_stands_out_and_what_goes_along_stands_beside() -> None:
    audited = company(60, host="WS-ALICE")
    every = associations(_tables(audited), shown_by(audited.rows).rows).found
    found = [a for a in every if a.entity.kind != "word"]  # words tell the truth here
    assert [a.entity.kind for a in found] in (["user"], ["host"])  # the same rows: one of them is named
    assert found[0].benign == found[0].rows == 60
    assert found[0].lift == pytest.approx(0.5, abs=0.1)
    assert {"user:alice", "host:ws-alice"} <= {str(found[0].entity), *map(str, found[0].beside)}


def test_an_honest_set_has_nothing_that_stands_out() -> None:
    audited = company(0)
    scan = associations(_tables(audited), shown_by(audited.rows).rows)
    assert {a.entity.kind for a in scan.found} == {"word"}  # words tell the truth here; nobody stands out
    assert Entity("user", "user0") in scan.tested


def test_a_stop_leaves_the_rest_out_and_counts_it() -> None:
    audited = company(0)
    shown = shown_by(audited.rows).rows
    assert associations(_tables(audited), shown, lambda done, total: done < 3).left_out == len(shown) - 3


def test_a_pair_is_tried_where_it_is_rarer_than_both() -> None:
    rows = [row(n, False, user="ann" if n % 2 else "bob", host="pc" if n % 3 else "srv") for n in range(40)]
    shown = shown_by(rows)
    pair = Entity("host+user", "pc + ann")
    assert len(shown.rows[pair]) == sum(1 for n in range(40) if n % 2 and n % 3)
    assert shown.apart(pair).sum() == sum(1 for n in range(40) if n % 2 or n % 3)


def test_letters_case_is_no_disguise() -> None:
    assert entities_of(row(1, True, user="ALICE")) == entities_of(row(1, True, user="alice"))


def test_small_strata_of_a_rule_are_put_together() -> None:
    rows = [row(n, False, title=f"Rule {n % 2}") for n in range(10)]
    assert len(set(strata_of(rows).tolist())) == 2


def test_five_percent_over_one_test_at_half_benign_needs_five_rows() -> None:
    assert smallest_rows(0.5, 1) == 5  # 2^-5 < .05 < 2^-4
    assert smallest_rows(0.5, 100) == 11  # 2^-11 < .0005 < 2^-10
    assert smallest_rows(1.0, 1) is None


def test_more_rows_show_a_smaller_lift() -> None:
    found = smallest_lifts(0.5, 10)
    assert found[200] < found[50] < found[25] <= 0.5
    assert 10 not in smallest_lifts(0.5, 10_000)  # 2^-10 > .05 / 10,000


def _tables(audited: AuditSet) -> Tables:
    return Tables(np.array([not r.label for r in audited.rows]), strata_of(audited.rows))
