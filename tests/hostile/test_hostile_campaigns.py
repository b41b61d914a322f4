"""Hostile campaign files: every command that reads one ends in a message at the place of the mistake."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..command_line import PROGRAM

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 10)]
)
CONTROLS = r"\e[2J\e[31m\e]0;owned\a\u202e\u200b\u2028\x9b1m"
"""As YAML writes them: clear the screen, recolour, rename the window, reverse the text."""


def instead(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def steps(count: int) -> Callable[[str], str]:
    """A chain of that many steps, each after the one before."""
    form = (
        "      - {{id: s{i}, title: x, technique: T1039, after: {{step: {before}, offset: 1m}}, "
        "alert: null, expect: {{truth: malicious, escalate: false}}}}\n"
    )
    chain = "".join(form.format(i=i, before=f"s{i - 1}" if i else "read") for i in range(count))
    return lambda text: text.replace("counterfactuals:", f"{chain}counterfactuals:")


def people(count: int) -> Callable[[str], str]:
    """So many named people."""
    lines = "".join(f"    - {{name: P Q, login: p{i}, department: Finance, role: analyst}}\n" for i in range(count))
    return lambda text: f"{text}entities:\n  people:\n{lines}"


MISTAKES: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "broken YAML": (lambda _: "schema: [1, 2", ":1:14: while parsing a flow sequence"),
    "tabs for indentation": (instead("    title: Taking", "\ttitle: Taking"), ":13:1: while scanning for the next token"),
    "an anchor that contains itself": (lambda _: "a: &x {b: *x}", ":1:4: an alias contains itself"),
    "an alias bomb": (lambda _: BOMB, "more than 16 aliases"),
    "two megabytes": (lambda text: text + "#" * 2_000_000, "larger than 1 MiB"),
    "a binary file": (lambda _: b"\x7fELF\x02\x01\x00\xff\xfe", "is not UTF-8"),
    "UTF-16": (lambda text: text.encode("utf-16"), "is not UTF-8"),
    "a NUL in the text": (instead("A small theft", "A \x00"), "special characters are not allowed"),
    "an empty file": (lambda _: "", ":1:1: the file is empty"),
    "two documents": (lambda text: f"{text}---\n{text}", "expected a single document"),
    "a list at the top": (lambda _: "- schema: 1", ":1:1: a campaign is a mapping of keys"),
    "a Python object as a value": (instead("seed: 5", "seed: !!python/object/apply:os.system [ls]"), ":6:7: tag"),
    "a Python object as a mapping": (instead("noise: {", "noise: !!python/object/new:os.system {"), ":10:8: tag"),
    "nesting of 5,000": (instead("seed: 5", "seed: " + "[" * 5_000), "nested deeper than 24"),
    "keys that are lists": (lambda text: text + "? [a, b]\n: 1", "a key must be plain text"),
    "a key given twice": (instead("seed: 5", "seed: 5\nseed: 6"), ":7:1: key 'seed' is there twice"),
    "NaN as a share": (instead("lookalikes: 0.5", "lookalikes: .nan"), ":10:33: '.nan' is not a finite number"),
    "infinity as a seed": (instead("seed: 5", "seed: .inf"), ":6:7: '.inf' is not a finite number"),
    "NaN as a time": (instead("at: D1 11:00", "at: .nan"), ":18:13: '.nan' is not a finite number"),
    "an hour that is none": (instead("D1 11:00", "D1 25:61"), ":18:13: 'D1 25:61' is no time"),
    "a day of 5,000 digits": (instead("D1 11:00", "D" + "9" * 5_000 + " 11:00"), "is no time; write one like D2 21:40"),
    "a year before all time zones": (instead("2026-03-02", "0001-01-01"), ":7:16: the year 1 is out of range"),
    "the last day of the calendar": (instead("2026-03-02", "9999-12-31"), ":7:16: the year 9999 is out of range"),
    "an integer without digits": (instead("seed: 5", 'seed: !!int ""'), ":6:7: '' is no valid value"),
    "a timestamp that is none": (instead("seed: 5", "seed: !!timestamp soon"), ":6:7: 'soon' is no valid value"),
    "a truth value that is none": (instead("escalate: true", "escalate: !!bool maybe"), "'maybe' is no valid value"),
    "a seed of 24,000 digits": (instead("seed: 5", "seed: 0x" + "f" * 20_000), "is too large a number"),
    "a fact of 24,000 digits": (instead("same: 0", "same: 0x" + "f" * 20_000), "is too large a number"),
    "negative jitter": (instead("jitter_minutes: 5", "jitter_minutes: -5"), ":25:25: jitter_minutes: input should be"),
    "an unknown technique": (instead("T1567.002", "T1567.02"), ":23:20: unknown technique 'T1567.02'; did you mean T1567.002"),
    "an unknown family": (instead("cloud-upload", "cloud-uplod"), "unknown alert family 'cloud-uplod'; did you mean cloud-"),
    "an unknown tool in facts": (instead("facts: {peers", "facts: {pears"), "unknown key 'pears'; did you mean peers?"),
    "an unknown tool to cite": (instead("[peers]", "[pears]"), "unknown tool 'pears'; did you mean peers?"),
    "two steps of one id": (instead("id: upload", "id: read"), ":21:13: step 'read' is there twice"),
    "a step after itself": (instead("step: read", "step: upload"), ":24:23: step 'upload' waits for itself"),
    "a step after none": (instead("step: read", "step: raed"), ":24:23: unknown step 'raed'; did you mean read?"),
    "an id that climbs out of the folder": (instead("small-theft", "../../etc/cron.d/x"), ":3:5: '../../etc/cron.d/x' is no id"),
    "a time zone that climbs out": (instead("days: 2", "days: 2, timezone: ../../../etc/passwd"), "unknown time zone"),
    "a login with a line break": (instead("login: nora", r'login: "nora\nbob"'), "is no login"),
    "controls in an id": (instead("small-theft", f'"{CONTROLS}"'), ":3:5: "),
    "controls in an unknown key": (instead("seed: 5", f'"{CONTROLS}": 5'), ":6:1: unknown key"),
    "a title of 100 kB": (instead("A small theft", "A" * 100_000), ":4:8: title: string should have at most 300 characters"),
    "a technique of 100 kB": (instead("T1039", "T1" + "0" * 100_000), ":17:20: unknown technique 'T100"),
    "a name of blanks": (instead("Nora Keller", '"  "'), "the text is blank; write at least one word"),
    "a twin that is the actor": (instead("login: nora", "login: alice"), "login 'alice' is taken"),
    "a twin that is nobody": (instead("login: nora}]", "login: u4711}]\n  no_name: true"), "login 'u4711' is taken"),
    "a login that is a mapping": (instead("login: alice", "login: {a: b}"), "login"),
    "a time in other digits": (instead("D1 11:00", "D1 1\uff11:00"), "is no time"),
    "5,000 people": (people(5_000), "more than 500 people are named"),
    "a schema of the future": (instead("schema: 1", "schema: 2"), ":1:9: schema: input should be 1; found 2"),
    "another ATT&CK": (instead('"18.1"', '"99"'), ":2:17: ATT&CK 99 is not at hand"),
    "a chain of 600 steps": (steps(600), ":12:3: 602 steps are more than 500"),
    "2,000 unknown keys": (lambda text: text + "".join(f"k{i}: 1\n" for i in range(2_000)), "and there are more mistakes"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_hostile_campaign_ends_in_a_message_at_its_place(
    name: str, campaign: str, tmp_path: Path, turncoat: Callable[..., Any], refused: Callable[..., str]
) -> None:
    spoil, expected = MISTAKES[name]
    text = spoil(campaign)
    (tmp_path / "c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    begun = time.process_time()
    said = refused("run", "c.yaml", "--variant", "scripted-severity", "--quiet")
    assert "turncoat: c.yaml" in said
    assert expected in said
    assert refused("scenarios", "show", "c.yaml") == said
    assert not (tmp_path / "runs").exists()
    assert time.process_time() - begun < 10  # no input may cost more than its size is worth


def test_validate_tells_the_same_mistakes(campaign: str, tmp_path: Path, turncoat: Callable[..., Any]) -> None:
    (tmp_path / "c.yaml").write_text(campaign.replace("T1039", r'"\e[2JT9999"').replace("seed: 5", "seed: .nan"))
    ended = turncoat("scenarios", "validate", "c.yaml")
    assert ended.code == 2
    assert ended.stdout.splitlines()[0] == "c.yaml:6:7: '.nan' is not a finite number; write a number"
    assert "c.yaml:17:20: unknown technique" in ended.stdout


@pytest.mark.parametrize("place", ["a folder", "a pipe", "a device", "nothing", "a name of 5,000 letters"])
def test_what_is_no_file_is_refused(place: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "c.yaml"
    if place == "a folder":
        path.mkdir()
    elif place == "a pipe":
        os.mkfifo(path)
    elif place == "a device":
        path.symlink_to("/dev/zero")
    name = "c" * 5_000 if place == "a name of 5,000 letters" else "c.yaml"
    assert refused("scenarios", "show", name).startswith(f"turncoat: {name[:100]}")


def test_controls_in_a_sound_campaign_reach_no_terminal(
    campaign: str, tmp_path: Path, turncoat: Callable[..., Any]
) -> None:
    for plain in (
        "A small theft",
        "Somebody takes a file.",
        "Take a file.",
        "Taking",
        "Reads the share",
        "Nora Keller",
    ):
        campaign = campaign.replace(plain, f'"{plain} {CONTROLS}[red]x[/red]"')
    campaign = campaign.replace("severity: low", f'severity: low, activity: "sent 9 MB {CONTROLS}", file: "{CONTROLS}"')
    (tmp_path / "c.yaml").write_text(campaign)
    assert turncoat("scenarios", "validate", "c.yaml").code == 0
    shown = turncoat("scenarios", "show", "c.yaml").stdout
    assert "A small theft" in shown
    assert "sent 9 MB" in shown
    ended = turncoat("run", "c.yaml", "--variant", "scripted-severity")
    assert ended.code == 0
    assert "nora: Bulk read from file share: scripted-severity escalate" in ended.stdout


def test_a_chain_told_from_its_end_is_sound(campaign: str, tmp_path: Path, turncoat: Callable[..., Any]) -> None:
    """Each step waits for the next one in the file."""
    text = steps(490)(campaign)
    head, chain = text.split("      - {id: s0", 1)
    lines, end = (f"      - {{id: s0{chain}").split("counterfactuals:", 1)
    turned = "".join(reversed(lines.splitlines(keepends=True)))
    (tmp_path / "c.yaml").write_text(f"{head}{turned}counterfactuals:{end}")
    assert turncoat("scenarios", "show", "c.yaml").code == 0


def test_a_chain_of_400_steps_is_long_and_sound(campaign: str, tmp_path: Path, turncoat: Callable[..., Any]) -> None:
    (tmp_path / "c.yaml").write_text(steps(400)(campaign))
    ended = turncoat("run", "c.yaml", "--variant", "scripted-severity", "--quiet")
    assert ended.code == 0


def test_a_process_of_its_own_ends_likewise(campaign: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(campaign.replace("seed: 5", 'seed: !!int ""'))
    ended = subprocess.run((*PROGRAM, "run", "c.yaml"), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr == "turncoat: c.yaml:6:7: '' is no valid value; mend it, or put it in quotes\n"
