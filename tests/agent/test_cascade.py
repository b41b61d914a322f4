from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turncoat.agent.cascade import MAX_POINTS, CloudLoad, CloudTerms, cascade
from turncoat.agent.records import Action, Decision, Investigation, Outcome
from turncoat.agent.shifts import HOUR, Shift, iso, tick_of
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Entities, Severity

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROUND_THE_CLOCK = (0, 24)


def call(
    uid: str, hours: float, *, attack: bool = False, forced: bool = False, action: Action = "escalate",
    variant: str = "clean", principal: str = "alice",
) -> Outcome:  # fmt: skip
    """An alert `hours` after nine o'clock that is decided at once."""
    at = NINE + timedelta(hours=hours)
    alert = Alert(uid, at, "t", Severity.LOW, "p", None, "data", entities=Entities(user=principal))
    decision = Decision(action, forced, "guard" if forced else "threshold", "r", at)
    row = Investigation(uid, variant, principal, None, decision, (), 1)
    return Outcome(alert, row, attack, "access" if attack else None, None, False, attack, ())


def load(outcomes: list[Outcome], terms: CloudTerms) -> CloudLoad:
    (only,) = cascade(outcomes, terms)
    return only


def test_two_analysts_take_the_queue_first_in_first_out() -> None:
    # Four at nine, an hour each, two analysts: looked at at 9, 9, 10, 10.
    calls = [call(f"a{i}", 0, attack=True) for i in range(4)]
    found = load(calls, CloudTerms(analysts=2, minutes_per_alert=60, shift=ROUND_THE_CLOCK))
    assert (found.attack_wait_median_minutes, found.attack_wait_longest_minutes) == (30.0, 60.0)
    assert found.queue_begins == "2026-03-02T09:00:00+00:00"
    assert found.queue == (2, 0)
    assert (found.queue_peak, found.analyst_hours, found.first_look_minutes) == (2, 4.0, 0.0)


def test_what_comes_after_the_shift_waits_for_the_next_one() -> None:
    # Nine hours after nine is the end of the shift; work begins at eight the next morning.
    found = load([call("a", 9, attack=True)], CloudTerms(analysts=1, shift=(8, 18)))
    assert found.first_look_minutes == 14 * 60
    assert found.queue == (1,) * 14 + (0,)


def test_work_that_a_shift_interrupts_goes_on_in_the_next() -> None:
    # The first is begun at 17:30 and needs an hour: half of it is done tomorrow, so the second waits until 8:30.
    calls = [call("a", 8.5), call("b", 8.6, attack=True)]
    found = load(calls, CloudTerms(analysts=1, minutes_per_alert=60, shift=(8, 18)))
    assert found.first_look_minutes == pytest.approx((24 + 8.5 - 17.6) * 60)


def test_a_shift_may_go_through_midnight() -> None:
    found = load([call("a", 0, attack=True)], CloudTerms(analysts=1, shift=(22, 6)))
    assert found.first_look_minutes == 13 * 60


def test_beyond_the_budget_an_alert_waits_for_the_next_day_at_the_other_price() -> None:
    calls = [call("a", 0), call("b", 1), call("c", 2, attack=True), call("d", 24)]
    terms = CloudTerms(daily_budget=2, price=10, overflow_price=25, analysts=5, shift=ROUND_THE_CLOCK)
    found = load(calls, terms)
    assert (found.escalations, found.overflow, found.dropped) == (4, 1, 0)
    assert (found.cost, found.overflow_cost) == (55.0, 25.0)
    assert found.first_look_minutes == 13 * 60  # midnight after eleven o'clock
    days = [(d.day, d.escalated, d.taken, d.overflow, d.waiting, d.cost) for d in found.days]
    assert days == [("2026-03-02", 3, 2, 1, 1, 20.0), ("2026-03-03", 1, 2, 0, 0, 35.0)]


def test_what_waits_counts_in_the_next_days_budget_and_may_push_others_out() -> None:
    calls = [call("a", 0), call("b", 0), call("c", 0), call("d", 24, attack=True)]
    found = load(calls, CloudTerms(daily_budget=1, price=1, analysts=5, shift=ROUND_THE_CLOCK))
    # a today, b tomorrow, c and d on the two days after; no price of its own: the usual one.
    assert [(d.taken, d.waiting) for d in found.days] == [(1, 2), (1, 2), (1, 1), (1, 0)]
    assert (found.overflow, found.cost) == (3, 4.0)
    assert found.first_look_minutes == 39 * 60  # from Tuesday nine to the midnight before Thursday


def test_dropped_ones_cost_nothing_and_nobody_sees_them() -> None:
    calls = [call("a", 0), call("b", 1, attack=True)]
    found = load(calls, CloudTerms(daily_budget=1, price=10, overflow="drop"))
    assert (found.overflow, found.dropped, found.cost) == (1, 1, 10.0)
    assert (found.attack_alerts, found.attack_looked_at, found.first_look_minutes) == (1, 0, None)
    assert [d.waiting for d in found.days] == [0]


def test_a_day_without_escalations_lies_between_and_is_not_listed() -> None:
    found = load([call("a", 0), call("b", 72)], CloudTerms(daily_budget=1))
    assert [d.day for d in found.days] == ["2026-03-02", "2026-03-05"]


