"""What the person at the desk can do: the key, the words, and the form to fill in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from rich.text import Text

from turncoat.agent.exercise.actions import cost_of
from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.view_records import AlertView, PlayerView
from turncoat.console.terminal import clean

from .words import action_text, outside, span, when


@dataclass(frozen=True)
class Deed:
    """Something that can be done at the desk."""

    kind: str
    key: str
    """As Textual names keys."""
    shown: str
    """The key, as people name it."""
    short: str
    """For the line of keys."""
    title: str
    of_alert: bool = False
    """Done with an alert: the open case, or the one that is chosen in the queue."""


@dataclass(frozen=True)
class Field:
    """One line, or one list, of a form."""

    name: str
    label: str
    value: str = ""
    choices: tuple[tuple[str, Text], ...] = ()
    """(value, words); empty for a line of text."""
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Names that may be meant, as shown -> as they are: suggestions while typing."""
    needed: bool = True


@dataclass(frozen=True)
class DeedForm:
    """A deed with what is to be filled in. No fields: it is done at once."""

    deed: Deed
    fields: tuple[Field, ...]
    fixed: Mapping[str, str]
    """What goes with it unasked."""
    about: str = ""
    """The alert that it is about."""

    def payload(self, typed: Mapping[str, str]) -> dict[str, str]:
        """What is sent: a name that was cleaned for the screen goes as it is."""
        meant = {f.name: f.names.get(typed.get(f.name, ""), typed.get(f.name, "")) for f in self.fields}
        return {**self.fixed, **meant}


DEEDS: tuple[Deed, ...] = (
    Deed("open", "enter", "Enter", "Open", "Open the case", of_alert=True),
    Deed("ask", "a", "a", "Ask", "Ask a tool", of_alert=True),
    Deed("override", "o", "o", "Overrule", "Overrule the model", of_alert=True),
    Deed("audit", "u", "u", "Audit", "Pull dismissed alerts for an audit"),
    Deed("isolate", "i", "i", "Isolate", "Isolate a host"),
    Deed("disable", "d", "d", "Disable", "Disable an account"),
    Deed("preserve", "p", "p", "Preserve", "Preserve evidence"),
    Deed("call", "c", "c", "Call", "Call HR or legal"),
    Deed("swap", "m", "m", "Model", "Swap the triage model"),
    Deed("declare", "exclamation_mark", "!", "Declare", "Declare an incident"),
    Deed("note", "t", "t", "Note", "Write a note"),
)
BY_KIND: Mapping[str, Deed] = MappingProxyType({deed.kind: deed for deed in DEEDS})
FEEDBACK = Deed("feedback", "f", "f", "Feedback", "Say what you think of the exercise")
_DECISIONS = tuple((word, action_text(word)) for word in ("escalate", "review", "dismiss"))
WAITED_FOR = ("ask",)
"""Deeds whose answer the clock moves on to; longer ones stay in hand while the clock runs."""


