"""What is read before, between and after: the briefing, the help, a notice, and how it really was."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import PLAYERS, ROLE_NAMES, Occurrence
from turncoat.agent.exercise.view_records import ExpectedView, FacilitatorView, PlayerView, StepView
from turncoat.console.terminal import clean

from .deeds import DEEDS
from .words import ACCENT, BAD, GOOD, QUIET, WARN, outside, when

_CLOCK_KEYS = (
    ("Space", "pause the clock, and let it run again"),
    ("+ -", "faster, slower: 1 to 600 simulated seconds a second"),
    ("n", "on to the next thing that you can see"),
    ("N", "on by an hour"),
)
_OTHER_KEYS = (
    ("1 2 3", "notices, what is in hand, the log"),
    ("Tab", "to the next part of the desk; arrows move within it"),
    ("Esc", "close the case, or go back to the queue"),
    ("b", "the briefing again"),
    ("x", "all that you can do, and what it costs"),
    ("e", "end the exercise before its time"),
    ("q", "quit; the same command with the same --out goes on"),
)
_FATES = {
    "coming": ("had not come", QUIET),
    "undetected": ("no rule saw it", QUIET),
    "escalate": ("model escalated it", GOOD),
    "review": ("model asked for a review", WARN),
    "dismiss": ("model closed it", BAD),
    "prevented": ("you prevented it", GOOD),
}
_STANDINGS = {
    "met": ("✓ done", GOOD),
    "late": ("✓ late", WARN),
    "overdue": ("✗ not done", BAD),
    "open": ("✗ not done", BAD),
}


def briefing(exercise: Exercise, view: PlayerView) -> RenderableType:
    """The situation, what each role answers for, and what is to be reached."""
    briefs = [(ROLE_NAMES[role], exercise.view(role).brief) for role in PLAYERS]
    parts: list[RenderableType] = [outside(view.title, f"bold {ACCENT}"), Text(""), outside(view.situation), Text("")]
    parts += [Text("You play all three roles.", style="bold"), _pairs(briefs), Text("")]
    parts += [Text("Objectives", style="bold"), *(Text.assemble("• ", outside(words)) for words in view.objectives)]
    return Group(*parts)


def help_page() -> RenderableType:
    """Every key."""
    deeds = [(deed.shown, deed.title) for deed in DEEDS]
    legend = (
        ("•", "an alert that you have not opened"),
        ("◦", "one that an audit found, not opened"),
        ("✎", "one that you have overruled; the desk column shows your word"),
    )
    parts: list[RenderableType] = []
    for title, rows in (
        ("What you can do", deeds),
        ("The clock", _CLOCK_KEYS),
        ("The desk", _OTHER_KEYS),
        ("Signs", legend),
    ):
        parts += [Text(title, style="bold"), _pairs(rows), Text("")]
    parts.append(Text("The clock stands still while a page or a form is open.", style=QUIET))
    return Group(*parts)


def notice(event: Occurrence, zone: str) -> tuple[str, RenderableType]:
    """Title and text of something that a role is told."""
    roles = " and the ".join(ROLE_NAMES.get(role, clean(role, 20)) for role in event.payload["to"])
    return f"{when(event.at, zone)}  For the {roles}", outside(event.payload["text"])


def ending(view: FacilitatorView, report: Text) -> RenderableType:
    """How it really was, beside what the desk knew: the first page that may say so. `report`: where more is told."""
    zone = view.clock.zone
    attack = [step for step in view.steps if step.malicious and step.fate != "coming"]
    unseen = [step for step in attack if step.fate == "dismiss" and step.known_at is None]
    verdict = Text.assemble(
        "The triage model before your desk was ", outside(view.variant, f"bold {BAD}", 80),
        ", the one that a swap brings ", outside(view.reference, "bold", 80), f". {view.dismissed} alerts were closed; ",
        "steps of the attack among them that you never saw: ", (f"{len(unseen)}", f"bold {BAD if unseen else GOOD}"), ".",
    )  # fmt: skip
    return Group(
        verdict, Text(""), report, Text(""),
        Text("The attack", style="bold"), _steps(attack, zone), Text(""),
        Text("What was expected of you", style="bold"), _expected(view.expected, zone),
    )  # fmt: skip


def _steps(steps: list[StepView], zone: str) -> RenderableType:
    if not steps:
        return Padding(Text("None of it had begun.", style=QUIET), (0, 0, 0, 2))
    table = _table("when", "step", "what became of it", "known to you")
    for step in steps:
        known = Text(when(step.known_at, zone)) if step.known_at else Text("never", style=BAD)
        fate = Text(*_FATES[step.fate])
        table.add_row(Text(when(step.at, zone)), outside(step.title, limit=200), fate, known)
    return table


def _expected(expected: tuple[ExpectedView, ...], zone: str) -> RenderableType:
    table = _table("by", "action", "role", "")
    for item in expected:
        done = Text(*_STANDINGS[item.standing])
        if item.met_at is not None:
            done.append(f" {when(item.met_at, zone)}", style="")
        table.add_row(Text(when(item.by, zone)), outside(item.told, limit=200), Text(item.role), done)
    return table


def _table(*labels: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), expand=True)
    for number, label in enumerate(labels):
        table.add_column(Text(label, style=QUIET), ratio=1 if number == 1 else None, overflow="fold")
    return table


def _pairs(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=max(len(name) for name, _ in rows))
    grid.add_column(overflow="fold")
    for name, words in rows:
        grid.add_row(Text(name, style=ACCENT), outside(words))
    return grid
