from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from turncoat.agent.policy import POLICIES, EscalationPolicy, ThresholdPolicy, open_policy
from turncoat.agent.records import ACTIONS, Decision, Settings
from turncoat.models.classifier import Case, Verdict
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert, Severity
from turncoat.tools.records import Context

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CASE = Case(Alert("03bb", AT, "t", Severity.LOW, "p", None, "data"), Context())


def verdict(p: float) -> Verdict:
    return Verdict("malicious" if p >= 0.5 else "benign", p, 0.0, "f", 10)


@pytest.mark.parametrize(("p", "action"), [(0.0, "dismiss"), (0.499, "dismiss"), (0.5, "escalate"), (1.0, "escalate")])
def test_the_threshold_itself_escalates(p: float, action: str) -> None:
    assert ThresholdPolicy().decide(CASE, verdict(p), AT).action == action


@pytest.mark.parametrize(("p", "uncertain"), [(0.1, False), (0.101, True), (0.5, True), (0.899, True), (0.9, False)])
def test_the_uncertain_band_is_open_at_both_ends(p: float, uncertain: bool) -> None:
    assert ThresholdPolicy().uncertain(verdict(p)) is uncertain


def test_the_policy_follows_the_settings() -> None:
    policy = ThresholdPolicy.under(Settings(threshold=0.7, uncertain=(0.6, 0.9)))
    assert policy.decide(CASE, verdict(0.65), AT).action == "dismiss"
    assert not policy.uncertain(verdict(0.5))


def test_an_unknown_policy_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown policy 'treshold'; known are team, threshold"):
        open_policy("treshold", Settings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": math.nan},
        {"threshold": 0.0},
        {"uncertain": (0.9, 0.1)},
        {"evidence_budget_s": math.inf},
        {"chunk": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(POLICIES))
class TestEveryPolicy:
    def test_fulfils_the_protocol_under_its_own_name(self, name: str) -> None:
        policy = open_policy(name, Settings())
        assert isinstance(policy, EscalationPolicy)
        assert policy.name == name

    @pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.7, 1.0])
    def test_decides_at_the_given_time_and_never_forces(self, name: str, p: float) -> None:
        decision = open_policy(name, Settings()).decide(CASE, verdict(p), AT)
        assert isinstance(decision, Decision)
        assert decision.action in ACTIONS
        assert (decision.forced, decision.simulated_time, decision.policy) == (False, AT, name)
        assert decision.reason

    def test_answers_alike_when_asked_twice(self, name: str) -> None:
        policy = open_policy(name, Settings())
        assert policy.decide(CASE, verdict(0.4), AT) == policy.decide(CASE, verdict(0.4), AT)
        assert policy.uncertain(verdict(0.4)) == policy.uncertain(verdict(0.4))
