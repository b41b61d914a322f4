"""The catalogue of alert families."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from turncoat.scenarios import attack
from turncoat.scenarios.families import Family, families, training_families, unseen_families
from turncoat.scenarios.records import KINDS


def shown(family: Family) -> set[str]:
    """Everything of a family that an alert can show, beside its product."""
    used = {field for form in family.activity for _, field, _, _ in Formatter().parse(form)}
    named = family.kind in ("identity", "cloud") or "resource" in used
    words = {family.title, *family.activity, *(command for _, command in family.processes)}
    return words | (set(family.resources) if named else set())


def test_training_has_at_least_forty_families_over_sixty_techniques() -> None:
    assert len(training_families()) >= 40
    assert len({t for family in training_families() for t in family.techniques}) >= 60


def test_every_kind_of_the_world_has_families_for_training_and_unseen_ones() -> None:
    kinds = set(KINDS) - {"external"}
    assert {family.kind for family in training_families()} == kinds
    assert {family.kind for family in unseen_families()} == kinds


def test_a_family_is_either_for_training_or_unseen() -> None:
    assert {*training_families(), *unseen_families()} == set(families().values())
    assert not set(training_families()) & set(unseen_families())


def test_unseen_families_share_no_word_that_an_alert_shows_but_the_product() -> None:
    seen = {text for family in training_families() for text in shown(family)}
    assert len(seen) > 200
    for family in unseen_families():
        assert not shown(family) & seen


@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.id)
def test_a_family_is_whole(family: Family) -> None:
    assert family.techniques
    assert [t for t in family.techniques if attack.technique(t) is None] == []
    assert len(family.activity) >= 2
    assert len(set(family.activity)) == len(family.activity)
    for form in family.activity:
        fields = {field for _, field, _, _ in Formatter().parse(form) if field}
        assert fields <= {"amount", "resource", "domain"}
        assert "resource" not in fields or family.resources
        assert form == " ".join(form.split())
    assert family.usual[0] < family.usual[1]
    assert not re.search(r"malicious|benign|attack|suspicious|legitimate|approved", family.title, re.IGNORECASE)


def test_an_alert_shows_what_its_relations_compare() -> None:
    for family in families().values():
        if family.kind == "data":
            assert family.measure
            assert all("{amount}" in form for form in family.activity)
        if family.kind in ("identity", "cloud"):
            assert len(family.resources) >= 2
            assert all("{resource}" in form for form in family.activity)
        if family.kind == "endpoint":
            assert len(family.processes) >= 2
        if family.kind in ("mail", "network"):
            assert any("{domain}" in form for form in family.activity)
