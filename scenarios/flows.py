"""Reads attacks that others have described, Attack Flow (.afb) and STIX 2.1 bundles, into a plain list of actions.

Files come from anywhere: size, depth and counts are bounded, references may be missing, double or circular, and
nothing is fetched. Sources: https://center-for-threat-informed-defense.github.io/attack-flow/ (files of the Builder,
version 2 with `template`, version 3 with `instance`; extension objects `attack-action`), STIX 2.1.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .attack import Technique, tactics, technique, techniques
from .errors import InputError

MAX_BYTES = 16 * 1024 * 1024
MAX_OBJECTS = 50_000
MAX_EDGES = 200_000
MAX_ACTIONS = 200
"""A campaign has about twenty steps; the longest flow in public use has some sixty."""

_TACTICS = dict(
    zip(("TA0043", "TA0042", "TA0001", "TA0002", "TA0003", "TA0004", "TA0005", "TA0006", "TA0007", "TA0008", "TA0009",
         "TA0011", "TA0010", "TA0040"), range(14), strict=True)
)  # fmt: skip
"""Id of a tactic -> its place in `tactics()`."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an attacker did."""

    name: str
    description: str
    technique: str | None
    """Id in the pinned ATT&CK version; None where the file names none that this version knows."""
    claimed: str
    """The id as the file has it, perhaps of another version; empty where there is none."""
    tactic: str | None
    """Short name: the file's, else the technique's first; None without both."""


@dataclass(frozen=True, slots=True)
class Flow:
    """An attack as a list of actions, each after those that lead to it."""

    name: str
    description: str
    actions: tuple[Action, ...]
    references: tuple[str, ...]


def read_flow(path: Path) -> Flow:
    """The flow that a file describes.

    Raises:
        InputError: Unreadable, too large or too deep, neither of the two formats, or without a single action.
    """
    content = _content(path)
    objects = content.get("objects")
    if not isinstance(objects, list) or not (content.get("type") == "bundle" or {"schema", "version"} & set(content)):
        raise InputError.at(path, "neither an Attack Flow nor a STIX bundle", "give a .afb file or a STIX 2.1 .json")
    if len(objects) > MAX_OBJECTS:
        raise InputError.at(path, f"more than {MAX_OBJECTS} objects", "cut out the part that is the attack")
    known = [thing for thing in objects if isinstance(thing, dict)]
    flow = _stix(known, path) if content.get("type") == "bundle" else _afb(known, path)
    if not flow.actions:
        raise InputError.at(path, "no action and no attack pattern in it", "an Attack Flow has objects of kind action")
    if len(flow.actions) > MAX_ACTIONS:
        fault = f"{len(flow.actions)} actions are more than {MAX_ACTIONS}"
        raise InputError.at(path, fault, "cut out the part that is one attack")
    return flow


