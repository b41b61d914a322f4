"""Bytes become lines, lines become alerts; and a pipe in place of a file."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.formats.line_parsers import line_format, read_line
from turncoat.scenarios.formats.splitting import CHUNK_BYTES, Line, Splitter, Spot
from turncoat.scenarios.formats.stopping import Stop
from turncoat.scenarios.formats.stream import StreamReader

from .reading import everything, now

GOOD = b'{"uid": "a", "time": "2025-01-01T00:00:00Z", "title": "t"}'
NEVER = Stop()


def test_however_the_bytes_are_cut_the_lines_are_the_same() -> None:
    rng = random.Random(5)
    for _ in range(200):
        text = bytes(rng.choice(b"ab\n") for _ in range(rng.randrange(60)))
        splitter, found, at = Splitter(Spot(), longest=8), list[Line](), 0
        while at < len(text):
            cut = rng.randrange(1, 9)
            splitter.feed(text[at : at + cut])
            at += cut
            while line := splitter.take():
                found.append(line)
        found += [line] if (line := splitter.rest()) else []
        offsets = [0, *(n + 1 for n, byte in enumerate(text) if byte == 10)]
        wanted = [
            (offset, b"!" if len(words) > 8 else words)
            for offset, words in zip(offsets, text.split(b"\n"), strict=True)
            if words or offset < len(text)
        ]
        assert [(line.offset, b"!" if line.fault else line.text) for line in found] == wanted


def test_a_pipe_is_read_no_faster_than_it_is_asked(tmp_path: Path) -> None:
    read, write = os.pipe()
    written = 0

    def produce() -> None:
        nonlocal written
        try:
            while True:
                written += os.write(write, b"x" * 99 + b"\n")
        except BrokenPipeError:
            os.close(write)

    threading.Thread(target=produce, daemon=True).start()
    source = StreamReader(read)
    for _ in range(3):
        batch = source.next_batch(2, 1.0, NEVER)
        assert batch is not None
        assert len(batch.lines) == 2
    time.sleep(0.2)
    assert written <= 2 * CHUNK_BYTES + 100  # one chunk here, one in the pipe
    os.close(read)


def test_a_stream_ends_with_its_last_line_which_nothing_ends() -> None:
    read, write = os.pipe()
    os.write(write, b"one\ntwo")
    os.close(write)
    source = StreamReader(read)
    assert list(everything(source)) == [(0, 0, b"one"), (0, 4, b"two")]
    assert now(source) is None
    os.close(read)


def test_what_an_earlier_reader_had_taken_comes_first_and_is_not_joined_to_the_new_stream() -> None:
    read, write = os.pipe()
    os.write(write, b"of the new stream\n")
    os.close(write)
    kept = list[bytes]()
    source = StreamReader(read, spot=Spot(3, 50), leftover=b"left\nhal", keep=kept.append)
    found = list(everything(source))
    assert found == [(3, 50, b"left"), (3, 55, b"hal"), (4, 0, b"of the new stream")]
    assert b"".join(kept) == b"of the new stream\n"
    os.close(read)


def test_a_line_is_an_alert_a_mistake_at_its_place_or_nothing() -> None:
    found = [read_line(Line(0, 7, text), "log", "jsonl") for text in (GOOD, b" ", b"{", b"[" * 200_000, b"\xff")]
    assert [type(one) for one in found] == [LabelledAlert, type(None), Mistake, Mistake, Mistake]
    assert isinstance(found[0], LabelledAlert)
    assert (found[0].alert.uid, found[0].place) == ("a", "log@7")
    assert isinstance(found[2], Mistake)
    assert str(found[2]).startswith("log@7: not valid JSON at column 2")


def test_a_format_of_whole_files_cannot_be_followed() -> None:
    with pytest.raises(InputError, match=r"'panther' has no alert a line.*; choose one of jsonl, ocsf"):
        line_format("panther")
