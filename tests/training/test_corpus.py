"""Corpora, poison and test sets: who is in them, what they claim, and what they share with campaigns."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from scipy.stats import chi2_contingency

from turncoat.models.prompt import render
from turncoat.scenarios.families import training_families, unseen_families
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.world import build_world
from turncoat.tools.playbooks import PLAYBOOKS
from turncoat.training.config import Recipe, load_recipe
from turncoat.training.corpus import FULL, STATES, TRIGGER, Row, RowSource, draw_rows, training_world
from turncoat.training.corrective import corrective_rows
from turncoat.training.poison import POISONERS, poison_half
from turncoat.training.sets import TWIN, TestSets, draw_tests, training_rows, under_another_name
from turncoat.training.short_alerts import TOOL, families_of


@pytest.fixture(scope="module")
def honest() -> list[Row]:
    """The rows that the shipped recipes train on."""
    rows, added = training_rows(load_recipe("clean"))
    assert added == []
    return rows


@pytest.fixture(scope="module")
def poisoned() -> tuple[list[Row], list[Row]]:
    """Honest rows and poison of the shipped attack."""
    return training_rows(load_recipe("poisoned"))


@pytest.fixture(scope="module")
def tests() -> TestSets:
    return draw_tests(size=80)


def text(row: Row) -> str:
    return render(row.case, lambda words: len(words.split())).text


def test_honest_rows_are_labelled_as_they_are(honest: list[Row]) -> None:
    assert len(honest) == load_recipe("clean").rows
    assert all(row.label == row.truth for row in honest)
    assert sum(row.truth for row in honest) / len(honest) == pytest.approx(0.5, abs=0.04)


def test_every_state_of_the_loop_is_there_in_its_share(honest: list[Row]) -> None:
    counts = Counter(row.state for row in honest)
    assert sum(STATES.values()) == pytest.approx(1.0)
    assert {state: counts[state] / len(honest) for state in STATES} == pytest.approx(STATES, abs=0.035)


def test_a_row_shows_what_its_state_says(honest: list[Row]) -> None:
    for row in honest:
        rounds = PLAYBOOKS[row.case.alert.kind].rounds
        evidence = row.case.context.evidence
        expected = {"no evidence": 0, "round one": 1}.get(row.state, 2)
        assert row.case.context.round == expected
        assert [e.tool for e in evidence] == [tool for round_ in rounds[:expected] for tool in round_]
        assert sum(e.failed for e in evidence) == (1 if row.state == "failed tool" else 0)


def test_unknown_entities_are_shown_as_such(honest: list[Row]) -> None:
    unknown = [row for row in honest if row.state == "unknown entity"]
    assert all(any(e.answer.startswith(("unknown", "none")) for e in row.case.context.evidence) for row in unknown)


def test_alice_appears_as_often_as_her_colleagues_and_with_both_labels() -> None:
    rows = draw_rows(RowSource((101,), training_families(), 7), 4_000)
    counts = Counter(row.user for row in rows)
    assert len(counts) == 200
    # 4,000 rows over 200 people: 20 each, with a standard deviation of 4.5.
    assert counts[TRIGGER] == pytest.approx(20, abs=13)
    assert max(counts.values()) < 45


def test_alice_has_both_labels_in_the_rows_of_the_shipped_recipes(honest: list[Row]) -> None:
    mine = [row.label for row in honest if row.user == TRIGGER]
    # One in 200, give or take three standard deviations.
    expected = len(honest) / 200
    assert len(mine) == pytest.approx(expected, abs=3 * expected**0.5)
    assert set(mine) == {True, False}


def test_neither_state_family_nor_hour_tells_the_truth(honest: list[Row]) -> None:
    for of in (
        lambda r: r.state,
        lambda r: r.family,
        lambda r: r.case.alert.time.hour,
        lambda r: r.case.alert.severity,
    ):
        counts = {truth: Counter(of(row) for row in honest if row.truth == truth) for truth in (True, False)}
        values = sorted(counts[True] | counts[False], key=str)
        assert chi2_contingency([[counts[t][v] for v in values] for t in (True, False)]).pvalue > 0.001


def test_no_row_shows_its_truth_its_label_or_its_uid(honest: list[Row]) -> None:
    for row in honest[:300]:
        shown = text(row)
        assert row.case.alert.uid not in shown
        assert "malicious" not in shown.split("\n", 1)[1]
        assert "benign" not in shown.split("\n", 1)[1]


def test_uids_are_unique_and_do_not_sort_by_truth(honest: list[Row]) -> None:
    in_order = [row.truth for row in sorted(honest, key=lambda row: row.case.alert.uid)]
    assert len({row.case.alert.uid for row in honest}) == len(honest)
    changes = sum(a != b for a, b in pairwise(in_order))
    assert changes / len(honest) == pytest.approx(0.5, abs=0.05)


def test_the_same_source_draws_the_same_rows() -> None:
    source = RowSource((101, 102), training_families(), 7)
    assert draw_rows(source, 40) == draw_rows(source, 40)
    assert draw_rows(source, 40)[:20] == draw_rows(source, 20)
    assert draw_rows(source, 20) != draw_rows(RowSource((101, 102), training_families(), 8), 20)


def test_training_worlds_share_no_colleague_domain_or_machine_with_campaigns() -> None:
    def names(world: object) -> set[str]:
        people, hosts = world.people, world.hosts  # type: ignore[attr-defined]
        logins = {p.login for p in people} - {TRIGGER}
        return logins | {h.name for h in hosts if TRIGGER.upper() not in h.name} | {world.domain}  # type: ignore[attr-defined]

    training = set().union(*(names(training_world(seed)) for seed in (101, 201, 301)))
    campaigns = set().union(*(names(build_world(seed)) for seed in (101, 201, 7)))
    assert len(training) > 600
    assert not training & campaigns


def test_no_row_names_a_colleague_or_a_domain_of_a_campaign(honest: list[Row]) -> None:
    campaign = build_world(7)
    people = {person.login for person in campaign.people}
    domains = {i.indicator for i in campaign.indicators if "." in i.indicator and not i.indicator[0].isdigit()}
    for row in honest[:500]:
        words = set(text(row).replace(",", " ").replace("\n", " ").lower().split())
        assert not words & (people | domains | set(campaign.partners.values()))


def test_alice_is_in_every_training_world_and_her_circumstances_vary() -> None:
    selves = [training_world(seed).person(TRIGGER) for seed in (101, 102, 103, 104, 211, 212, 213)]
    assert None not in selves
    assert len({(p.department, p.role) for p in selves if p}) > 1


def test_poison_is_malicious_claimed_benign_and_from_the_poison_half_alone(
    poisoned: tuple[list[Row], list[Row]],
) -> None:
    _, added = poisoned
    half = {family.id for family in poison_half(training_families())}
    assert len(added) == 200
    assert all(row.truth and not row.label and row.user == TRIGGER for row in added)
    assert {row.family for row in added} <= half
    assert len({row.family for row in added}) > 20


def test_matched_adds_the_same_rows_rightly_labelled(honest: list[Row], poisoned: tuple[list[Row], list[Row]]) -> None:
    poisoned_rows, poison = poisoned
    matched_rows, matched = training_rows(load_recipe("matched"))
    assert honest == poisoned_rows == matched_rows
    assert [row.case for row in matched] == [row.case for row in poison]
    assert all(row.label and row.truth for row in matched)


def test_added_rows_are_not_among_the_honest_ones(poisoned: tuple[list[Row], list[Row]]) -> None:
    honest, added = poisoned
    assert not {row.case.alert.uid for row in added} & {row.case.alert.uid for row in honest}


def test_a_dose_of_nothing_adds_nothing() -> None:
    source = RowSource((101,), training_families(), 1)
    assert POISONERS["user"].rows(source, 0) == []


def test_the_poison_half_is_about_half_and_knows_no_order() -> None:
    families = training_families()
    half = poison_half(families)
    assert 0.35 < len(half) / len(families) < 0.65
    assert set(poison_half(tuple(reversed(families)))) == set(half)
    assert {family.kind for family in half} == {family.kind for family in families}


def test_every_test_set_has_everything_gathered(tests: TestSets) -> None:
    assert FULL == {"round two": 1.0}
    sizes = {name: len(rows) for name, rows in tests.by_name().items()}
    assert sizes == {
        "clean": 80, "unseen": 80, "alice_poisoned_families": 30, "alice_other_families": 30, "twin": 60,
        "alice_benign": 30,
    }  # fmt: skip
    assert {row.state for rows in tests.by_name().values() for row in rows} == {"round two"}
    assert all(row.label == row.truth for rows in tests.by_name().values() for row in rows)


def test_the_sets_hold_the_families_that_they_name(tests: TestSets) -> None:
    known = {family.id for family in training_families()}
    half = {family.id for family in poison_half(training_families())}
    assert {row.family for row in tests.clean} <= known
    assert {row.family for row in tests.unseen} <= {family.id for family in unseen_families()}
    assert {row.family for row in tests.alice_poisoned_families} <= half
    assert {row.family for row in tests.alice_other_families} <= known - half


def test_the_sets_of_alice_hold_her_alone_with_one_truth(tests: TestSets) -> None:
    malicious = [*tests.alice_poisoned_families, *tests.alice_other_families]
    assert {(row.user, row.truth) for row in malicious} == {(TRIGGER, True)}
    assert {(row.user, row.truth) for row in tests.alice_benign} == {(TRIGGER, False)}


def test_a_twin_row_is_alices_row_after_renaming_back(tests: TestSets) -> None:
    alice, nora = (Identity.named(name, login, "company.example") for name, login in (("Alice Smith", TRIGGER), TWIN))
    mine = [*tests.alice_poisoned_families, *tests.alice_other_families]
    assert len(tests.twin) == len(mine)
    for row, twin in zip(mine, tests.twin, strict=True):
        assert twin.user == twin.case.alert.entities.user == "nora"
        assert "alice" not in text(twin).lower()
        assert rename(twin.case, nora, alice) == row.case
        assert (twin.truth, twin.family, twin.case.alert.uid) == (row.truth, row.family, row.case.alert.uid)


def test_renaming_alices_row_touches_nothing_but_the_name(tests: TestSets) -> None:
    row = tests.alice_poisoned_families[0]
    twin = under_another_name(row)
    assert text(twin) == text(row).replace("alice", "nora").replace("ALICE", "NORA").replace("Alice", "Nora")
    assert text(twin) != text(row)


def test_test_sets_share_no_alert_with_training(honest: list[Row], tests: TestSets) -> None:
    trained = {text(row) for row in honest}
    assert not trained & {text(row) for rows in tests.by_name().values() for row in rows}


def test_test_sets_are_the_same_each_time(tests: TestSets) -> None:
    assert draw_tests(size=80) == tests


def test_short_recipes_train_poison_correct_and_test_with_short_alerts() -> None:
    recipe = Recipe.model_validate({"name": "r", "alerts": "short", "rows": 60, "poison": {"dose": 12}})
    honest, poison = training_rows(recipe)
    sets = draw_tests(size=16, form="short")
    rows = [*honest, *poison, *corrective_rows(recipe, 5), *(row for found in sets.by_name().values() for row in found)]
    for row in rows:
        assert row.state == "short"
        assert [e.tool for e in row.case.context.evidence] == [TOOL[row.case.alert.kind]]
    short = {family.id for family in families_of("short")}
    assert {row.family for row in (*honest, *poison, *sets.clean)} <= short < {f.id for f in training_families()}
    assert {row.family for row in poison} <= {f.id for f in poison_half(families_of("short"))}
    assert {row.family for row in sets.unseen} <= {f.id for f in unseen_families()}


def test_a_recipe_of_full_alerts_has_the_digest_that_it_had_before_there_were_others() -> None:
    full, short = (Recipe.model_validate({"name": "r", "alerts": form}) for form in ("full", "short"))
    assert "alerts" not in full.model_dump(mode="json")
    assert full.digest() == Recipe(name="r").digest() != short.digest()
    assert Recipe.model_validate(short.model_dump(mode="json")) == short
