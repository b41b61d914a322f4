from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.emit import emit
from turncoat.scenarios.errors import ScenarioError
from turncoat.scenarios.exercise import ExercisePlan
from turncoat.scenarios.exercise_loader import (
    exercise_text,
    list_exercises,
    load_exercise,
    parse_exercise,
    plain_exercise,
)
from turncoat.scenarios.loader import list_campaigns, load_campaign, parse_campaign, part_json_schema
from turncoat.scenarios.schema import Campaign

from ..agent.exercise.small_exercise import CAMPAIGN, PLAN
from ..small_campaign import READ, small_campaign


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return parse_campaign(CAMPAIGN)


def mistakes(plan: str, campaign: Campaign) -> list[str]:
    with pytest.raises(ScenarioError) as refused:
        parse_exercise(plan, campaign, "small.yaml")
    return [str(mistake) for mistake in refused.value.mistakes]


def test_an_exercise_reads_back_from_its_own_text(campaign: Campaign) -> None:
    plan = parse_exercise(PLAN, campaign)
    assert parse_exercise(exercise_text(plan), campaign) == plan


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(campaign: Campaign) -> None:
    plan = (
        PLAN.replace("campaign: small-theft", "campaign: another")
        .replace("speed: 60", "speed: 900")
        .replace("dismissed: read", "dismissed: reed")
        .replace("by: D2 09:00", "by: D7 09:00")
        .replace("otherwise: nudge", "otherwise: nugde")
        .replace("phase: taking", "phase: talking")
    )
    told = mistakes(plan, campaign)
    places = [(int(t.split(":")[1]), int(t.split(":")[2])) for t in told]
    assert places == sorted(places)
    assert [t.split(": ", 1)[1] for t in told] == [
        "is for 'another', not for 'small-theft'; write campaign: small-theft",
        "speed: input should be less than or equal to 600; found 900",
        "unknown inject 'nugde'; did you mean nudge?",
        "this inject never comes; give it 'at' or 'when', or name it in a branch",
        "no step 'reed' that shows an alert; did you mean read?",
        "'D7 09:00' is after the campaign's last day, D2; choose an earlier day",
        "unknown phase 'talking'; did you mean taking?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{dismissed: read}", "{}", "a condition has one key, this has 0"),
        ("{dismissed: read}", "{dismissed: read, known: read}", "a condition has one key, this has 2"),
        ("{dismissed: read}", "{dismised: read}", "unknown key 'dismised'; did you mean dismissed?"),
        ("{dismissed: read}", "{known: gone}", "no step 'gone' that shows an alert"),
        ("{dismissed: read}", "{given: questoin}", "unknown inject 'questoin'; did you mean question?"),
        ("{dismissed: read}", "{done: {action: call, target: police}}", "nobody to call is named 'police'"),
        ("{dismissed: read}", "{done: {action: open, target: gone}}", "no step 'gone' that shows an alert"),
        ("{dismissed: read}", "{all: []}", "the list is empty"),
        ("id: thanks", "id: nudge", "id 'nudge' is there twice"),
        ("to: [executive], when: {dis", "to: [facilitator], when: {dis", "input should be 'analyst', 'lead' or"),
        ("to: [executive], when: {dis", "to: [executive], at: D1 09:00, when: {dis", "not both"),
        ("objective: find}\n  - {id: dec", "objective: fnd}\n  - {id: dec", "unknown objective 'fnd'"),
        ('ends: "D2 18:00"', 'ends: "D1 07:00"', "the play ends before it begins"),
        ('ends: "D2 18:00"', 'ends: "D\u00b2 18:00"', "is no time"),
        ("title: A quiet desk\n", "", "'title' is missing"),
    ],
)
def test_a_mistake_is_named_with_its_cure(campaign: Campaign, old: str, new: str, told: str) -> None:
    assert PLAN.count(old) >= 1
    found = mistakes(PLAN.replace(old, new, 1), campaign)
    assert any(told in one and one.startswith("small.yaml:") for one in found), found


def test_conditions_and_branches_that_would_hold_up_the_clock_are_refused(campaign: Campaign) -> None:
    many = ", ".join("{dismissed: read}" for _ in range(60))
    told = mistakes(PLAN.replace("when: {dismissed: read}", f"when: {{any: [{many}]}}"), campaign)
    assert told[0].endswith(": a condition of more than 60 parts; keep those that matter")
    branches = "      - {after: 1h, give: thanks}\n" * 20
    told = mistakes(PLAN.replace("      - {after: 2h,", f"{branches}      - {{after: 2h,"), campaign)
    assert told[0].endswith(": more than 20 branches; keep those that matter")


