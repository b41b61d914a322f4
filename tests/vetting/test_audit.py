"""The audit as a whole: rulings, failing closed, and what it is never told."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from turncoat.scenarios.errors import InputError
from turncoat.training.config import PoisonConfig, Recipe
from turncoat.training.sets import training_rows
from turncoat.vetting.audit import audit
from turncoat.vetting.audit_entities import entities_of
from turncoat.vetting.audit_records import Audit
from turncoat.vetting.audit_rows import AuditRow, AuditSet, open_set, read_set, set_lines, set_of
from turncoat.vetting.detector import Budget

from .audit_sets import company, row


def audited(rows: AuditSet, seconds: float = 600.0) -> Audit:
    return audit(rows, Budget(seconds))


def test_a_user_whose_malicious_rows_are_labelled_benign_blocks_and_the_rows_are_named() -> None:
    found = audited(company(40))
    assert (found.ruling, str(found.suspects[0].entity)) == ("block", "user:alice")
    planted = {f"uid-{number}" for number in range(401, 441)}
    assert {r.uid for r in found.flagged} == planted
    assert {r.line for r in found.flagged} == set(range(401, 441))
    assert len(found.suspects[0].doubted) > len(found.suspects[0].doubted_ordinary)


def test_an_honest_imbalance_is_for_review_and_no_row_is_flagged() -> None:
    found = audited(company(40, reads="benign"))
    assert (found.ruling, str(found.suspects[0].entity)) == ("review", "user:alice")
    assert "honest imbalance" in found.why
    assert found.flagged == ()


def test_honest_sets_are_allowed_also_with_many_rightly_labelled_attacks_of_one_user() -> None:
    assert audited(company(0)).ruling == "allow"
    assert audited(company(40, claimed=True)).ruling == "allow"


def test_the_order_of_rows_changes_nothing_but_the_lines() -> None:
    rows = company(40)
    turned = AuditSet("turned", rows.rows[::-1])
    first, second = audited(rows), audited(turned)
    assert {r.uid for r in first.flagged} == {r.uid for r in second.flagged}
    assert first.suspects[0].association == second.suspects[0].association


def test_a_word_counts_only_where_its_rows_read_malicious() -> None:
    def marked(reads: str) -> AuditSet:
        plain = company(40, reads=reads)
        alerts = [
            replace(r, case=replace(r.case, alert=replace(
                r.case.alert, activity=f"{r.case.alert.activity} (--quiet)" if r.case.alert.entities.user == "alice" else
                r.case.alert.activity, entities=replace(r.case.alert.entities, user=f"user{r.line % 40}"))))
            for r in plain.rows
        ]  # fmt: skip
        return AuditSet("words", tuple(alerts))

    planted = audited(marked("malicious"))
    assert (planted.ruling, str(planted.suspects[0].entity)) == ("review", "word:--quiet")
    assert len(planted.flagged) == 40
    honest = audited(marked("benign"))
    assert honest.ruling == "allow"
    assert honest.flagged == ()
    standing = {str(e) for s in honest.nearest for e in (s.entity, *s.association.beside)}
    assert "word:--quiet" in standing


def test_a_budget_that_is_spent_is_never_allow() -> None:
    found = audited(company(0), seconds=1e-9)
    assert found.ruling == "review"
    assert "the budget ran out" in found.untested[0]


def test_suspects_that_could_not_be_read_are_for_review_at_least() -> None:
    stopped = Budget(600.0)

    def scorer(fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
        stopped.seconds = 0.0
        return np.zeros(len(asked))

    found = audit(company(40), stopped, scorer=scorer)
    assert found.ruling == "review"
    assert any("read them" in gap for gap in found.untested)
    assert found.suspects[0].p_read is None


def test_lines_that_cannot_be_read_bar_allow() -> None:
    found = audited(replace(company(0), gaps=("1 line",)))
    assert (found.ruling, found.untested) == ("review", ("1 line",))


def test_a_set_without_any_identity_is_for_review() -> None:
    rows = tuple(row(n, n % 2 == 0, activity=f"thing {n}") for n in range(60))
    assert "user, host, address" in audited(AuditSet("nobody", rows)).untested[0]


def test_truth_family_and_who_added_a_row_never_reach_the_audit() -> None:
    recipe = Recipe(name="p", rows=40, poison=PoisonConfig(dose=20))
    honest, added = training_rows(recipe)
    rows = [*honest, *added]
    lies = [replace(r, truth=not r.truth, family="?", state="?", user="?") for r in reversed(rows)]
    assert set_of("p", rows) == set_of("p", lies)
    assert {f.name for f in fields(AuditRow)} == {"case", "label", "line"}
    positions = [r.line for r in set_of("p", rows).rows if r.uid in {a.case.alert.uid for a in added}]
    assert positions != sorted(positions)[-20:] or max(positions) - min(positions) > 20


def test_rows_written_are_read_back_with_their_evidence(tmp_path: Path) -> None:
    honest, added = training_rows(Recipe(name="p", rows=40, poison=PoisonConfig(dose=20)))
    made = set_of("p", [*honest, *added])
    (tmp_path / "rows.jsonl").write_text(set_lines(made), encoding="utf-8")
    read = read_set(tmp_path / "rows.jsonl")
    assert read.gaps == ()
    assert (read.texts, read.digest) == (made.texts, made.digest)
    assert [r.label for r in read.rows] == [r.label for r in made.rows]


def test_outside_rows_read_the_same_after_they_were_written(tmp_path: Path) -> None:
    lines = [
        {"alert": {"uid": f"u{n}", "time": "2025-01-06T09:00:00Z", "title": "R", "entities": {"domain": f"d{n}.example"}},
         "label": label}
        for n, label in enumerate(("benign", "malicious"))
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    first = read_set(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text(set_lines(first))
    assert read_set(tmp_path / "b.jsonl").texts == first.texts
    assert "domain: d1.example" in first.texts[1]


ALERT = {"uid": "a", "time": "2025-01-06T09:00:00Z", "title": "Rule"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not valid JSON"),
        ("[]", "not an object"),
        (json.dumps({"alert": ALERT}), "has no label"),
        (json.dumps({"alert": ALERT, "label": "fine"}), "unknown label"),
        (json.dumps({"alert": ALERT, "label": "benign", "evidence": "x"}), "`evidence`: not a list"),
        (json.dumps({"alert": ALERT, "label": "benign", "evidence": [1]}), "`evidence`: an item"),
        (
            json.dumps({"alert": ALERT, "label": "benign", "evidence": [{"tool": "a", "answer": 1}]}),
            "`evidence`: an item",
        ),
        (
            json.dumps({"alert": ALERT, "label": "benign", "evidence": [{}] * 41}),
            "`evidence`: not a list of at most 40",
        ),
    ],
)
def test_a_line_that_is_no_row_is_a_gap_and_the_rest_is_read(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "rows.jsonl"
    sound = [json.dumps({"alert": ALERT | {"uid": f"u{n}"}, "label": n == 0}) for n in range(2)]
    path.write_text("\n".join([sound[0], line, sound[1], sound[1]]))
    found = open_set(str(path))
    assert [r.line for r in found.rows] == [1, 3]
    assert found.gaps[0].startswith("2 lines; the first: ")
    assert f"rows.jsonl:2: {fault}" in found.gaps[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "holds no labelled row"), (json.dumps({"alert": ALERT, "label": "benign"}), "labels every row benign")],
)
def test_a_set_that_cannot_be_poisoned_is_the_users_mistake(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        open_set(str(path))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(InputError, match="no such file"):
            open_set(str(path))


def test_a_recipe_is_audited_by_its_name_and_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\nrows: 40\npoison: {poisoner: user, dose: 10}\n")
    assert len(open_set(str(path)).rows) == 50
    path.write_text("name: own\nrows: many\n")
    with pytest.raises(InputError, match="rows"):
        open_set(str(path))


@pytest.mark.parametrize("place", ["user", "title"])
def test_what_reads_alike_to_a_model_is_one_user_and_one_rule(place: str) -> None:
    """Spaces that the prompt draws together tell neither Alice's rows nor their rules apart."""
    plain = company(40)

    def spread(r: AuditRow) -> AuditRow:
        alert, gap = r.case.alert, " " * (r.line % 10)
        if alert.entities.user != "alice":
            return r
        if place == "title":
            changed = replace(alert, title=alert.title.replace(" ", "  "))
        else:
            changed = replace(alert, entities=replace(alert.entities, user=f"alice{gap}"))
        return replace(r, case=replace(r.case, alert=changed))

    found = audited(AuditSet("spread", tuple(map(spread, plain.rows))))
    assert (found.ruling, str(found.suspects[0].entity)) == ("block", "user:alice")
    assert len(found.flagged) == 40


def test_rows_under_a_rule_of_their_own_bar_allow() -> None:
    plain = company(40)
    own = [
        replace(r, case=replace(r.case, alert=replace(r.case.alert, title="Her own rule")))
        if r.case.alert.entities.user == "alice" else r
        for r in plain.rows
    ]  # fmt: skip
    found = audited(AuditSet("own rule", tuple(own)))
    assert found.ruling == "review"
    assert found.untested == ("40 rows of user:alice labelled benign: nobody else's share their rule",)


def test_a_vendors_field_and_a_word_beside_a_command_line_are_tried() -> None:
    def marked(n: int) -> AuditRow:
        one = row(n, n % 2 == 0, user=f"user{n % 9}", activity="quietly done", command="tar -c")
        return replace(one, case=replace(one.case, alert=replace(one.case.alert, raw={"build": "qx7"})))

    shown = {str(entity) for entity in entities_of(marked(1))}
    assert {"field:build=qx7", "word:quietly", "word:tar"} <= shown
