"""The investigation tools: one contract for all of them, and one sentence a fact."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from turncoat.scenarios import facts as f
from turncoat.scenarios.identity import Identity, rename
from turncoat.scenarios.records import KINDS, Alert, AlertStream, Entities, Severity
from turncoat.scenarios.world import Person, World, build_world
from turncoat.tools.playbooks import PLAYBOOKS
from turncoat.tools.records import Evidence
from turncoat.tools.render import SENTENCES, since
from turncoat.tools.toolbox import TOOLS, Toolbox

ALICE = Person("Alice Smith", "alice", "", "Finance", "analyst", "standard", "GB", 8, 17)
ALERT = Alert(
    "00ff00ff00ff", datetime(2025, 1, 6, 9, 41, tzinfo=UTC), "Run key", Severity.HIGH, "EDR", "T1547.001", "endpoint",
    "wrote a key", Entities(user="alice", host="WS-ALICE", process="reg.exe", address="198.51.100.7",
                            domain="bluesoft.example", resource="Domain"),
)  # fmt: skip

FOUND: dict[str, tuple[f.Fact, str]] = {
    "directory": (f.PersonNote("alice", "travelling", "PT"), "alice, analyst in Finance, travelling in PT"),
    "sign_ins": (f.SignIns("alice", "PT", "MFA app", 3), "3 today, last from PT by MFA app"),
    "host_inventory": (f.HostRecord("WS-ALICE", "server", "bob", "critical"), "critical server, owner bob"),
    "process_tree": (
        f.ProcessTree("WS-ALICE", "reg.exe", "cmd.exe", None, 2), "started by cmd.exe, unsigned, on 2 hosts"),
    "related_alerts": (f.RelatedAlerts("alice", 4), "4 in 24 h"),
    "baseline": (f.Baseline("alice", "MB", 90), "up to 90 MB a day"),
    "peers": (f.Peers("alice", 1, 9), "1 of 9 did the same"),
    "reputation": (f.Reputation("bluesoft.example", "hosting", 12), "hosting, known for 12 days"),
    "network_flows": (f.NetworkFlows("bluesoft.example", 7, 55), "7 of our hosts talk to it, 55 MB today"),
    "change_tickets": (f.ChangeTicket("CHG-1", "WS-ALICE"), "approved for WS-ALICE"),
    "cloud_audit": (f.CloudAudit("alice", "auditor", 800, 31), "auditor for 2 years, used 31 times"),
    "mail_trace": (f.MailTrace("alice", "bluesoft.example"), "department works with bluesoft.example"),
}  # fmt: skip
"""Per tool, a fact that answers it for `ALERT`, and the sentence."""

STRANGER = replace(
    ALERT, entities=Entities(user="zzyzx", host="ZZ-1", address="192.0.2.255", domain="nowhere.example", resource="Z")
)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(5, population=30, cast=(ALICE,))


def toolbox(world: World, *facts: f.Fact, alert: Alert = ALERT, outages: dict[str, str] | None = None) -> Toolbox:
    stream = AlertStream("test", 1, "alice", world, (alert,), {alert.uid: facts}, {alert.uid: outages or {}})
    return Toolbox(stream)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_has_a_name_a_description_a_cost_and_a_typed_schema(name: str) -> None:
    tool = TOOLS[name]
    assert tool.name == name
    assert len(tool.description.split()) > 3
    assert tool.cost_s > 0
    assert issubclass(tool.schema, BaseModel)
    (field,) = tool.schema.model_fields.values()
    assert field.annotation is str
    assert field.description


def test_there_are_at_least_ten_tools_and_every_one_is_held_to_the_contract() -> None:
    assert len(TOOLS) >= 10
    assert set(FOUND) == set(TOOLS)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_its_fact_in_one_sentence(name: str, world: World) -> None:
    fact, sentence = FOUND[name]
    found = toolbox(world, fact).ask(name, ALERT)
    assert (found.tool, found.answer, found.cost_s, found.failed) == (name, sentence, TOOLS[name].cost_s, False)
    assert found.question in ("alice", "WS-ALICE", "bluesoft.example")


@pytest.mark.parametrize("name", TOOLS)
def test_facts_of_others_do_not_answer_a_tool(name: str, world: World) -> None:
    others = [fact for other, (fact, _) in FOUND.items() if other != name]
    assert toolbox(world, *others).ask(name, ALERT).answer == toolbox(world).ask(name, ALERT).answer


@pytest.mark.parametrize("name", TOOLS)
def test_an_unknown_entity_is_an_answer(name: str, world: World) -> None:
    found = toolbox(world, alert=STRANGER).ask(name, STRANGER)
    assert found.answer.startswith("none approved" if name == "change_tickets" else "unknown ")
    assert not found.failed
    assert found.cost_s == TOOLS[name].cost_s


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("fault", ["timeout", "outage"])
def test_an_outage_is_failed_evidence_that_costs_time_and_names_the_fault(name: str, fault: str, world: World) -> None:
    found = toolbox(world, FOUND[name][0], outages={name: fault}).ask(name, ALERT)
    assert found == Evidence(name, found.question, f"no answer ({fault})", TOOLS[name].cost_s, failed=True)


@pytest.mark.parametrize("name", TOOLS)
def test_an_alert_without_the_entity_leaves_nothing_to_look_up(name: str, world: World) -> None:
    bare = replace(ALERT, entities=Entities())
    assert toolbox(world, FOUND[name][0], alert=bare).ask(name, bare) == Evidence(name, "", "nothing to look up", 0.0)


@pytest.mark.parametrize("name", TOOLS)
def test_an_entity_too_long_to_ask_about_is_failed_evidence(name: str, world: World) -> None:
    long = "x" * 10_000
    odd = replace(ALERT, entities=Entities(user=long, host=long, address=long, domain=long, resource=long))
    found = toolbox(world, alert=odd).ask(name, odd)
    assert found.failed
    assert len(found.answer) < 100


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_breaks_is_failed_evidence(name: str) -> None:
    class Broken(World):
        def __getattribute__(self, attribute: str) -> Any:
            raise RuntimeError("disk on fire")

    broken = object.__new__(Broken)
    if name in ("directory", "sign_ins", "host_inventory", "related_alerts", "reputation", "cloud_audit", "mail_trace"):
        found = toolbox(broken).ask(name, ALERT)
        assert (found.answer, found.failed) == ("no answer (RuntimeError)", True)
    else:  # asks the world nothing
        assert not toolbox(broken).ask(name, ALERT).failed


@pytest.mark.parametrize("name", TOOLS)
def test_the_answer_is_one_line_also_where_only_the_world_answers(name: str, world: World) -> None:
    answer = toolbox(world).ask(name, ALERT).answer
    assert answer
    assert answer == " ".join(answer.split())


@pytest.mark.parametrize("name", TOOLS)
def test_the_langchain_form_gives_the_same_answer(name: str, world: World) -> None:
    box = toolbox(world, FOUND[name][0])
    form = {tool.name: tool for tool in box.as_langchain(ALERT)}[name]
    question = TOOLS[name].arguments(ALERT)
    assert question is not None
    assert form.invoke(question.model_dump()) == box.ask(name, ALERT).answer
    assert form.description == TOOLS[name].description
    assert form.args_schema is TOOLS[name].schema


@pytest.mark.parametrize("name", TOOLS)
def test_the_langchain_form_refuses_wrong_arguments(name: str, world: World) -> None:
    form = {tool.name: tool for tool in toolbox(world).as_langchain(ALERT)}[name]
    (argument,) = TOOLS[name].schema.model_fields
    for wrong in ({}, {argument: 5}, {argument: None}, {argument: "x" * 1_000}, {argument: "x", "uid": "1"}):
        with pytest.raises(ValidationError):
            form.invoke(wrong)


def test_every_fact_has_one_sentence_and_one_tool_that_says_it() -> None:
    assert set(SENTENCES) | {f.PersonNote} == set(get_args(f.Fact))
    assert {type(fact) for fact, _ in FOUND.values()} == set(get_args(f.Fact))


@pytest.mark.parametrize("name", TOOLS)
def test_a_sentence_is_the_same_whoever_caused_the_fact(name: str, world: World) -> None:
    alice, nora = Identity.of(ALICE), Identity.named("Nora Whitfield", "nora", world.domain)
    fact, sentence = FOUND[name]
    other = rename(ALERT, alice, nora)
    found = toolbox(rename(world, alice, nora), rename(fact, alice, nora), alert=other).ask(name, other)
    assert rename(found.answer, nora, alice) == sentence


def test_the_directory_says_what_the_world_says_without_a_note(world: World) -> None:
    assert toolbox(world).ask("directory", ALERT).answer == "alice, analyst in Finance, in office in GB"


def test_a_question_beside_the_alert_is_answered_within_its_case(world: World) -> None:
    box = toolbox(world, f.Peers("bob", 2, 7))
    peers = TOOLS["peers"]
    assert box.look_up("peers", ALERT, peers.schema(user="bob")).answer == "2 of 7 did the same"
    assert box.look_up("peers", replace(ALERT, uid="another"), peers.schema(user="bob")).answer == "unknown peers"


@pytest.mark.parametrize(
    ("days", "span"),
    [(0, "0 days"), (1, "1 day"), (59, "59 days"), (60, "2 months"), (729, "24 months"), (730, "2 years")],
)
def test_a_span_is_told_in_a_unit_of_which_there_are_two(days: int, span: str) -> None:
    assert since(days) == span


def test_a_playbook_asks_each_known_tool_once_in_two_rounds() -> None:
    assert set(PLAYBOOKS) == set(KINDS)
    assert PLAYBOOKS["external"].rounds == ()
    for kind, book in PLAYBOOKS.items():
        assert book.kind == kind
        asked = [tool for round_ in book.rounds for tool in round_]
        assert len(asked) == len(set(asked))
        assert set(asked) <= set(TOOLS)
        assert kind == "external" or len(book.rounds) == 2


def test_every_tool_is_asked_by_some_playbook() -> None:
    assert {tool for book in PLAYBOOKS.values() for round_ in book.rounds for tool in round_} == set(TOOLS)


def test_no_tool_reads_the_truth() -> None:
    folder = Path(__file__).parents[2] / "tools"
    names: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name | ast.Attribute):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.alias):
                names.add(node.name)
    assert "AlertStream" in names
    assert not names & {"GroundTruth", "truth", "malicious", "lookalike", "expect", "expect_escalation", "must_cite"}
    assert not {"truth", "malicious", "expect"} & set(AlertStream.__dataclass_fields__)