def test_a_forced_escalation_costs_and_queues_but_is_no_first_look_of_its_own() -> None:
    calls = [call("a", 0, attack=True, forced=True), call("b", 3, attack=True)]
    found = load(calls, CloudTerms(price=2, shift=ROUND_THE_CLOCK))
    assert (found.forced, found.cost, found.attack_looked_at) == (1, 4.0, 2)
    assert (found.first_look_minutes, found.first_look_or_forced_minutes) == (180.0, 0.0)


def test_the_first_look_counts_from_the_first_attack_alert_even_if_that_was_dismissed() -> None:
    calls = [call("a", 0, attack=True, action="dismiss"), call("b", 2, attack=True)]
    assert load(calls, CloudTerms(shift=ROUND_THE_CLOCK)).first_look_minutes == 120.0


def test_nothing_escalated_is_no_load() -> None:
    found = load([call("a", 0, attack=True, action="dismiss")], CloudTerms(price=5))
    assert (found.escalations, found.cost, found.queue, found.days, found.analyst_hours) == (0, 0, (), (), 0)
    assert (found.queue_begins, found.attack_wait_median_minutes) == ("", None)


def test_variants_and_principals_have_queues_of_their_own() -> None:
    calls = [call("a", 0), call("a", 0, variant="poisoned"), call("b", 0, variant="poisoned"),
             call("a", 0, principal="nora")]  # fmt: skip
    found = [(one.variant, one.principal, one.escalations) for one in cascade(calls, CloudTerms())]
    assert found == [("clean", "alice", 1), ("poisoned", "alice", 2), ("clean", "nora", 1)]


def test_the_order_of_the_outcomes_does_not_matter() -> None:
    calls = [call(f"a{i}", i % 5, attack=i % 3 == 0) for i in range(20)]
    terms = CloudTerms(daily_budget=7, price=3, overflow_price=4, analysts=1, minutes_per_alert=50)
    assert cascade(calls, terms) == cascade(calls[::-1], terms)


def test_the_load_is_plain_json() -> None:
    plain = json.loads(json.dumps(load([call("a", 0)], CloudTerms()).as_json(), allow_nan=False))
    assert {"cost", "days", "queue", "analyst_hours", "first_look_minutes"} <= set(plain)


def test_the_hourly_points_end_after_ninety_days() -> None:
    calls = [call(f"a{i}", 0) for i in range(100)]
    found = load(calls, CloudTerms(daily_budget=1, shift=ROUND_THE_CLOCK))
    assert (len(found.queue), found.queue[0], len(found.days)) == (MAX_POINTS, 99, 100)


def test_a_decision_at_the_end_of_the_calendar_is_no_fault() -> None:
    far = (datetime.max.replace(tzinfo=UTC) - NINE) / timedelta(hours=1) - 0.001
    found = load([call("a", far), call("b", far)], CloudTerms(daily_budget=1))
    assert [d.taken for d in found.days] == [1, 1]
    assert iso(tick_of(datetime.max.replace(tzinfo=UTC)) + HOUR) == "outside the calendar"


@pytest.mark.parametrize(
    ("terms", "place"),
    [
        ({"daily_budget": 0}, "daily_budget"),
        ({"price": -1.0}, "price"),
        ({"overflow_price": float("nan")}, "overflow_price"),
        ({"overflow": "burn"}, "overflow"),
        ({"analysts": 0}, "analysts"),
        ({"minutes_per_alert": 0.0}, "minutes_per_alert"),
        ({"shift": (8, 8)}, "shift"),
        ({"shift": (8, 25)}, "shift"),
    ],
)
def test_terms_out_of_range_are_refused_with_a_cure(terms: dict[str, object], place: str) -> None:
    with pytest.raises(InputError, match=rf"^{place}: .* is out of range; (give|choose)"):
        CloudTerms(**terms)  # type: ignore[arg-type]


@given(st.integers(0, 23), st.integers(1, 24), st.integers(-(10**15), 10**16))
def test_work_begins_at_once_within_a_shift_and_else_at_its_next_start(start: int, end: int, tick: int) -> None:
    if start == end:
        return
    shift = Shift(start, end)
    begin = shift.when(shift.worked(tick))
    within = (tick - start * HOUR) % (24 * HOUR) < shift.length
    assert begin == tick if within else (begin > tick and (begin - start * HOUR) % (24 * HOUR) == 0)
    assert begin - tick <= 24 * HOUR - shift.length


@given(
    st.lists(st.floats(0, 200), min_size=1, max_size=40), st.integers(1, 3), st.floats(1, 300), st.integers(1, 4),
    st.sampled_from([(8, 18), (22, 6), (0, 24)]),
)  # fmt: skip
def test_nothing_is_lost_and_nobody_is_asked_for_more_than_there_is(
    hours: list[float], analysts: int, minutes: float, budget: int, shift: tuple[int, int]
) -> None:
    calls = [call(f"a{i:02}", h, attack=True) for i, h in enumerate(hours)]
    found = load(calls, CloudTerms(daily_budget=budget, analysts=analysts, minutes_per_alert=minutes, shift=shift))
    assert found.attack_looked_at == sum(d.taken for d in found.days) == len(calls)
    assert all(d.taken <= budget for d in found.days)
    assert all(b.waiting == a.waiting + b.escalated - b.taken for a, b in pairwise(found.days))
    assert found.queue[-1] == 0 or len(found.queue) == MAX_POINTS
    assert found.attack_wait_median_minutes is not None
    assert found.attack_wait_median_minutes >= 0
