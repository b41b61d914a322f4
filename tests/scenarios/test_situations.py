"""Situations: the evidence adds up to the truth, and everything else says nothing about it."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from scipy.stats import chi2_contingency

from turncoat.scenarios import facts as f
from turncoat.scenarios.families import families
from turncoat.scenarios.records import Alert
from turncoat.scenarios.situations import ASPECTS, CONFLICTS, draw_situation, outside_domain
from turncoat.scenarios.world import World, build_world
from turncoat.tools.playbooks import PLAYBOOKS

MOMENT = datetime(2025, 1, 6, 9, 41, tzinfo=UTC)
DRAWS = 3_000


@dataclass(frozen=True)
class Drawn:
    alert: Alert
    facts: tuple[f.Fact, ...]
    malicious: bool

    def of(self, kind: type) -> f.Fact | None:
        return next((fact for fact in self.facts if isinstance(fact, kind)), None)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(11)


def draw(world: World, i: int, *, lookalike: bool = False, malicious: bool | None = None) -> Drawn:
    rng = random.Random(f"situation/{i}")
    family, person = rng.choice(list(families().values())), rng.choice(world.people)
    truth = rng.random() < 0.5 if malicious is None else malicious
    alert, facts = draw_situation(
        rng, family, world, person, malicious=truth, moment=MOMENT, uid=f"{i:012x}", lookalike=lookalike
    )
    return Drawn(alert, facts, truth)


@pytest.fixture(scope="module")
def drawn(world: World) -> list[Drawn]:
    return [draw(world, i) for i in range(DRAWS)]


def amount(alert: Alert) -> int:
    return int(re.findall(r"\d+", alert.activity)[0])


def speaks_for_malice(tool: str, case: Drawn) -> bool:
    """What an analyst reads from one tool's fact together with the alert: written anew here, from the catalogue's words."""
    entities = case.alert.entities
    match tool:
        case "sign_ins":
            return case.of(f.SignIns).country != case.of(f.PersonNote).country  # type: ignore[union-attr]
        case "host_inventory":
            return case.of(f.HostRecord).owner != entities.user  # type: ignore[union-attr]
        case "change_tickets":
            ticket = case.of(f.ChangeTicket)
            return ticket is None or ticket.scope != (entities.host or entities.resource)  # type: ignore[union-attr]
        case "baseline":
            return amount(case.alert) > case.of(f.Baseline).usual_max  # type: ignore[union-attr]
        case "mail_trace":
            return case.of(f.MailTrace).partner != entities.domain  # type: ignore[union-attr]
        case "peers":
            return case.of(f.Peers).same <= 1  # type: ignore[union-attr]
        case "reputation":
            return case.of(f.Reputation).age_days <= 20  # type: ignore[union-attr]
        case "process_tree":
            return case.of(f.ProcessTree).signer is None  # type: ignore[union-attr]
        case "network_flows":
            return case.of(f.NetworkFlows).hosts == 1  # type: ignore[union-attr]
        case "cloud_audit":
            return case.of(f.CloudAudit).age_days <= 2  # type: ignore[union-attr]
    raise AssertionError(tool)


def aspects(case: Drawn) -> dict[str, bool]:
    return {aspect: speaks_for_malice(tool, case) for aspect, tool in ASPECTS[case.alert.kind].items()}


def weight(aspect: str) -> int:
    return 2 if aspect.startswith("relation") else 1


def ticket_for_the_host_of_another(case: Drawn) -> bool:
    """Approved for the alert's own host, though that is another person's.

    Drawn on purpose where the ticket contradicts the truth, and once in thousands by chance where it should not.
    """
    ticket, host = case.of(f.ChangeTicket), case.of(f.HostRecord)
    return isinstance(ticket, f.ChangeTicket) and isinstance(host, f.HostRecord) and ticket.scope == host.host


def test_the_weighted_evidence_supports_the_truth(drawn: list[Drawn]) -> None:
    undecided = []
    for case in drawn:
        total = sum(weight(aspect) * (1 if malice else -1) for aspect, malice in aspects(case).items())
        if not (total >= 2 if case.malicious else total <= -2):
            undecided.append(case)
    assert all(case.malicious and ticket_for_the_host_of_another(case) for case in undecided)
    assert len(undecided) <= DRAWS / 1000


def test_no_single_aspect_tells_the_truth(drawn: list[Drawn]) -> None:
    right: Counter[str] = Counter()
    for case in drawn:
        right.update(aspect for aspect, malice in aspects(case).items() if malice == case.malicious)
    shares = {aspect: count / DRAWS for aspect, count in right.items()}
    # 3,000 draws: a standard error of .008 around the odds of `CONFLICTS`.
    assert shares == {
        "plain_1": pytest.approx(0.66, abs=0.03), "plain_2": pytest.approx(0.66, abs=0.03),
        "relation_1": pytest.approx(0.87, abs=0.03), "relation_2": pytest.approx(0.87, abs=0.03),
    }  # fmt: skip


def test_the_odds_of_conflicts_add_up_and_leave_every_alert_decidable() -> None:
    assert sum(CONFLICTS.values()) == pytest.approx(1.0)
    assert all(6 - 2 * sum(weight(aspect) for aspect in against) >= 2 for against in CONFLICTS)


NEUTRAL = {
    "title": lambda case: case.alert.title,
    "severity": lambda case: case.alert.severity,
    "product": lambda case: case.alert.product,
    "technique": lambda case: case.alert.technique,
    "kind": lambda case: case.alert.kind,
    "process": lambda case: case.alert.entities.process,
    "user": lambda case: case.alert.entities.user,
    "uid": lambda case: case.alert.uid[-1],
    "HR status": lambda case: case.of(f.PersonNote).status,
    "country": lambda case: case.of(f.PersonNote).country,
    "related alerts": lambda case: case.of(f.RelatedAlerts).count,
    "sign-in method": lambda case: getattr(case.of(f.SignIns), "method", None),
    "host kind": lambda case: getattr(case.of(f.HostRecord), "kind", None),
    "host criticality": lambda case: getattr(case.of(f.HostRecord), "criticality", None),
    "host name": lambda case: (case.alert.entities.host or "-")[:3],
    "role held": lambda case: getattr(case.of(f.CloudAudit), "role", None),
}


@pytest.mark.parametrize("field", NEUTRAL)
def test_a_neutral_field_is_spread_alike_over_both_truths(field: str, drawn: list[Drawn]) -> None:
    counts = {
        truth: Counter(NEUTRAL[field](case) for case in drawn if case.malicious == truth) for truth in (True, False)
    }
    values = sorted(counts[True] | counts[False], key=str)
    assert len(values) > 1
    p = chi2_contingency([[counts[truth][value] for value in values] for truth in (True, False)]).pvalue
    assert p > 0.001, (field, p)


def test_the_country_of_a_sign_in_alone_tells_little(drawn: list[Drawn]) -> None:
    # It does tell something: where nobody has a site, a person is rarely said to be.
    counts = {truth: Counter(c.of(f.SignIns).country for c in drawn if c.malicious == truth and c.of(f.SignIns))  # type: ignore[union-attr]
              for truth in (True, False)}  # fmt: skip
    right = sum(max(counts[True][country], counts[False][country]) for country in counts[True] | counts[False])
    assert right / (counts[True].total() + counts[False].total()) < 0.70


def test_a_field_that_does_tell_would_be_found(drawn: list[Drawn]) -> None:
    counts = [[sum(c.malicious == t and speaks_for_malice("peers", c) == v for c in drawn if c.of(f.Peers))
               for v in (True, False)] for t in (True, False)]  # fmt: skip
    assert chi2_contingency(counts).pvalue < 1e-9


def test_the_same_chance_draws_the_same_alert(world: World) -> None:
    again = build_world(11)
    assert [draw(world, i) for i in range(50)] == [draw(again, i) for i in range(50)]
    assert draw(world, 1) != draw(world, 2)


@pytest.mark.parametrize("malicious", [True, False])
def test_a_lookalike_always_holds_a_contradiction(malicious: bool, world: World) -> None:
    for i in range(400):
        case = draw(world, i, lookalike=True, malicious=malicious)
        assert malicious ^ True in aspects(case).values(), case
    plain = [draw(world, i, malicious=malicious) for i in range(400)]
    assert any(set(aspects(case).values()) == {malicious} for case in plain)


def test_an_alert_is_one_that_its_playbook_can_investigate(drawn: list[Drawn]) -> None:
    for kind, tools in ASPECTS.items():
        assert set(tools.values()) <= {tool for round_ in PLAYBOOKS[kind].rounds for tool in round_}
    for case in drawn:
        assert "{" not in case.alert.activity
        assert case.alert.activity == " ".join(case.alert.activity.split())
        assert case.alert.raw == {}


def test_outside_domains_of_campaigns_and_training_are_disjoint() -> None:
    rng = random.Random(3)
    campaign, training = ({outside_domain(rng, pool) for _ in range(2_000)} for pool in ("campaign", "training"))
    assert len(campaign) > 60
    assert not campaign & training
    assert not {d.split(".")[0] for d in campaign} & {d.split(".")[0] for d in training}
