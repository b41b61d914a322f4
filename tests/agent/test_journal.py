from __future__ import annotations

import resource
from pathlib import Path

import pytest

from turncoat.agent import journal
from turncoat.agent.journal import Journal, read_rows
from turncoat.scenarios.errors import RunError


def test_rows_come_back_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Journal(path) as rows:
        rows.append({"n": 1})
        rows.append({"n": 2, "text": "a\nb\u2028"})
    assert list(read_rows(path)) == [(f"{path}:1", {"n": 1}), (f"{path}:2", {"n": 2, "text": "a\nb\u2028"})]


def test_each_row_is_on_disk_before_the_next(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as rows:
        rows.append({"n": 1})
        assert (tmp_path / "rows.jsonl").read_bytes() == b'{"n":1}\n'


@pytest.mark.parametrize("torn", [b'{"n":', b'{"n":2}', b"\xff", b"\x00\x00"])
def test_a_torn_last_line_is_passed_over_in_reading_and_cut_off_in_opening(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n":1}\n' + torn)
    assert [row for _, row in read_rows(path)] == [{"n": 1}]
    with Journal(path) as rows:
        rows.append({"n": 3})
    assert path.read_bytes() == b'{"n":1}\n{"n":3}\n'


@pytest.mark.parametrize("line", [b"{", b"1", b'{"n": NaN}', b'{"n": -Infinity}', b"\xff\xfe", b"[" * 100_000, b""])
def test_a_whole_line_that_is_no_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n":1}\n' + line + b"\n")
    with pytest.raises(RunError, match=r"rows\.jsonl:2: "):
        Journal(path)


def test_a_line_longer_than_any_of_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_LINE_BYTES", 20)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n":1}\n{"text":"' + b"x" * 30 + b'"}\n')
    with pytest.raises(RunError, match=r"rows\.jsonl:2: a line of more than"):
        Journal(path)


def test_nan_is_never_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as rows, pytest.raises(ValueError, match="not JSON compliant"):
        rows.append({"p": float("nan")})
    assert (tmp_path / "rows.jsonl").read_bytes() == b""


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep\nme")
    (tmp_path / "rows.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises((OSError, RunError)):
        Journal(tmp_path / "rows.jsonl")
    assert (tmp_path / "precious").read_text() == "keep\nme"


@pytest.mark.parametrize("durable", [False, True])
def test_a_row_that_found_no_room_leaves_nothing_and_can_be_appended_again(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "rows.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path, durable=durable) as rows:
        rows.append({"n": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                rows.append({"n": 2, "text": "x" * 50})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == b'{"n":1}\n'
        rows.append({"n": 2})
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'