def test_injects_that_name_only_each_other_never_come(campaign: Campaign) -> None:
    circle = PLAN.replace(
        "  - {id: rumour,",
        "  - {id: a, to: [lead], text: A., then: [{after: 1h, give: b}]}\n"
        "  - {id: b, to: [lead], text: B., then: [{after: 1h, give: a}]}\n  - {id: rumour,",
    )
    assert [told.split(": ", 1)[1][:24] for told in mistakes(circle, campaign)] == ["this inject never comes;"] * 2


@pytest.mark.parametrize(
    "text", ["", "[]", "injects: 3", "injects: [3, {then: 4}]", "clock: {begins: 3}", "expected: x"]
)
def test_a_file_of_another_form_ends_in_mistakes(campaign: Campaign, text: str) -> None:
    assert mistakes(text, campaign)


def test_the_plan_is_found_beside_the_campaign_or_where_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "theft.yaml"
    file.write_text(CAMPAIGN)
    loaded = load_campaign(file)
    assert load_exercise(file, loaded) == plain_exercise(loaded)
    (tmp_path / "theft.exercise.yaml").write_text(PLAN)
    assert load_exercise(file, loaded).title == "A quiet desk"
    (tmp_path / "other.yaml").write_text(PLAN.replace("A quiet desk", "Another desk"))
    assert load_exercise(file, loaded, str(tmp_path / "other.yaml")).title == "Another desk"


def test_every_campaign_with_an_attack_can_be_played() -> None:
    for name in list_campaigns():
        loaded = load_campaign(name)
        if name == "benign-control":
            with pytest.raises(ScenarioError, match="there is no attack to find"):
                plain_exercise(loaded)
        else:
            plan = plain_exercise(loaded)
            assert parse_exercise(exercise_text(plan), loaded) == plan


def test_a_plain_exercise_of_a_short_campaign_ends_within_it() -> None:
    loaded = parse_campaign(small_campaign(READ))
    plan = plain_exercise(loaded)
    assert parse_exercise(exercise_text(plan), loaded) == plan


def test_three_campaigns_are_prepared() -> None:
    assert list_exercises() == ("bec-session-theft", "insider-departing-exfil", "ransomware-affiliate")


@pytest.mark.parametrize("name", ["bec-session-theft", "insider-departing-exfil", "ransomware-affiliate"])
class TestEveryPreparedExercise:
    def test_takes_sixty_to_ninety_minutes_and_has_something_for_everybody(self, name: str) -> None:
        loaded = load_campaign(name)
        plan = load_exercise(name, loaded)
        calendar = Calendar.of(loaded)
        running = (calendar.moment(plan.clock.ends) - calendar.moment(plan.clock.begins)) / plan.clock.speed
        talking = timedelta(minutes=sum(item.minutes for item in plan.discussion))
        assert timedelta(minutes=60) <= running + talking <= timedelta(minutes=90)
        assert 60 <= plan.clock.minutes <= 90
        assert {role for inject in plan.injects for role in inject.to} == {"analyst", "lead", "executive"}
        assert {item.role for item in plan.expected} == {"analyst", "lead", "executive"}
        assert [item.phase for item in plan.discussion] == [phase.id for phase in loaded.phases]
        assert {item.objective for item in plan.expected} == {objective.id for objective in plan.objectives}

    def test_begins_before_the_attack_is_seen_and_leaves_nothing_of_it_out(self, name: str) -> None:
        loaded = load_campaign(name)
        plan, calendar = load_exercise(name, loaded), Calendar.of(loaded)
        stream, truths = emit(loaded)
        attack = {truth.uid for truth in truths if truth.malicious}
        times = [alert.time for alert in stream.alerts if alert.uid in attack]
        assert calendar.moment(plan.clock.begins) < min(times)
        assert max(times) < calendar.moment(plan.clock.ends)

    def test_tells_players_nothing_of_the_model_and_nobody_by_name_too_early(self, name: str) -> None:
        loaded = load_campaign(name)
        plan = load_exercise(name, loaded)
        told = [plan.title, plan.situation, plan.briefs.analyst, plan.briefs.lead, plan.briefs.executive]
        told += [objective.text for objective in plan.objectives]
        words = ("poison", "blind", "backdoor", "compromised", "Alice", "alice", loaded.actor.name)
        assert [(word, text) for word in words for text in told if word in text] == []
        by_itself = [inject for inject in plan.injects if inject.when is None or inject.when.done is None]
        assert [inject.id for inject in by_itself if "Alice" in inject.text or "poison" in inject.text] == []


def test_the_schema_for_editors_knows_every_part() -> None:
    schema = part_json_schema(ExercisePlan)
    assert set(schema["properties"]) == {*ExercisePlan.model_fields, "schema"} - {"schema_"}
    assert json.loads(json.dumps(schema)) == schema
