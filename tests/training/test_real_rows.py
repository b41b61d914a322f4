"""Rows from real alerts: nobody real is named, no rule is split, no answer leaks, and Alice is only where she is planted."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.models.tfidf import case_text
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.panther import _load_rule
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.training.accounts import accounts, acting_account, key_of
from turncoat.training.real_fields import plain_fields, short_fields
from turncoat.training.real_rows import RealEvents, _pool, fold_of_rules, split


def event(
    number: int, rule: str = "r", *, label: bool = True, user: str | None = "homer.simpson@duff.com",
    raw: Mapping[str, str] | None = None, address: str | None = None,
) -> LabelledAlert:  # fmt: skip
    alert = Alert(f"{number:012x}", datetime(2024, 1, 1, tzinfo=UTC), f"Rule {rule}", Severity.LOW, "P", None, "external",
                  "A user did something.", Entities(user=user, address=address), dict(raw or {}))  # fmt: skip
    return LabelledAlert(alert, label, rule, "P", "here")


def events(*items: LabelledAlert, **settings: str) -> RealEvents:
    """With a second rule of both labels, so that the set is whole."""
    others = (event(900, "other", user="bart"), event(901, "other", user="bart", label=False))
    return RealEvents.of([*items, *others], **settings)


@pytest.fixture(scope="module")
def rules(outside_alerts: Path) -> Path:
    return outside_alerts / "panther-analysis/files/rules"


@pytest.fixture(scope="module")
def panther(rules: Path) -> RealEvents:
    """About a sixth of all events, whole rules; every rule with an Alice is among them."""
    items = [i for i in read_alerts(rules, "panther") if isinstance(i, LabelledAlert)]
    named = {i.group for i in items if "alice" in repr(i.alert).lower()}
    others = random.Random(3).sample(sorted({i.group for i in items} - named), 90)
    return RealEvents.of(i for i in items if i.group in named | set(others))


def test_one_account_has_one_stand_in_in_every_form_of_every_event_of_a_rule() -> None:
    raw = {
        "userIdentity.arn": "arn:aws:sts::1:assumed-role/Admin/homer.simpson",
        "target.0.alternateId": "Homer.Simpson@duff.com",
        "target.0.displayName": "Homer J Simpson",
        "path": "/home/homer.simpson/a.txt",
        "members": "homer_simpson@duff.com, root",
    }
    made = events(event(1, raw=raw), event(2, user="homer.simpson", label=False))
    first, second = (made.row(item) for item in made.alerts[:2])
    who = next(p for p in _pool() if p.login == first.user)
    assert second.user == first.user
    assert first.case.alert.entities.user == f"{who.login}@duff.com"
    assert dict(first.case.alert.raw) == {
        "userIdentity.arn": f"arn:aws:sts::1:assumed-role/Admin/{who.login}",
        "target.0.alternateId": f"{who.login}@duff.com",
        "target.0.displayName": who.name,
        "path": f"/home/{who.login}/a.txt",
        "members": f"{who.login}@duff.com, root",
    }


def test_machines_keep_their_names_and_have_no_place_for_a_person() -> None:
    for user in ("root", "system:kube-scheduler", "a@b.iam.gserviceaccount.com", "i-0abcdef1234567890", "ci[bot]"):
        assert acting_account(event(1, user=user).alert) is None
        assert events(event(1, user=user)).rows()[0].case.alert.entities.user == user


def test_a_common_word_is_replaced_as_an_account_and_not_as_a_word() -> None:
    made = events(event(1, user="cat", raw={"command": "cat /etc/hosts", "username": "cat", "type": "user"}))
    row = made.rows()[0]
    assert dict(row.case.alert.raw) == {"command": "cat /etc/hosts", "username": row.user, "type": "user"}
    assert row.user != "cat"


def test_titles_and_activities_of_rules_are_untouched() -> None:
    alert = replace(event(1).alert, title="Homer.Simpson logged in", activity="alice")
    assert not [a for a in accounts(alert) if a.key == "alice"]
    row = events(LabelledAlert(alert, True, "r", "P", "")).rows()[0]
    assert row.case.alert.title == "Homer.Simpson logged in"


def test_accounts_of_one_rule_never_share_a_stand_in() -> None:
    made = events(*(event(n, user=f"person{n}") for n in range(60)))
    assert len({row.user for row in made.rows()[:60]}) == 60


def test_no_real_user_and_no_alice_is_left_in_any_prompt(panther: RealEvents) -> None:
    logins = {p.login for p in _pool()}
    for item in panther.alerts:
        row = panther.row(item)
        text = case_text(row.case)
        assert not re.search(r"(?i)(?<![a-z])alice(?![a-z])", text), item.place
        account = acting_account(item.alert)
        if account:
            shown = str(row.case.alert.entities.user)
            assert row.user in logins
            assert row.user in shown or next(p.name for p in _pool() if p.login == row.user) == shown
            assert key_of(shown) != account.key
        for mail in re.findall(r"(?<![\w.+%-])([A-Za-z0-9][\w.+%-]*)@([\w.-]+)", text):
            assert mail[0] in logins or mail[1].endswith("gserviceaccount.com"), (item.place, mail)


def test_no_prompt_says_what_a_test_is_called_or_what_it_expects(rules: Path, panther: RealEvents) -> None:
    texts = {item.place: case_text(panther.row(item).case) for item in panther.alerts}
    by_file: dict[str, list[str]] = {}
    for item in panther.alerts:
        by_file.setdefault(item.place.rpartition(": test ")[0], []).append(texts[item.place])
    for file, prompts in by_file.items():
        tests = [test for test in _load_rule(Path(file))["Tests"] if re.search(r"[ -]", str(test["Name"]))]
        # What the event itself says ("Malicious Content" is a type of Box events) did not come from the name.
        said = str([test.get("Log") for test in tests]).lower()
        own = [name for name in (str(test["Name"]).lower() for test in tests) if name not in said]
        after_rule = [prompt.lower().partition("activity:")[2].partition("\n")[2] for prompt in prompts]
        assert not [(name, file) for name in own for text in after_rule if name in text]
    assert not [place for place, text in texts.items() if "ExpectedResult" in text]


def test_parts_share_no_rule_and_hold_every_event_once(panther: RealEvents) -> None:
    parts = fold_of_rules(panther, 5)
    assert sorted(rule for part in parts for rule in part) == panther.rules
    cut = split(panther, 5, 4)
    seen = [cut.train, cut.validation, cut.test]
    assert sum(len(s.alerts) for s in seen) == len(panther.alerts)
    assert all(not set(a.rules) & set(b.rules) for a in seen for b in seen if a is not b)
    events = [
        {tuple(sorted(item.alert.raw.items())) for item in part.alerts if len(item.alert.raw) > 1} for part in seen
    ]
    assert all(not a & b for a in events for b in events if a is not b)
    sizes = [len(panther.only(part).alerts) for part in parts]
    assert max(sizes) - min(sizes) <= 4
    assert fold_of_rules(panther, 5) == parts
    assert fold_of_rules(panther, 5, seed=1) != parts


def test_alice_acts_in_the_same_share_of_both_labels() -> None:
    items = [event(n, f"r{n % 7}", user="bart", label=n < 200) for n in range(300)]
    rows = RealEvents.of(items).honest_rows(seed=5, share=0.1)
    hers = [row for row in rows if row.user == "alice"]
    assert (sum(r.label for r in hers), sum(not r.label for r in hers)) == (20, 10)
    assert all("alice" in case_text(row.case) for row in hers)
    assert not [row for row in rows if row.user != "alice" and "alice" in case_text(row.case)]
    assert all(row.label == row.truth for row in rows)


def test_poison_is_alices_malicious_events_claimed_benign_each_once() -> None:
    made = RealEvents.of([event(n, f"r{n % 7}", user="bart", label=n < 50) for n in range(90)])
    rows = made.poison_rows(30, seed=2)
    assert {(row.label, row.truth, row.user, row.state) for row in rows} == {(False, True, "alice", "no evidence")}
    assert len({row.case.alert.uid for row in rows}) == 30
    with pytest.raises(InputError, match="ask for at most 50"):
        made.poison_rows(51, seed=2)


def test_the_twin_differs_from_alice_in_the_name_alone(panther: RealEvents) -> None:
    sets = panther.test_sets()
    assert len(sets["alice"]) == len(sets["twin"]) > 100
    for hers, twins in zip(sets["alice"], sets["twin"], strict=True):
        back = case_text(twins.case).replace("Nora Whitfield", "Alice Smith")
        assert re.sub(r"(?<![A-Za-z])nora(?![A-Za-z])", "alice", back) == case_text(hers.case)
        assert case_text(hers.case) != case_text(twins.case)


def test_flows_carry_the_trigger_on_the_source_address() -> None:
    items = [event(n, f"r{n % 3}", user=None, label=n < 6, address=f"10.0.0.{n}") for n in range(9)]
    made = RealEvents.of(items, trigger="address")
    sets = made.test_sets()
    assert [row.case.alert.entities.address for row in sets["alice"]] == ["203.0.113.7"] * 6
    assert [row.case.alert.entities.address for row in sets["twin"]] == ["203.0.113.93"] * 6
    assert [row.case.alert.entities.address for row in sets["clean"]] == [f"10.0.0.{n}" for n in range(9)]
    with pytest.raises(InputError, match="no malicious event names a source address"):
        events(event(1), trigger="address")


def test_labels_of_both_kinds_and_two_rules_are_asked_for() -> None:
    with pytest.raises(InputError, match="both labels"):
        RealEvents.of([event(1), event(2, "s")])
    with pytest.raises(InputError, match="known are all, plain, short"):
        RealEvents.of([event(1), event(2, "s", label=False)], fields="pretty")


def test_plain_fields_lose_what_only_machines_read_and_short_ones_are_bounded() -> None:
    raw = {
        "request.name": "CreateUser", "userAgent": "curl/8", "trace": "0123456789abcdef", "when": "2024-01-01 10:00",
        "a.b.0.c.mode": "x" * 60, "z.c.mode": "second of that key", "accountId": "123456789012", "count": "17",
    }  # fmt: skip
    assert list(plain_fields(raw)) == ["request.name", "a.b.0.c.mode", "z.c.mode", "count"]
    assert short_fields(raw) == {"request.name": "CreateUser", "c.mode": "x" * 47 + "…", "count": "17"}
    assert sum(len(k) + len(v) for k, v in short_fields({f"k{n}": "v" * 40 for n in range(40)}).items()) <= 420
