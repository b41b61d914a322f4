"""Screens above the desk: a page to read, and a form to fill in. Meanwhile the clock stands still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from turncoat.scenarios.errors import InputError

from .deeds import DeedForm, Field
from .words import ACCENT, BAD, outside

SHORT = [(0, "-short"), (36, "-tall")]
"""Rows from which on a window is tall."""


class Page(ModalScreen[bool]):
    """Something to read. Enter closes it with True, Escape with False.

    Args:
        title: Our own words.
        body: A renderable whose text from outside was cleaned.
        hint: What Enter does; may say what Escape does.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close(True)", "Go on", show=False),
        Binding("escape,q", "close(False)", "Back", show=False),
    ]

    def __init__(self, title: str, body: RenderableType, hint: str = "Enter goes on", *, wide: bool = False) -> None:
        super().__init__(classes="-roomy" if wide else "")
        self._head, self._body, self._hint = title, body, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Text(self._head, style="bold"), classes="head")
            with VerticalScroll(classes="body"):
                yield Static(self._body)
            yield Static(Text(self._hint, style=ACCENT), classes="hint")

    def on_mount(self) -> None:
        self.query_one(".body").focus()

    def action_close(self, answer: bool) -> None:
        self.dismiss(answer)


class Form(ModalScreen[bool]):
    """A deed's form. Enter sends it; a refusal is shown in place, and the form stays.

    Args:
        form: What to fill in.
        send: Does it; raises InputError if it is refused.
        cost: Says what it costs, filled in so far.
    """

    VERTICAL_BREAKPOINTS = SHORT
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(
        self,
        form: DeedForm,
        send: Callable[[Mapping[str, str]], None],
        cost: Callable[[Mapping[str, str]], str],
    ) -> None:
        super().__init__(classes="-roomy" if any(field.choices for field in form.fields) else "")
        self._form, self._send, self._cost = form, send, cost

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Text(self._form.deed.title, style="bold"), classes="head")
            if self._form.about:
                yield Static(outside(self._form.about), classes="about")
            with VerticalScroll(classes="body form", can_focus=False):
                for field in self._form.fields:
                    yield Static(Text(field.label), classes="label")
                    yield _entry(field)
            yield Static(id="cost")
            yield Static(id="fault")
            yield Static(Text("Enter sends   Tab next field   Esc back", style=ACCENT), classes="hint")

    def on_mount(self) -> None:
        empty = [f for f in self._form.fields if f.choices or not f.value]
        self._entry((empty or list(self._form.fields))[0].name).focus()
        self._tell_cost()

    def typed(self) -> dict[str, str]:
        """What is filled in so far."""
        return {field.name: self._value(field) for field in self._form.fields}

    def on_input_changed(self, event: Input.Changed) -> None:
        self._tell_cost()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._tell_cost()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._enter(event.input)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._enter(event.option_list)

    def action_leave(self) -> None:
        self.dismiss(False)

    def _enter(self, where: Widget) -> None:
        """Goes to what is still missing first, and sends a form that is complete."""
        missing = [self._entry(f.name) for f in self._form.fields if f.needed and not self._value(f).strip()]
        if missing and where not in missing:
            missing[0].focus()
            return
        try:
            self._send(self._form.payload(self.typed()))
        except InputError as fault:
            told = self.query_one("#fault", Static)
            told.update(outside(str(fault), f"bold {BAD}", 300))
            told.display = True
            wrong = [m.place for m in fault.mistakes if m.place in self.typed()]
            if wrong:
                self._entry(wrong[0]).focus()
        else:
            self.dismiss(True)

    def _tell_cost(self) -> None:
        self.query_one("#cost", Static).update(Text(self._cost(self.typed()), style="bold"))

    def _entry(self, name: str) -> Widget:
        return self.query_one(f"#{name}")

    def _value(self, field: Field) -> str:
        entry = self._entry(field.name)
        if isinstance(entry, OptionList):
            return field.choices[entry.highlighted or 0][0]
        return entry.value if isinstance(entry, Input) else ""


class Menu(ModalScreen[str | None]):
    """A list to choose from; gives the chosen id, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Back", show=False)]

    def __init__(self, title: str, rows: tuple[tuple[str, Text], ...]) -> None:
        super().__init__()
        self._head, self._rows = title, rows

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Text(self._head, style="bold"), classes="head")
            yield OptionList(*(Option(words, id=name) for name, words in self._rows), id="menu", markup=False)
            yield Static(Text("Enter chooses   Esc back", style=ACCENT), classes="hint")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_leave(self) -> None:
        self.dismiss(None)


def _entry(field: Field) -> Widget:
    if field.choices:
        return OptionList(*(Option(words) for _, words in field.choices), id=field.name, markup=False)
    suggester = SuggestFromList(field.names, case_sensitive=False) if field.names else None
    return Input(field.value, id=field.name, suggester=suggester, compact=True)
