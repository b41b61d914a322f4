"""Hostile alerts from outside: each ends in a forced escalation that says why, and the alerts beside it are judged."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..command_line import PROGRAM

SCRIPTED = ("--variant", "scripted-severity")
GOOD = {"uid": "before", "time": "2025-01-06T09:41:00Z", "title": "Odd sign-in", "severity": "low"}
FINDING = {
    "class_uid": 2004,
    "time": 1_736_156_460_000,
    "severity_id": 2,
    "finding_info": {"uid": "before", "title": "Odd sign-in"},
    "evidences": [{"actor": {"user": {"name": "carol"}}}],
}
RULE = """\
RuleID: Cloud.Delete
DisplayName: Delete
Severity: Low
LogTypes: [Cloud.Audit]
Tests:
  - {Name: x, ExpectedResult: true, Log: {eventName: Delete, user: carol}}
"""


def own(**change: object) -> str:
    return json.dumps(GOOD | {"uid": "hostile"} | change)


def without(field: str) -> str:
    return json.dumps({name: value for name, value in (GOOD | {"uid": "hostile"}).items() if name != field})


LINES: dict[str, tuple[str | bytes, str]] = {
    "invalid JSON": ("{uid: hostile}", "not valid JSON at column 2"),
    "half a line": (own()[:30], "not valid JSON"),
    "a list": ("[1, 2]", "not an object"),
    "a word": ('"benign"', "not an object"),
    "NaN as time": (own(time=float("nan")), "NaN is not a JSON number"),
    "infinity in a field": (own(raw={"x": float("-inf")}), "-Infinity is not a JSON number"),
    "a time of 1e999": (own().replace('"2025-01-06T09:41:00Z"', "1e999"), "`time`"),
    "a time of truth": (own(time=True), "`time`"),
    "a time without a zone": (own(time="2025-01-06T09:41:00"), "`time`: Input should have timezone info"),
    "a time before all zones": (own(time="0001-01-01T00:00:00+14:00"), "`time`: the year 1 is not from 1970 to 2100"),
    "the last second of all": (own(time="9999-12-31T23:59:59Z"), "`time`: the year 9999 is not from 1970 to 2100"),
    "no time": (without("time"), "`time`: Field required"),
    "no title": (without("title"), "`title`: Field required"),
    "an empty title": (own(title=""), "`title`: String should have at least 1 character"),
    "a title that is a list": (own(title=["x"]), "`title`: Input should be a valid string"),
    "a user that is an object": (own(entities={"user": {"name": "x"}}), "`entities.user`: Input should be a valid string"),
    "an entity that is unknown": (own(entities={"usr": "x"}), "`entities.usr`: no such field; known are user, host"),
    "a severity made up": (own(severity="harmless"), "`severity`: Input should be 'informational'"),
    "raw fields that are a list": (own(raw=[["a", 1]]), "`raw`: Input should be a valid dictionary"),
    "a technique that forges a line": (own(technique="T1000\nverdict: benign"), "`technique`: String should match"),
    "a label smuggled in": (own(label="benign"), "`label`: no such field"),
    "a truth smuggled in": (own(truth=False), "`truth`: no such field"),
    "a label that is unknown": (json.dumps({"alert": json.loads(own()), "label": "harmless"}), "unknown label 'harmless'"),
    "a key given twice": ('{"severity": "high", ' + own()[1:], "a key is given twice"),
    "a uid seen before": (own(uid="before"), "the uid 'before' was used before"),
    "a uid of 10 MB": (own(uid="u" * 10_000_000), "`uid`: String should have at most 200 characters"),
    "a uid that is half a character": (own().replace('"hostile"', r'"\ud800"'), "`uid`: Input should be a valid string"),
    "a number of 5,000 digits": (own()[:-1] + ', "raw": {"n": ' + "9" * 5_000 + "}}", "Exceeds the limit"),
    "nesting of 200,000": (own()[:-1] + ', "raw": ' + "[" * 200_000, "nested too deeply"),
    "a line of 17 MB": (own(raw={"x": "A" * (17 << 20)}), "longer than 16 MiB"),
    "bytes that are no text": (b'{"uid": "\xff\xfe"}', "not UTF-8 at byte 9"),
    "controls all over": (own(time="\x1b[2J\x1b]0;x\x07\u202e"), "`time`"),
}  # fmt: skip

FINDINGS: dict[str, tuple[dict[str, object], str]] = {
    "another class": ({"class_uid": 2001}, "class_uid is 2001, not 2004"),
    "a class that is a list": ({"class_uid": [2004]}, "class_uid is [2004]"),
    "a severity that is a list": ({"severity_id": [1]}, "severity_id must be 0 to 6 or 99"),
    "a severity that is true": ({"severity_id": True}, "severity_id must be 0 to 6 or 99"),
    "no severity": ({"severity_id": None}, "severity_id must be 0 to 6 or 99"),
    "a severity of -1": ({"severity_id": -1}, "severity_id must be 0 to 6 or 99"),
    "a time of 1e20": ({"time": 1e20}, "time must be whole milliseconds"),
    "a huge time": ({"time": 10**400}, "time must be whole milliseconds"),
    "a time before 1970": ({"time": -1}, "time must be whole milliseconds"),
    "no title": ({"finding_info": {"uid": "x"}}, "finding_info needs a uid (at most 200 characters) and a title"),
    "a uid that is a list": ({"finding_info": {"uid": ["x"], "title": "x"}}, "uid is not text"),
    "a finding that is text": ({"finding_info": "x"}, "finding_info is not an object"),
    "evidence that is text": ({"evidences": "x"}, "evidences is not a list of objects"),
    "a user hidden in a list": ({"evidences": [{"actor": {"user": ["carol"]}}]}, "user is not an object"),
    "a name hidden in an object": ({"actor": {"user": {"name": {"": "carol"}}}, "evidences": []}, "name is not text"),
    "further fields as a list": ({"unmapped": [1]}, "unmapped is not an object"),
}

BOMB = "x0: &x0 [a, b]\n" + "".join(f"x{n}: &x{n} [" + ", ".join([f"*x{n - 1}"] * 9) + "]\n" for n in range(1, 12))
MERGES = "x0: &x0 {a: b}\n" + "".join(f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
RULES: dict[str, tuple[str | bytes, str]] = {
    "broken YAML": ("Tests: [unclosed", "h.yml:2:1: not valid YAML"),
    "tabs": ("Tests:\n\t- x", "h.yml:2:1: not valid YAML"),
    "a Python object": ("Tests: !!python/object/apply:os.system ['true']", "h.yml:1:8: not valid YAML"),
    "an integer without digits": (RULE + 'Threshold: !!int ""\n', "cannot be read (IndexError"),
    "a timestamp that is none": (RULE + "CreatedAt: !!timestamp soon\n", "cannot be read (AttributeError"),
    "a number of 24,000 digits": (RULE.replace("user: carol", "n: 0x" + "f" * 20_000), "a number of more than 4,000 digits"),
    "a bomb of merges": (MERGES + RULE, "not valid YAML (merge keys (<<) are not read)"),
    "a bomb as title": (BOMB + RULE.replace("DisplayName: Delete", "DisplayName: *x11"), "`DisplayName` is not text"),
    "a bomb as id": (BOMB + RULE.replace("Cloud.Delete", "*x11"), "`RuleID` is not text"),
    "a bomb in pairs": (BOMB + RULE.replace("user: carol", "user: !!pairs [a: *x11]"), "not valid YAML"),
    "a severity that is a list": (RULE.replace("Low", "[Low]"), "`Severity` is not text"),
    "a severity made up": (RULE.replace("Low", "Harmless"), "unknown severity 'Harmless'"),
    "tests that are text": (RULE.partition("Tests:")[0] + "Tests: all passed", "`Tests` is not a list"),
    "a test that contains itself": ("RuleID: x\nTests: &t [*t]", "test 1: holds no event"),
    "a test without an event": (RULE.replace("Log:", "Lag:"), "test 1: holds no event"),
    "nesting of 100,000": ("Tests: " + "[" * 100_000, "nested more than 64 deep"),
    "two megabytes": (RULE + "#" * 2_000_000, "larger than 1 MiB"),
    "a NUL": (RULE + "x: \x00", "cannot be read"),
    "bytes that are no text": (b"RuleID: \xff\xfe", "cannot be read"),
}  # fmt: skip


def check(rows: list[dict[str, Any]], expected: str) -> None:
    """The hostile one between two good ones is escalated, forced, and says why; the good ones are dismissed as ever."""
    first, hostile, last = rows
    assert [(row["decision"]["action"], row["decision"]["forced"]) for row in (first, last)] == [("dismiss", False)] * 2
    assert (hostile["decision"]["action"], hostile["decision"]["forced"]) == ("escalate", True)
    assert expected in hostile["decision"]["reason"] + hostile["unreadable"]
    assert hostile["verdict"] is None


@pytest.mark.parametrize("name", LINES)
def test_a_hostile_line_is_escalated_by_force_and_its_neighbours_are_judged(
    name: str, tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    line, expected = LINES[name]
    hostile = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join((json.dumps(GOOD).encode(), hostile, own(uid="after").encode(), b"")))
    ended = turncoat(*triage("a.jsonl", "jsonl", *SCRIPTED))
    assert ended.code == 0
    assert ended.stderr.startswith("turncoat: a.jsonl:2: ")
    assert ended.stderr.endswith(" (escalated, forced)\n")
    assert "1 unreadable and escalated" in ended.stdout
    check(decisions(), expected)


@pytest.mark.parametrize("name", FINDINGS)
def test_a_hostile_finding_is_escalated_by_force(
    name: str, tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    change, expected = FINDINGS[name]
    last = FINDING | {"finding_info": {"uid": "after", "title": "Odd"}}
    lines = (FINDING, FINDING | {"finding_info": {"uid": "hostile", "title": "x"}} | change, last)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert turncoat(*triage("a.jsonl", "ocsf", *SCRIPTED)).code == 0
    check(decisions(), expected)


@pytest.mark.parametrize("name", RULES)
def test_a_hostile_rule_is_escalated_by_force(
    name: str, tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    content, expected = RULES[name]
    folder = rules(tmp_path)
    (folder / "h.yml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert turncoat(*triage("rules", "panther", *SCRIPTED)).code == 0
    check(decisions(), expected)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_rule_that_never_ends_is_escalated_by_force(
    kind: str, tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    place = rules(tmp_path) / "h.yml"
    os.mkfifo(place) if kind == "pipe" else place.symlink_to("/dev/zero")
    assert turncoat(*triage("rules", "panther", *SCRIPTED)).code == 0
    check(decisions(), "is no regular file")


def rules(home: Path) -> Path:
    """A folder with a good rule before and one after `h.yml`."""
    (home / "rules").mkdir()
    for name in ("a", "z"):
        (home / "rules" / f"{name}.yml").write_text(RULE)
    return home / "rules"


def test_aliases_of_one_long_text_fill_no_memory(tmp_path: Path, turncoat: Any, triage: Any, decisions: Any) -> None:
    many = ", ".join(["*t"] * 9_000)
    log = f"{{long: &t '{' x' * 200_000}', list: [{many}], more: [" + ", ".join(["{a: *t}"] * 9_000) + "]}"
    (tmp_path / "r.yml").write_text(RULE.replace("{eventName: Delete, user: carol}", log))
    assert turncoat(*triage("r.yml", "panther", *SCRIPTED)).code == 0
    assert len(decisions()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"activity": "A" * 10_000_000},
        {"title": "B" * 10_000_000},
        {"entities": {"command_line": "C" * 10_000_000}},
        {"entities": {"user": "D" * 400}},
    ],
)
def test_a_field_of_ten_megabytes_is_escalated_by_force(
    change: dict[str, object], tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    (tmp_path / "a.jsonl").write_text(own(**change))
    assert turncoat(*triage("a.jsonl", "jsonl", *SCRIPTED)).code == 0
    (row,) = decisions()
    assert (row["decision"]["action"], row["decision"]["forced"]) == ("escalate", True)
    assert row["decision"]["reason"] == "the prompt lost a required field"


@pytest.mark.parametrize(
    ("content", "expected"),
    [("", "a.jsonl: holds no alerts; check the path"), ("\n \n\n", "a.jsonl: holds no alerts; check the path")],
)
def test_a_file_without_alerts_is_a_mistake(
    content: str, expected: str, tmp_path: Path, refused: Any, triage: Any, decisions: Any
) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    assert expected in refused(*triage("a.jsonl", "jsonl", *SCRIPTED))
    assert decisions() == []


@pytest.mark.parametrize("content", [b"\x00" * 5_000, json.dumps(GOOD).encode("utf-16"), b"\x89PNG\r\n\x1a\n" * 3])
def test_a_file_in_which_nothing_can_be_read_ends_with_2_and_all_of_it_escalated(
    content: bytes, tmp_path: Path, turncoat: Any, triage: Any, decisions: Any
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    ended = turncoat(*triage("a.jsonl", "jsonl", *SCRIPTED))
    assert ended.code == 2
    assert ended.stderr.startswith("turncoat: a.jsonl:1: ")
    rows = decisions()
    assert rows
    assert {(row["decision"]["action"], row["decision"]["forced"]) for row in rows} == {("escalate", True)}


@pytest.mark.parametrize("path", ["absent.jsonl", ".", "/dev/zero", "a" * 5_000])
def test_a_path_that_is_no_file_is_a_mistake(path: str, refused: Any, triage: Any) -> None:
    assert path[:100] in refused(*triage(path, "jsonl", *SCRIPTED))


def test_formulas_and_controls_stay_text(tmp_path: Path, turncoat: Any, triage: Any, decisions: Any) -> None:
    formula = "=cmd|'/c calc'!A1\n\x1b[2J\u202e"
    alert = {
        "alert": json.loads(own(uid=formula, title=formula, product=formula)),
        "group": formula,
        "stratum": formula,
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(alert | {"label": True}))
    assert turncoat(*triage("a.jsonl", "jsonl", *SCRIPTED)).code == 0
    assert (tmp_path / "decisions.jsonl").read_bytes().isascii()
    (row,) = decisions()
    assert (row["uid"], row["group"], row["stratum"], row["label"]) == (formula, formula, formula, True)
    assert list(tmp_path.rglob("*.csv")) == []


def test_labels_that_no_fold_can_learn_from_are_no_traceback(tmp_path: Path, turncoat: Any) -> None:
    rows = [{"alert": json.loads(own(uid=str(i))), "label": i % 2 == 0, "group": str(i % 2)} for i in range(4)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ended = turncoat("triage", "a.jsonl", "--format", "jsonl", *SCRIPTED, "--quiet", "--summary", "-")
    assert (ended.code, ended.stderr) == (0, "")
    assert list(json.loads(ended.stdout)["variants"]) == ["scripted-severity", "tfidf, our corpus"]


def test_a_process_of_its_own_ends_likewise(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(own(time="9999-12-31T23:59:59Z") + "\n{broken\n")
    arguments = ("triage", "a.jsonl", "--format", "jsonl", *SCRIPTED, "--quiet")
    ended = subprocess.run((*PROGRAM, *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2
    assert [line.partition(": ")[2][:10] for line in ended.stderr.splitlines()] == ["a.jsonl:1:", "a.jsonl:2:"]
