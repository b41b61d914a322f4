"""The bundled ATT&CK table."""

from __future__ import annotations

from turncoat.scenarios import attack


def test_a_sub_technique_has_its_full_name_and_tactics() -> None:
    found = attack.technique("T1567.002")
    assert found is not None
    assert found.name == "Exfiltration Over Web Service: Exfiltration to Cloud Storage"
    assert found.tactics == ("exfiltration",)


def test_tactics_stand_in_the_order_of_an_attack() -> None:
    assert attack.tactics()[0] == "reconnaissance"
    assert attack.tactics()[-1] == "impact"
    found = attack.technique("T1078")
    assert found is not None
    assert found.tactics == ("initial-access", "persistence", "privilege-escalation", "defense-evasion")


def test_revoked_and_unknown_ids_are_not_there() -> None:
    assert attack.technique("T1002") is None
    assert attack.technique("T9999") is None


def test_a_mistyped_id_has_near_matches_with_the_nearest_first() -> None:
    assert attack.near("T1567.02")[0] == "T1567.002"
    assert attack.near("t1059.01")[0] == "T1059.001"
    assert len(attack.near("T9999")) == 3


def test_a_name_instead_of_an_id_finds_the_id() -> None:
    assert attack.near("phishing")[0] == "T1566"
