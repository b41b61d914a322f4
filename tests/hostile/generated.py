"""Properties over generated alerts, what they are drawn from, and what whatever is written or shown must be."""

from __future__ import annotations

import functools
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from turncoat.models.classifier import Case, Verdict
from turncoat.scenarios.enterprise import World
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Evidence
from turncoat.tools.toolbox import TOOLS

from . import strategies as hostile

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHOWN_NOWHERE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
tried: Counter[str] = Counter()
properties: dict[str, str] = {}
"""Name of each property -> module in which it stands."""


def generated(
    examples: int, **given_as: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property over so many examples, the same on every machine, which are counted."""

    def property_of(test: Callable[..., None]) -> Callable[..., None]:
        properties[test.__name__] = test.__module__.rpartition(".")[2]

        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            tried[test.__name__] += 1
            test(*args, **kwargs)

        slow = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
        repeatable = settings(
            max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=slow
        )
        return repeatable(given(**given_as)(counted))

    return property_of


def every_property_tried(module: str, *, at_least: int) -> None:
    """Stands last in a module of properties. Skips, visibly, where somebody ran only some of them."""
    own = [name for name, where in properties.items() if where == module.rpartition(".")[2]]
    if any(not tried[name] for name in own):
        pytest.skip("only part of the properties was run")
    assert sum(tried[name] for name in own) >= at_least


def strictly(text: str) -> Any:
    """JSON as other programs read it: no NaN, no key twice."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def as_line(thing: Any) -> str:
    """As `--out` and the queue write it; it must come back as it was."""
    text = json.dumps(thing, ensure_ascii=True, allow_nan=False)
    assert text.isascii()
    assert text.isprintable()
    assert strictly(text) == json.loads(json.dumps(thing))
    return text


def shown(*parts: RenderableType, width: int = 160) -> str:
    """As a terminal would get it, colours aside, which are ours; no character in it may control the terminal."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False, emoji=False
    )
    for part in parts:
        console.print(part)
    return harmless(console.file.getvalue())  # type: ignore[attr-defined]


def controls(text: str) -> set[str]:
    """Characters that control a terminal or that it cannot show, line breaks aside."""
    return {c for c in text if unicodedata.category(c) in SHOWN_NOWHERE} - {"\n"}


def harmless(text: str) -> str:
    assert controls(text) == set()
    return text


def too_long(alert: Alert) -> bool:
    """Whether a required field is longer than the 320 characters that a prompt shows."""
    who = alert.entities
    title = f"{alert.title} ({alert.product}, {alert.severity.value})"
    required = (title, who.user, who.host, who.command_line or who.process, who.address, who.file, alert.activity)
    return any(len(field or "") > 320 for field in required)


ANY_TEXT = hostile.texts()


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Fields filled from a few texts: one number says which field has which, for a draw per field takes too long."""
    pool = ["", *draw(st.lists(ANY_TEXT, min_size=2, max_size=4))]
    which = draw(st.integers(0, len(pool) ** 9 - 1))
    words = [pool[which // len(pool) ** place % len(pool)] for place in range(9)]
    raw = dict(zip(draw(st.lists(hostile.KEYS, max_size=4)), words, strict=False))
    return Alert(
        uid="u-1",
        time=datetime(1970, 1, 2, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 1_138_000))),
        title=words[0],
        severity=draw(st.sampled_from(Severity)),
        product=words[1],
        technique="T1078" if which % 2 else None,
        kind="external",
        activity=words[2],
        entities=Entities(*(word or None for word in (*words[3:8], None, words[8]))),
        raw=raw,
    )


ALERTS = alerts()
EVIDENCE = st.builds(
    Evidence, st.sampled_from(sorted(TOOLS)), ANY_TEXT, ANY_TEXT, st.sampled_from((0.0, 2.5)), st.booleans()
)


ANSWERS = st.lists(EVIDENCE, max_size=3).map(tuple)


OWN_LINES, FINDING_LINES = hostile.lines(hostile.own_alerts()), hostile.lines(hostile.findings())


class Faulty:
    """A classifier that fails in one way or another."""

    fingerprint = "faulty"

    def __init__(self, answer: Callable[[Sequence[Case]], Any]) -> None:
        self._answer = answer

    def classify(self, cases: Sequence[Case]) -> Any:
        return self._answer(cases) if cases else []


def failing(cases: Sequence[Case]) -> Any:
    raise ValueError(f"{cases[0].alert.title}\n{cases[0].alert.raw}")


CALM = Verdict("benign", 0.01, -4.6, "faulty", 90)
WORLD = World(
    seed=0, pool="", domain="", people=(), hosts=(), service_accounts=(), networks=(), changes=(), partners={},
    indicators=(), baselines={},
)  # fmt: skip
