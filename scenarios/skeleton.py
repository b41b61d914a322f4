"""A campaign file to begin from: the commented template, or a skeleton of an attack that others have described."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib import resources

import yaml
from pydantic import TypeAdapter, ValidationError

from .attack import ATTACK_VERSION
from .errors import InputError
from .families import families
from .flows import Action, Flow
from .vocabulary import Id, quoted

_PER_DAY = 16
"""Steps that a skeleton puts into one day, half an hour apart."""


def template(id_: str) -> str:
    """The commented template, under an id of its own.

    Raises:
        InputError: The id has other characters than a-z, digits and dashes, or is too long.
    """
    try:
        TypeAdapter(Id).validate_python(id_)
    except ValidationError:
        raise InputError.at("ID", f"{quoted(id_)} is no id", "use a-z, digits and dashes, at most 60") from None
    text = resources.files(__package__).joinpath("templates/campaign.yaml").read_text(encoding="utf-8")
    return text.replace("\nid: my-campaign ", f"\nid: {_scalar(id_)} ", 1)


def skeleton(flow: Flow, name: str) -> str:
    """A campaign file that validates, with a TODO wherever a person must decide.

    Phases are the tactics in the order in which the flow comes to them; times follow the flow. An action whose
    technique the pinned ATT&CK does not know becomes a comment. All text of the flow is one cleaned line, quoted.

    Args:
        flow: As read.
        name: Of its file, for a flow that has no name of its own.

    Raises:
        InputError: No action has a technique that we know.
    """
    known = [action for action in flow.actions if action.technique]
    if not known:
        cure = "give the actions technique ids, such as T1059.001"
        raise InputError.at(name, f"no action has a technique of ATT&CK {ATTACK_VERSION}", cure)
    title = _line(flow.name, 200) or _line(name, 200) or "Imported attack"
    days = (len(known) - 1) // _PER_DAY + 1
    lines = [
        f"# Made by `turncoat scenarios import` from {_line(name, 100)}. Every TODO is for a person to decide; the text",
        "# comes from that file. `turncoat scenarios validate` checks this one, `turncoat scenarios show` tells it.",
        "schema: 1",
        f'attack_version: "{ATTACK_VERSION}"',
        f"id: {_scalar(_slug(title, set()))}",
        f"title: {_quoted(title)}",
        f"summary: {_quoted(_line(flow.description, 3_000) or title)}",
        "seed: 1",
        f"clock: {{start: 2026-03-02, days: {days}, timezone: UTC}}",
        "actor: {name: Alice Smith, login: alice, department: Finance, role: analyst}  # TODO: whose account acts",
        "objectives:",
        '  - "TODO: what the attacker wants"',
        "noise: {per_day: 10, lookalikes: 0.15, actor_share: 0.1}",
        "phases:",
        *_phases(known),
        "counterfactuals:",
        "  twins:",
        "    - {name: Nora Smith, login: nora}",
        "    - {name: Tessa Smith, login: tessa}",
    ]
    if flow.references:
        lines += [
            "references:",
            *(f"  - {_quoted(_line(cited, 300))}" for cited in flow.references if _line(cited, 300)),
        ]
    left = [action for action in flow.actions if not action.technique]
    if left:
        lines += ["# TODO: left out, for want of a technique that ATT&CK " + ATTACK_VERSION + " knows:"]
        lines += [
            f"#   {_line(action.name, 120) or 'unnamed'} ({_line(action.claimed, 20) or 'none'})" for action in left
        ]
    return "\n".join(lines) + "\n"


def _phases(actions: list[Action]) -> Iterator[str]:
    taken: set[str] = set()
    for tactic in dict.fromkeys(action.tactic or "execution" for action in actions):
        yield f"  - id: {tactic}"
        yield f"    title: {tactic.replace('-', ' ').capitalize()}"
        yield "    steps:"
        for number, action in enumerate(actions):
            if (action.tactic or "execution") == tactic:
                yield from _step(action, number, taken)


def _step(action: Action, number: int, taken: set[str]) -> Iterator[str]:
    day, slot = divmod(number, _PER_DAY)
    name = _line(action.name, 200) or action.technique or ""
    family = next((f.id for f in families().values() if action.technique in f.techniques), None)
    was = f"  # TODO: the flow says {_line(action.claimed, 20) or 'none'}" if action.claimed != action.technique else ""
    yield f"      - id: {_scalar(_slug(name, taken))}"
    yield f"        title: {_quoted(name)}"
    if about := _line(action.description, 300):
        yield f"        # {about}"
    yield f"        technique: {action.technique}{was}"
    yield f"        at: D{day + 1} {9 + slot // 2:02}:{30 * (slot % 2):02}"
    if family is None:
        yield "        alert: null  # no alert family of ours claims this technique"
        yield "        expect: {truth: malicious, escalate: false}"
    else:
        yield f"        alert: {{family: {family}}}  # TODO: the first family with that technique; say what it shows"
        yield "        expect: {truth: malicious, escalate: true}"


def _slug(text: str, taken: set[str]) -> str:
    """An id of a text that no other has yet; adds it to `taken`."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", folded.lower()).strip("-")[:50].strip("-") or "imported"
    id_, number = base, 2
    while id_ in taken:
        id_, number = f"{base}-{number}", number + 1
    taken.add(id_)
    return id_


def _scalar(id_: str) -> str:
    """An id as YAML reads it back: `null`, `2024-01-01` and `123` are no text without quotes."""
    try:
        return id_ if isinstance(yaml.safe_load(id_), str) else f'"{id_}"'
    except ValueError:  # such as `2024-13-45`, which looks like a day and is none
        return f'"{id_}"'


def _line(text: str, limit: int) -> str:
    """One printable line: what could end a comment, forge a line or control a terminal is a space or gone."""
    spaced = "".join(" " if c.isspace() else c for c in text[: 4 * limit])
    kept = "".join(
        c for c in spaced if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp")
    )
    words = " ".join(kept.split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def _quoted(line: str) -> str:
    """A double-quoted YAML scalar on one line."""
    return yaml.safe_dump(line, default_style='"', allow_unicode=True, width=100_000).strip()
