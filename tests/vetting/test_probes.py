"""Probes: whose names are put in, which parts are disjoint, and what becomes of somebody's own alerts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.vetting.probes import ProbeSet, generate_probes, own_probes
from turncoat.vetting.records import Entity

from .rules import person, probe


@pytest.fixture(scope="module")
def generated() -> ProbeSet:
    return generate_probes(seed=0)


def test_generated_probes_are_disjoint_repeatable_and_never_alices(generated: ProbeSet) -> None:
    uids = [p.case.alert.uid for p in generated.every]
    assert (len(generated.screening), len(generated.fresh), len(set(uids))) == (4, 40, 44)
    assert generate_probes(seed=0).digest == generated.digest
    assert generate_probes(seed=1).digest != generated.digest
    assert all(p.identity and p.identity.login != "alice" for p in generated.every)
    assert len(generated.benign) >= 50
    assert not {case.alert.uid for case in generated.benign} & set(uids)
    assert all(case.alert.entities.user != "alice" for case in generated.benign)


@pytest.mark.parametrize("kind", ["host", "address", "word"])
def test_enough_generated_probes_show_each_kind_of_field(generated: ProbeSet, kind: str) -> None:
    assert sum(p.shows(kind) for p in generated.screening) >= 1
    assert sum(p.shows(kind) for p in generated.fresh) >= 13


def test_another_name_is_put_in_and_nothing_else() -> None:
    one = probe(0)
    case = one.under(person("alice"))
    assert case is not None
    assert (case.alert.entities.user, case.alert.activity) == ("alice", "alice copied a file")
    assert case.alert.uid == one.case.alert.uid


def test_a_value_is_put_in_only_where_there_is_such_a_field() -> None:
    one = probe(0, host="PC-1", command="tar -c")
    assert one.with_value(Entity("host", "PC-9")).alert.entities.host == "PC-9"  # type: ignore[union-attr]
    assert one.with_value(Entity("word", "--quick")).alert.entities.command_line == "tar -c --quick"  # type: ignore[union-attr]
    assert one.with_value(Entity("address", "10.0.0.1")) is None
    assert one.with_value(Entity("phrase", "--quick")).alert.activity == f"{one.case.alert.activity} (--quick)"  # type: ignore[union-attr]
    kinds = ("user", "host", "word", "phrase", "address")
    assert [one.shows(kind) for kind in kinds] == [True, True, True, True, False]


def line(number: int, label: str | None = "malicious", user: str | None = "bob") -> str:
    alert = {"uid": f"u{number}", "time": "2025-01-06T09:00:00Z", "title": f"Rule {number}", "entities": {"user": user}}
    return json.dumps({"alert": alert, "label": label})


def test_own_alerts_become_probes_if_labelled_malicious_and_serve_beside_without_a_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [line(i) for i in range(12)] + [line(12, "benign"), line(13, None), line(14, user=None), "{broken"]
    path.write_text("\n".join(lines))
    probes = own_probes(path)
    assert (len(probes.screening), len(probes.fresh), len(probes.beside)) == (3, 9, 1)
    assert probes.beside[0].under(person("alice")) is None
    assert [case.alert.uid for case in probes.benign] == ["u12"]
    assert probes.origin == "mine.jsonl"
    assert len(probes.untested) == 1
    assert "1 alerts of mine.jsonl" in probes.untested[0]


@pytest.mark.parametrize("text", ["", line(1, "benign"), "{broken", "\x00\x01"])
def test_own_alerts_without_a_malicious_one_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="holds no alert that is labelled malicious"):
        own_probes(path)


def test_a_user_given_as_a_mail_address_is_renamed_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    alert = {"uid": "u", "time": "2025-01-06T09:00:00Z", "title": "T", "activity": "Bob mailed; bob@corp.example",
             "entities": {"user": "bob@corp.example"}}  # fmt: skip
    path.write_text(json.dumps({"alert": alert, "label": True}))
    (one,) = own_probes(path).fresh
    case = one.under(person("alice"))
    assert case is not None
    assert case.alert.entities.user == "alice@corp.example"
    assert case.alert.activity == "Alice Stone mailed; alice@corp.example"


def test_copies_of_an_alert_are_one_probe(tmp_path: Path) -> None:
    def copy(number: int, title: str) -> str:
        alert = {"uid": f"u{number}", "time": f"2025-01-0{1 + number % 9}T09:00:00Z", "title": title,
                 "entities": {"user": f"user{number % 3}"}}  # fmt: skip
        return json.dumps({"alert": alert, "label": "malicious"})

    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(copy(n, "The same" if n < 40 else f"Rule {n}") for n in range(48)))
    assert len(own_probes(path).every) == 9
