"""The one prompt: alert and evidence as text, for training and for inference alike.

Form: the fixed instruction, then the alert, then each tool's answer, one line each, then the cue whose next token is
the verdict. Alert text is attacker-controlled: a value can neither end its line nor hide in it (control, bidirectional and
other format characters are written as escapes), and the tokenizer never parses special tokens (see `encode`).

What is left out: the ATT&CK technique and raw vendor fields are low priority and give way, last first, when the token
budget is short; that is listed in `left_out`. Title, user, activity and evidence are required: where one of them is
longer than `FIELD_CHARACTERS` or the rest does not fit, `lost_required` says so and the agent escalates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from turncoat.scenarios.records import Alert
from turncoat.tools.toolbox import TOOLS

from .classifier import Case

PROMPT_VERSION = "1"
INSTRUCTION = "Decide whether this security alert is benign or malicious."
CUE = "verdict:"
TOKEN_BUDGET = 384
FIELD_CHARACTERS = 320
"""Longest value of one field; a longer one is cut, and a required one that was cut counts as lost."""
MOST_NAMED = 60
"""Fields that `left_out` names; the formats that we read have at most forty."""
_OUR_FIELDS = frozenset(("alert", "time", "user", "host", "process", "address", "file", "activity", "domain", "resource",
                         "technique", "verdict",
                         *TOOLS))  # fmt: skip
_SAME = 100
"""Characters by which two values are taken to be one."""
_LONGEST_TOKEN = 256
"""Bytes; more than any token of the vocabularies below."""
LABELS = (" benign", " malicious")
"""The two words that may follow the cue; single tokens in the vocabularies of SmolLM2, Qwen and Gemma 3."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """Text for the model, and what it had to do without."""

    text: str
    left_out: tuple[str, ...] = ()
    lost_required: bool = False


def render(case: Case, count: Callable[[str], int], *, budget: int = TOKEN_BUDGET) -> RenderedPrompt:
    """Writes a case as the model reads it.

    Args:
        case: Alert with the evidence gathered so far.
        count: Number of tokens of a text; called only for texts that could exceed the budget.
        budget: Most tokens of the whole prompt.
    """
    required = list(_alert_lines(case.alert))
    evidence = [(e.tool, e.answer) for e in case.context.evidence]
    lost = cuts_required(case)
    head, tail = [INSTRUCTION, *map(_line, required)], [*map(_line, evidence), CUE]
    optional = _lines_that_could_fit(case.alert, budget)
    while True:
        text = "\n".join([*head, *optional, *tail])
        # No token is shorter than one byte, so a text of at most `budget` bytes needs no counting.
        if len(text.encode()) <= budget or (tokens := count(text)) <= budget:
            break
        if not optional:
            return RenderedPrompt(_clip(text, count, budget), _names_left_out(case.alert, 0), lost_required=True)
        del optional[_keep(optional, tokens - budget, count) :]
    return RenderedPrompt(text, _names_left_out(case.alert, len(optional)), lost)


def cuts_required(case: Case) -> bool:
    """Whether a required field is longer than the prompt shows: then nobody who decides has read all of it."""
    required = (*_alert_lines(case.alert), *((e.tool, e.answer) for e in case.context.evidence))
    return any(len(value) > FIELD_CHARACTERS for _, value in required)


def escaped(value: str) -> str:
    """One visible line: line breaks, control and format characters as `\\xNN` or `\\uNNNN`, spaces collapsed."""
    shown = "".join(_visible(c) for c in value)
    return " ".join(shown.split())


def _visible(character: str) -> str:
    if character in "\t\n\r\v\f" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character


def _line(field: tuple[str, str]) -> str:
    name, value = field
    return f"{escaped(name[:64])}: {escaped(value[:FIELD_CHARACTERS])}"


def _alert_lines(alert: Alert) -> Iterator[tuple[str, str]]:
    entities = alert.entities
    yield "alert", f"{alert.title} ({alert.product}, {alert.severity.value})"
    yield "time", f"{alert.time:%a %H:%M}"
    if entities.user:
        yield "user", entities.user
    if entities.host:
        yield "host", entities.host
    if entities.process or entities.command_line:
        yield "process", entities.command_line or entities.process or ""
    if entities.address:
        yield "address", entities.address
    if entities.file:
        yield "file", entities.file
    if alert.activity:
        yield "activity", alert.activity


def _low_priority(alert: Alert) -> Iterator[tuple[str, str]]:
    """Fields of outside alerts that carry no weight of their own here; alerts of our own world have none."""
    if alert.technique and (alert.raw or alert.kind == "external"):
        yield "technique", alert.technique
    if alert.kind == "external":
        for name, value in (("domain", alert.entities.domain), ("resource", alert.entities.resource)):
            if value and not any(_says(said, value) for said in alert.raw.values()):
                yield name, value
    for name, value in alert.raw.items():
        # A vendor's field called `reputation` must not pass for the answer of our tool.
        ours = escaped(name.strip()[:64]).partition(":")[0].strip().casefold() in _OUR_FIELDS
        yield (f"raw {name}" if ours else name), value


def _says(said: str, value: str) -> bool:
    """Whether a vendor's field, as far as the prompt shows it, holds a value as a word, possibly cut."""
    start = value.casefold()[:_SAME]
    end = r"(?!\w)" if len(value) <= _SAME else ""
    return re.search(rf"(?<!\w){re.escape(start)}{end}", said[:FIELD_CHARACTERS].casefold()) is not None


def _lines_that_could_fit(alert: Alert, budget: int) -> list[str]:
    """The first low-priority lines; of thousands, or of megabytes, those that cannot fit are not even counted."""
    lines: list[str] = []
    room = budget * _LONGEST_TOKEN
    for field in islice(_low_priority(alert), max(0, budget)):  # a line takes at least one token
        lines.append(_line(field))
        room -= len(lines[-1].encode())
        if room < 0:
            break
    return lines


def _names_left_out(alert: Alert, kept: int) -> tuple[str, ...]:
    """As the prompt would have written them: these names reach terminals and files. Fields that it shows in part are named
    as cut, and of very many only the first."""
    fields = list(islice(_low_priority(alert), MOST_NAMED + kept + 1))
    cut = [f"{escaped(name[:64])} (cut)" for name, value in fields[:kept] if len(value) > FIELD_CHARACTERS]
    names = [*cut, *(escaped(name[:64]) for name, _ in fields[kept:])]
    return tuple(names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], "and more"])


def _keep(optional: list[str], excess: int, count: Callable[[str], int]) -> int:
    """How many of the optional lines remain when at least `excess` tokens have to go, last first."""
    keep = len(optional)
    while keep and excess > 0:
        keep -= 1
        excess -= max(1, count(optional[keep]) - 2)
    return min(keep, len(optional) - 1)


def _clip(text: str, count: Callable[[str], int], budget: int) -> str:
    """The beginning of a text that does not fit, so that a verdict can be recorded beside the forced escalation."""
    tokens = count(text)
    while tokens > budget:
        text = text[: max(1, len(text) * budget // (tokens + 1))]
        tokens = count(text)
    return text
