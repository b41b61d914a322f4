"""The schema of SARIF 2.1.0, against which everything that is written as SARIF is held."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest


def require_sarif(log: dict[str, Any]) -> None:
    """Fails where a log does not validate, or where the schema would let anything pass."""
    check = _compiled()
    written = json.loads(json.dumps(log, allow_nan=False))
    check(written)
    written["runs"][0]["results"] = [{"ruleId": "x"}]
    with pytest.raises(fastjsonschema.JsonSchemaException, match="message"):
        check(written)


@cache
def _compiled() -> Callable[[object], object]:
    text = (Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json").read_text()
    found: Callable[[object], object] = fastjsonschema.compile(json.loads(text))
    return found
