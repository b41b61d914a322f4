"""What hostile text becomes before it goes anywhere."""

from __future__ import annotations

import json

from turncoat.agent.plain_text import bounded, error_line, one_line


def test_a_text_is_one_printable_line_of_bounded_length() -> None:
    assert one_line("a\nb\x1b[2J\u202e") == "a b?[2J?"
    assert len(one_line("x" * 10**6)) == 300
    assert one_line("abcdef", 4) == "abc…"


def test_an_error_tells_its_kind() -> None:
    assert error_line(ValueError("no\nsuch\x07")) == "ValueError: no such?"
    assert len(error_line(ValueError("x" * 10**6))) == 200


def test_texts_in_lists_and_mappings_are_cut_and_can_be_stored_anywhere() -> None:
    found = bounded({"a\0": ["b" * 9, 7, None, "\ud800"], 3: {"c": True}}, 5)
    assert found == {"a\ufffd": ["bbbb…", 7, None, "\ufffd"], "3": {"c": True}}
    json.dumps(found, ensure_ascii=False).encode()
