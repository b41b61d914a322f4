"""Hostile text must reach neither the terminal nor rich's markup parser."""

from __future__ import annotations

import io
import random
import unicodedata

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turncoat.console.terminal import clean, plain, text

HOSTILE = {
    "colour": ("\x1b[31mred\x1b[0m", "red"),
    "clear screen": ("a\x1b[2J\x1b[Hb", "ab"),
    "eight-bit CSI": ("a\x9b31mb", "ab"),
    "window title": ("a\x1b]0;pwned\x07b", "ab"),
    "link": ("\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
    "unterminated OSC": ("a\x1b]52;c;ZXZpbA==", "a"),
    "device control": ("a\x1bP1;2|payload\x1b\\b", "ab"),
    "charset switch": ("a\x1b(0b", "ab"),
    "bare escape": ("a\x1b", "a"),
    "carriage return": ("benign\rmalicious", "benign malicious"),
    "line break": ("a\n\nb", "a b"),
    "backspace": ("evil\x08\x08", "evil"),
    "bell and NUL": ("a\x07\x00b", "ab"),
    "bidi override": ("a\u202egpj.exe", "agpj.exe"),
    "bidi isolate": ("a\u2066b\u2069", "ab"),
    "zero width": ("al\u200bi\u200dce\ufeff", "alice"),
    "tag characters": ("a\U000e0041\U000e0042b", "ab"),
    "line separator": ("a\u2028b", "a b"),
    "lone surrogate": ("a\ud800b", "ab"),
    "stacked marks": ("a" + "\u0301" * 30, "a\u0301\u0301"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_clean_leaves_only_what_is_printable(name: str) -> None:
    given, expected = HOSTILE[name]
    assert clean(given) == expected


def test_ordinary_words_in_any_script_pass_unchanged() -> None:
    for words in ("Zoë copied 412 MB to E:", "東京のファイル", "naïve – 100 % [sic]", "C:\\Users\\alice"):
        assert clean(words) == words


def test_markup_in_an_alert_is_printed_and_not_obeyed() -> None:
    given = "[bold red]escalated[/] [link=http://evil.example]x[/link] [/nonsense]"
    console = Console(file=io.StringIO(), width=200, force_terminal=True, highlight=False)
    console.print(plain(given))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert given in printed
    assert "\x1b]8" not in printed


def test_a_trailing_backslash_does_not_swallow_the_tag_after_it() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print("[bold]" + plain("C:\\") + "[/bold] end")
    assert console.file.getvalue() == "C:\\ end\n"  # type: ignore[attr-defined]


def test_brackets_and_backslashes_in_any_order_are_printed_as_they_are() -> None:
    rng = random.Random(5)
    for _ in range(3_000):
        words = clean("".join(rng.choice("\\[]a/#= x") for _ in range(rng.randint(0, 7))))
        assert Text.from_markup(f"[bold]{plain(words)}[/bold]", emoji=False).plain == words


def test_ten_megabytes_are_cut_to_the_limit() -> None:
    assert len(clean("\x1b[31mA" * 2_000_000, limit=50)) == 50
    assert clean("abcdef", limit=4) == "abc…"


def test_a_table_of_hostile_cells_holds_no_control_character() -> None:
    console = Console(file=io.StringIO(), width=80, no_color=True)
    table = Table("x")
    for given, _ in HOSTILE.values():
        table.add_row(text(given))
    console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert [c for c in printed if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"] == []
