"""Which raw fields of a vendor's event a row shows. The default shows them as the reader ordered them.

A prompt has 384 tokens, and a vendor's event often fills them with identifiers. The other choices are options of a
study; none is used by `triage` or by a shipped adapter.

| choice | what |
|---|---|
| all | as read: up to 40 fields of up to 240 characters, the prompt cuts the last ones |
| plain | without values that only a machine reads: hexadecimal ids, UUIDs, ARNs' account numbers, times, user agents |
| short | as plain; keys cut to their last two parts, values to 48 characters, 420 characters in all |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_IDENTIFIER = re.compile(
    r"(?i)^(?:[0-9a-f]{8}-[0-9a-f]{4}-.*|[0-9a-f]{12,}|\d{5,}|\d{4}-\d\d-\d\d.*|\d{1,2}/\d{1,2}/\d{2,4} .*"
    r"|(?=[a-z0-9_+/=-]{16,}$)(?=(?:[^0-9]*\d){4})[a-z0-9_+/=-]+)$"
)
_TOLD_ELSEWHERE = re.compile(r"(?i)(useragent|user_agent|accountid|account_id|eventsource|tenantid|tenant_id|_?id)$")
_VALUE_CHARACTERS = 48
_ALL_CHARACTERS = 420


def plain_fields(raw: Mapping[str, str]) -> dict[str, str]:
    """Without values that only a machine reads."""
    return {
        name: value
        for name, value in raw.items()
        if not _IDENTIFIER.match(value) and not _TOLD_ELSEWHERE.search(name.rpartition(".")[2])
    }


def short_fields(raw: Mapping[str, str]) -> dict[str, str]:
    """As `plain_fields`, in about 150 tokens: keys without their path, values cut, as many as fit."""
    kept: dict[str, str] = {}
    room = _ALL_CHARACTERS
    for name, value in plain_fields(raw).items():
        key = ".".join([part for part in name.split(".") if not part.isdigit()][-2:])
        if key in kept:
            continue
        words = value if len(value) <= _VALUE_CHARACTERS else f"{value[: _VALUE_CHARACTERS - 1]}…"
        room -= len(key) + len(words)
        if room < 0:
            break
        kept[key] = words
    return kept


FIELD_CHOICES: Mapping[str, Callable[[Mapping[str, str]], dict[str, str]]] = MappingProxyType(
    {"all": dict, "plain": plain_fields, "short": short_fields}
)
