"""The rule by which a vendor's JSON becomes the `raw` fields of an alert, and the bounds that hold for outside text.

The rule, in order:
1. Nested keys are joined by dots. A list of scalars becomes one comma-separated value; a list of `{name, value}` (or
   `key`, `type`, `Name`, `new_value`, ...) pairs becomes one field per name; any other list counts its items from 0.
2. Dropped: empty values; keys in `DROPPED_NAMES` and those that start with `p_` (the log pipeline's own columns);
   identifiers that no analyst reads (`DROPPED_ENDINGS`); a value already kept under another key; keys used for entities.
3. Sorted by what the key speaks of: what was done, how it ended, what was asked for, who did it, from where, then all the
   rest; within a rank in the order of the document. A prompt that runs out of room loses the last ones first.
4. At most `MAX_FIELDS` fields, each value at most `MAX_RAW_CHARACTERS` characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

MAX_CHARACTERS = 4_000
"""Longest text of a field. Far more than a prompt shows of one, so a field that is cut here is one that the prompt reports."""
MAX_RAW_CHARACTERS = 240
MAX_FIELDS = 40
MAX_DEPTH = 24
MAX_NODES = 5_000
"""Nodes visited in one event: aliases of a hostile YAML file can stand for billions."""
MAX_JOINED = 1 << 16
"""Characters after which a list of scalars is cut: each of its items may be an alias of the same long text."""

DROPPED_NAMES = frozenset(
    """eventversion apiversion schemaversion version requestid eventid insertid correlationid messageid uuid etag kind
    accesskeyid principalid sharedeventid tlsversion ciphersuite clientprovidedhostheader receivetimestamp eventcategory
    lat lon latitude longitude postalcode offset customeridstring customerid uniquequalifier profileid sessionid
    operationversion recordid trace_id request_id managementevent metadata_version resourceversion creationtimestamp
    rawuseragent zone externalsessionid transactionid eventtime timestamp time published creationdate created_at date_create
    messagetime eventcreationtime utctimestamp durationms sourcetype @type at_sign_type logname""".split()
)
DROPPED_ENDINGS = ("_uuid", "traceid", "trace_id", "rowid", "fingerprint", "checksum")

_RANKS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"(^|[._])(eventname|event_?name|event_?type|action_?name|action|methodname|operation_?name|operation|verb"
        r"|event|activity|type|actionname|name|query_text|commandline|cmdline|requesturi|httpmethod)$",
        r"(result|outcome|status|error_?code|error_?message|granted|success|response_?code|consolelogin|reason|level"
        r"|allowed|decision|verdict|score|mfa)",
        r"(requestparameters|parameters|params|request|target|object|changes|modified|new_?value|old_?value|preaction"
        r"|postaction|permission|scope|role|policy|bindings|resource|setting|visibility|properties)",
        r"(user|actor|identity|principal|caller|account|email|member|group|initiated)",
        r"(country|city|state|agent|browser|device|host|ip|region|location|domain|asn|isp)",
    )
)
_NAME_KEYS = ("name", "key", "type", "parameter", "field")
_VALUE_KEYS = ("value", "valuestring", "new_value", "newvalue", "new", "boolvalue", "intvalue", "multivalue")


def bounded(text: object, limit: int = MAX_CHARACTERS) -> str:
    """Text of at most about `limit` characters, valid as UTF-8; what was cut off leaves a mark that says how long it was."""
    words = str(text)
    kept = words if len(words) <= limit else f"{words[:limit]} [cut: {len(words)} characters]"
    return kept.encode("utf-8", "replace").decode("utf-8")


def leaves(event: Any) -> Iterator[tuple[str, Any]]:
    """Dotted key and scalar of everything in `event`, in the order of the document, within the bounds above."""
    budget = [MAX_NODES]
    yield from _walk(event, "", 0, budget)


def _walk(thing: Any, path: str, depth: int, budget: list[int]) -> Iterator[tuple[str, Any]]:
    budget[0] -= 1
    if budget[0] < 0:
        return
    if depth > MAX_DEPTH:
        yield path, "[cut: nested too deeply]"
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _walk(value, f"{path}.{key}" if path else str(key), depth + 1, budget)
    elif isinstance(thing, list):
        if all(not isinstance(item, Mapping | list) for item in thing):
            budget[0] -= len(thing)
            yield path, _joined(thing[:MAX_NODES])
            return
        for index, item in enumerate(thing):
            if budget[0] < 0:
                return
            named = _as_pair(item)
            if named is not None:
                yield from _walk(named[1], f"{path}.{bounded(named[0], 80)}", depth + 1, budget)
            else:
                yield from _walk(item, f"{path}.{index}", depth + 1, budget)
    else:
        yield path, thing


def _joined(items: list[Any]) -> str:
    words: list[str] = []
    length = 0
    for item in items:
        words.append(str(item))
        length += len(words[-1])
        if length > MAX_JOINED:
            words.append("[cut: a long list]")
            break
    return ", ".join(words)


def _as_pair(item: Any) -> tuple[str, Any] | None:
    """Name and value where the item is a record of just these two, such as `{"Name": "Identity", "Value": "homer"}`."""
    if not isinstance(item, Mapping) or not 2 <= len(item) <= 3:
        return None
    lower = {str(key).lower(): value for key, value in item.items()}
    name = next((lower[key] for key in _NAME_KEYS if isinstance(lower.get(key), str)), None)
    values = [lower[key] for key in _VALUE_KEYS if lower.get(key) not in (None, "", [], {})]
    return (name, values[0]) if name and values else None


def flatten(event: Any, used: Collection[str] = ()) -> dict[str, str]:
    """The `raw` fields of an alert from a vendor's event, by the rule in this module's docstring.

    Args:
        event: JSON as read.
        used: Dotted keys to leave out, because an entity already says them.
    """
    kept: list[tuple[int, str, str]] = []
    said: set[str] = set()
    for path, value in leaves(event):
        text = bounded(value, MAX_RAW_CHARACTERS).strip()
        if path in used or _is_dropped(path) or text in ("", "None", "null", "[]", "{}", "-") or text in said:
            continue
        if len(text) > 5:  # short values such as "true" or "200" mean something else under each key
            said.add(text)
        kept.append((_rank(path), bounded(path, 120), text))
    kept.sort(key=lambda field: field[0])  # stable: the document's order within a rank
    return {path: text for _, path, text in kept[:MAX_FIELDS]}


def spread(*sources: Mapping[str, Any]) -> dict[str, str]:
    """The `raw` fields of an alert that names its fields itself: all of them, in their order, and none left out unsaid.

    Args:
        sources: JSON as read; what comes first stays where there is too much.

    Returns:
        Nested keys joined by dots, values bounded; where there are more than `MAX_FIELDS`, the last one says how many
        more there are.
    """
    kept: dict[str, str] = {}
    more = 0
    for source in sources:
        for path, value in leaves(source):
            if value is None:
                continue
            name, text = bounded(path, 120), bounded(value)
            if name in kept:
                kept[name] = bounded(f"{kept[name]}, {text}")
            elif len(kept) < MAX_FIELDS:
                kept[name] = text
            else:
                more += 1
    if more:
        last, _ = kept.popitem()
        kept["further fields"] = f"{more + 1}, from {last} on, are not shown"
    return kept


def _is_dropped(path: str) -> bool:
    segments = path.lower().split(".")
    last = segments[-1] if not segments[-1].isdigit() or len(segments) == 1 else segments[-2]
    return segments[0].startswith("p_") or last in DROPPED_NAMES or last.endswith(DROPPED_ENDINGS)


def _rank(path: str) -> int:
    for rank, pattern in enumerate(_RANKS):
        if pattern.search(path) and (rank > 0 or path.count(".") <= 1):
            return rank
    return len(_RANKS)