def _content(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError.at(path, "there is no such file", "give a .afb file or a STIX 2.1 .json")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError.at(path, f"cannot be read: {error}", "check the path and its rights") from None
    if len(raw) > MAX_BYTES:
        raise InputError.at(path, f"larger than {MAX_BYTES >> 20} MiB", "cut out the part that is the attack")
    try:
        content = json.loads(raw)
    except RecursionError:
        raise InputError.at(path, "nested too deep", "give a file as its program saved it") from None
    except ValueError as error:  # bad JSON, bad UTF-8, a number of thousands of digits
        raise InputError.at(path, f"no JSON: {str(error)[:120]}", "give a file as its program saved it") from None
    if not isinstance(content, dict):
        raise InputError.at(path, "not a JSON object", "give a .afb file or a STIX 2.1 .json")
    return content


def _afb(objects: Sequence[Mapping[str, Any]], path: Path) -> Flow:
    """Blocks hang on lines by anchors: block -> anchors -> latches (version 2: line ends) <- line."""
    names = [_text(o.get("instance")) or _text(o.get("id")) for o in objects]
    kinds = [_text(o.get("template")) or _text(o.get("id")) for o in objects]
    by_name = dict(zip(names, objects, strict=True))
    kind_of = dict(zip(names, kinds, strict=True))
    owner: dict[str, str] = {}
    for name, thing in by_name.items():
        anchors = thing.get("anchors")
        held = anchors.values() if isinstance(anchors, dict) else _list(thing.get("children"))
        for anchor in (by_name.get(_text(a)) for a in held):
            ends = _list(anchor.get("latches")) or _list(anchor.get("children")) if anchor else []
            owner.update({end: name for end in map(_text, ends) if end and kind_of.get(name) != "flow"})
    edges = [
        (owner[a], owner[b]) for a, b in (_ends(o, kind_of) for o in objects) if a in owner and b in owner
    ]  # fmt: skip
    actions = {n: _afb_action(_properties(o)) for n, o, k in zip(names, objects, kinds, strict=True) if k == "action"}
    root = next((_properties(o) for o, k in zip(objects, kinds, strict=True) if k == "flow"), {})
    cited = [_properties({"properties": pair[1]}) for pair in _list(root.get("external_references"))
             if isinstance(pair, list) and len(pair) == 2]  # fmt: skip
    order = _ordered(list(by_name), edges, path)
    told = tuple(actions[name] for name in order if name in actions)
    return Flow(_text(root.get("name")), _text(root.get("description")), told, _references(cited))


def _ends(line: Mapping[str, Any], kind_of: Mapping[str, str]) -> tuple[str, str]:
    """The two ends of a line; empty where the object is none."""
    if "source" in line or "target" in line:
        return _text(line.get("source")), _text(line.get("target"))
    ends = [_text(child) for child in _list(line.get("children"))]
    first = next((end for end in ends if kind_of.get(end) == "@__builtin__line_source"), "")
    return first, next((end for end in ends if kind_of.get(end) == "@__builtin__line_target"), "")


def _afb_action(told: Mapping[str, Any]) -> Action:
    return _action(
        _text(told.get("name")),
        _text(told.get("description")),
        _text(told.get("technique_id")),
        _text(told.get("tactic_id")),
    )  # fmt: skip


def _properties(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A list of pairs, or a plain object."""
    told = thing.get("properties")
    if isinstance(told, dict):
        return told
    return {p[0]: p[1] for p in _list(told) if isinstance(p, list) and len(p) == 2 and isinstance(p[0], str)}


_EFFECTS = ("effect_refs", "on_true_refs", "on_false_refs", "start_refs")


def _stix(objects: Sequence[Mapping[str, Any]], path: Path) -> Flow:
    """Objects of the Attack Flow extension; without any, the attack patterns, by relationship and then by tactic."""
    by_id = {_text(o.get("id")): o for o in objects}
    edges = [
        (id_, _text(ref)) for id_, o in by_id.items() for key in _EFFECTS for ref in _list(o.get(key))
    ]  # fmt: skip
    edges += [
        (_text(o.get("source_ref")), _text(o.get("target_ref"))) for o in objects if o.get("type") == "relationship"
    ]
    actions = {id_: _stix_action(o, by_id) for id_, o in by_id.items() if o.get("type") == "attack-action"}
    ids = list(by_id)
    if not actions:
        patterns = {id_: o for id_, o in by_id.items() if o.get("type") == "attack-pattern" and not o.get("revoked")}
        actions = {id_: _pattern(o) for id_, o in patterns.items()}
        rank = {name: place for place, name in enumerate(tactics())}
        ids = sorted(actions, key=lambda id_: rank.get(actions[id_].tactic or "", len(rank)))
        edges = [(a, b) for a, b in edges if a in actions and b in actions]
    root = next((o for kind in ("attack-flow", "campaign", "report") for o in objects if o.get("type") == kind), {})
    told = tuple(actions[id_] for id_ in _ordered(ids, edges, path) if id_ in actions)
    cited = [r for r in _list(root.get("external_references")) if isinstance(r, dict)]
    return Flow(_text(root.get("name")), _text(root.get("description")), told, _references(cited))


def _stix_action(thing: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> Action:
    pattern = by_id.get(_text(thing.get("technique_ref")), {})
    claimed = _text(thing.get("technique_id")) or _external_id(pattern)
    return _action(_text(thing.get("name")), _text(thing.get("description")), claimed, _text(thing.get("tactic_id")))


def _pattern(thing: Mapping[str, Any]) -> Action:
    phases = (p for p in _list(thing.get("kill_chain_phases")) if isinstance(p, dict))
    tactic = next((_text(p.get("phase_name")) for p in phases if p.get("kill_chain_name") == "mitre-attack"), "")
    return _action(_text(thing.get("name")), _text(thing.get("description")), _external_id(thing), tactic)


def _external_id(thing: Mapping[str, Any]) -> str:
    cited = (r for r in _list(thing.get("external_references")) if isinstance(r, dict))
    return next((_text(r.get("external_id")) for r in cited if r.get("source_name") == "mitre-attack"), "")


def _action(name: str, description: str, claimed: str, tactic: str) -> Action:
    claimed = claimed.strip().upper()
    found = technique(claimed) or _named(name)
    place = _TACTICS.get(tactic.strip().upper())
    short = tactics()[place] if place is not None else tactic if tactic in tactics() else None
    if short is None and found is not None:
        short = found.tactics[0]
    return Action(name, description, found.id if found else None, claimed[:20], short)


def _named(name: str) -> Technique | None:
    """The one technique of that name: ids change between versions of ATT&CK, names mostly stay."""
    wanted = name.strip().lower()
    found = [t for t in techniques().values() if wanted in (t.name.lower(), t.name.split(": ")[-1].lower())]
    return found[0] if len(found) == 1 else None


def _ordered(names: Sequence[str], edges: Iterable[tuple[str, str]], place: Path) -> list[str]:
    """Each name after those that lead to it, else in the order given; a circle is entered at its first name."""
    index = {name: i for i, name in enumerate(names)}
    after: list[set[int]] = [set() for _ in names]
    for number, (a, b) in enumerate(edges):
        if number >= MAX_EDGES:
            raise InputError.at(place, f"more than {MAX_EDGES} lines", "cut out the part that is the attack")
        if a in index and b in index and a != b:
            after[index[a]].add(index[b])
    waiting = [0] * len(names)
    for followers in after:
        for i in followers:
            waiting[i] += 1
    ready = [i for i, count in enumerate(waiting) if count == 0]
    done: list[int] = []
    seen = [False] * len(names)
    next_left = 0
    while len(done) < len(names):
        if not ready:
            while seen[next_left]:
                next_left += 1
            ready = [next_left]
        i = heapq.heappop(ready)
        if seen[i]:
            continue
        seen[i] = True
        done.append(i)
        for j in after[i]:
            waiting[j] -= 1
            if waiting[j] == 0 and not seen[j]:
                heapq.heappush(ready, j)
    return [names[i] for i in done]


def _references(cited: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    told = (" ".join(part for key in ("source_name", "url") if (part := _text(c.get(key)).strip())) for c in cited)
    return tuple(text for text in told if re.search(r"\w", text))[:20]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Text of bounded length; empty for anything else."""
    return value[:4_000] if isinstance(value, str) else ""