def form_of(deed: Deed, exercise: Exercise, view: PlayerView, alert: AlertView | None) -> DeedForm:
    """The form of a deed, filled in with what the alert suggests.

    Args:
        deed: One of `DEEDS`, or `FEEDBACK`.
        exercise: For the inventory of hosts and accounts.
        view: What is known.
        alert: The open case or the chosen alert; may be None for deeds that are not about one.
    """
    entities = alert.entities if alert else {}
    hosts, users = _hosts(exercise, view), _users(exercise, view)
    fields: Mapping[str, tuple[Field, ...]] = {
        "ask": (_tools(view, alert), Field("value", "About somebody or something else", needed=False)),
        "override": (
            Field("action", "Your decision", choices=_DECISIONS),
            Field("reason", "Why"),
        ),
        "audit": (
            Field("count", "How many alerts, 1 to 100", "10"),
            Field("user", "Only of this account (empty: all)", names=users, needed=False),
            Field("host", "Only of this host (empty: all)", names=hosts, needed=False),
        ),
        "isolate": (Field("host", "Host", clean(entities.get("host", "")), names=hosts), Field("reason", "Why")),
        "disable": (Field("user", "Account", clean(entities.get("user", "")), names=users), Field("reason", "Why")),
        "preserve": (
            Field("target", "Of which host, account or mailbox",
                  clean(entities.get("host") or entities.get("user") or ""), names={**users, **hosts}),
            Field("reason", "Why (may stay empty)", needed=False),
        ),
        "call": (
            Field("whom", "Whom", choices=(("hr", Text("HR")), ("legal", Text("Legal")))),
            Field("about", "What you ask or tell"),
        ),
        "swap": (Field("reason", "Why"),),
        "declare": (Field("summary", "What has happened, in one sentence"),),
        "note": (Field("text", "Note"),),
        "feedback": (Field("text", "What went well, what did not"), Field("rating", "1 (not worth it) to 5 (very much)", "3")),
    }  # fmt: skip
    about_alert = alert is not None and deed.of_alert
    fixed = {"uid": alert.uid} if alert is not None and about_alert else {}
    about = clean(alert.title, 200) if alert is not None and about_alert else ""
    return DeedForm(deed, fields.get(deed.kind, ()), fixed, about)


def cost_words(form: DeedForm, typed: Mapping[str, str], exercise: Exercise, view: PlayerView) -> str:
    """How long it takes and when it is done, in simulated time; said before it is done."""
    try:
        return cost_told(cost_of(form.deed.kind, form.payload(typed), exercise.material), exercise, view)
    except (ValueError, OverflowError):  # a number that is still being typed
        return ""


def cost_told(takes: timedelta | None, exercise: Exercise, view: PlayerView) -> str:
    """A cost in words."""
    if takes is None:
        return "takes no time"
    return f"takes {span(takes)}, done {when(exercise.now + takes, view.clock.zone)}"


def menu_words(deed: Deed, view: PlayerView) -> str:
    """What a deed costs, for a list of deeds."""
    minutes = view.costs_minutes
    if deed.kind in ("ask", "call"):
        costs = [tool.cost_s for tool in view.tools] if deed.kind == "ask" else [
            60 * minutes["call hr"], 60 * minutes["call legal"]]  # fmt: skip
        low, high = span(min(costs)), span(max(costs))
        return low if low == high else f"{low} to {high}"
    if deed.kind in minutes:
        each = " for each alert" if deed.kind == "audit" else ""
        return f"{span(60 * minutes[deed.kind])}{each}"
    return "no time"


def _tools(view: PlayerView, alert: AlertView | None) -> Field:
    asked = {line.tool for line in alert.evidence} if alert else set()
    width = max(len(tool.name) for tool in view.tools)
    rows = []
    for tool in view.tools:
        mark = "✓" if tool.name in asked else " "
        words = Text.assemble(
            f"{mark} {tool.name:<{width}} {span(tool.cost_s):>5}  ", outside(tool.description, limit=120)
        )
        rows.append((tool.name, words))
    return Field("tool", "Tool (✓ has answered)", choices=tuple(rows))


def _names(*sources: Callable[[], list[str]]) -> Mapping[str, str]:
    return {clean(name): name for source in sources for name in source() if clean(name)}


def _hosts(exercise: Exercise, view: PlayerView) -> Mapping[str, str]:
    """Those of the alerts first, then the company's inventory."""
    return _names(
        lambda: [alert.entities["host"] for alert in view.alerts if "host" in alert.entities],
        lambda: [host.name for host in exercise.material.stream.world.hosts],
    )


def _users(exercise: Exercise, view: PlayerView) -> Mapping[str, str]:
    return _names(
        lambda: [alert.entities["user"] for alert in view.alerts if "user" in alert.entities],
        lambda: [person.login for person in exercise.material.stream.world.people],
    )
