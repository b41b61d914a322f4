"""Real files that grow, shrink and move, and real pipes: every line once, in order, and never more in memory than asked."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.formats.follow import FileFollower
from turncoat.scenarios.formats.splitting import CHUNK_BYTES, NOWHERE, Spot
from turncoat.scenarios.formats.stopping import Stop

from .reading import everything, now

NEVER = Stop()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"")
    return path


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def follower(path: Path, spot: Spot | None = None, longest: int = 1 << 20) -> FileFollower:
    return FileFollower(path, spot, longest=longest, poll_s=0.01, grace_s=0.05)


def older(path: Path, seconds: int) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_lines_come_with_their_offsets_and_an_unfinished_one_waits(log: Path) -> None:
    add(log, b"one\n\ntwo\nthr")
    with closing(follower(log)) as source:
        assert list(everything(source)) == [(0, 0, b"one"), (0, 4, b""), (0, 5, b"two")]
        add(log, b"ee")
        assert now(source) is None
        add(log, b"\nfour\n")
        assert list(everything(source)) == [(0, 9, b"three"), (0, 15, b"four")]
        assert source.behind() == 0


def test_a_follower_goes_on_where_another_stood(log: Path) -> None:
    add(log, b"one\ntwo\nthree\n")
    with closing(follower(log)) as first:
        batch = first.next_batch(2, 1.0, NEVER)
    assert batch is not None
    assert batch.end.offset == 8
    with closing(follower(log, batch.end)) as second:
        assert list(everything(second)) == [(0, 8, b"three")]


def test_an_overlong_line_is_one_fault_as_soon_as_it_shows_and_is_not_held(log: Path) -> None:
    add(log, b"a\n" + b"x" * 5_000)
    with closing(follower(log, longest=1000)) as source:
        assert list(everything(source)) == [(0, 0, b"a"), (0, 2, b"!")]
        add(log, b"x" * 300_000)
        assert now(source) is None
        assert len(source._splitter.held) == 0
        spot = source.spot
        add(log, b"x\nb\n")
        assert list(everything(source)) == [(0, 305_003 + 1, b"b")]
    with closing(follower(log, spot)) as again:
        assert list(everything(again)) == [(0, 305_004, b"b")]  # its rest is passed over after a restart too


@pytest.mark.parametrize("after", [b"new\n", b"a whole lot of other and longer lines than before\nnew\n"])
def test_a_file_that_was_cut_off_or_rewritten_is_begun_anew_with_a_remark(log: Path, after: bytes) -> None:
    add(log, b"one\ntwo\n")
    with closing(follower(log)) as source:
        assert len(list(everything(source))) == 2
        log.write_bytes(after)
        generation, offset, text = next(found := everything(source))
        assert (generation, offset, text) == (1, NOWHERE, b"!")
        assert list(found)[-1] == (1, after.index(b"new"), b"new")


def test_a_renamed_file_is_finished_before_the_new_one_is_begun(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        assert list(everything(source)) == [(0, 0, b"one")]
        log.rename(log.with_name("alerts.jsonl.1"))
        add(log, b"three\n")
        add(log.with_name("alerts.jsonl.1"), b"two\nunended")  # its writer has not noticed yet
        assert list(everything(source)) == [(0, 4, b"two"), (0, 8, b"unended"), (1, 0, b"three")]


def test_what_comes_into_a_renamed_file_after_it_was_left_is_remarked_upon(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        assert list(everything(source)) == [(0, 0, b"one")]
        log.rename(log.with_name("alerts.jsonl.1"))
        add(log, b"two\n")
        assert list(everything(source)) == [(1, 0, b"two")]
        add(log.with_name("alerts.jsonl.1"), b"late\n")  # its writer noticed only now
        batch = now(source)
        assert batch is not None
        assert [(line.generation, line.offset, line.fault) for line in batch.lines] == [
            (1, NOWHERE, "not read, because they came after the file had been rotated: bytes 4 to 9 of it")
        ]
        assert list(everything(source)) == []


def test_a_file_that_was_restored_is_gone_on_with_and_not_read_anew(log: Path) -> None:
    lines = [b"%03d " % number + b"x" * 60 for number in range(5)]
    add(log, b"".join(line + b"\n" for line in lines))
    with closing(follower(log)) as source:
        assert len(list(everything(source))) == 5
        spot = source.spot
    copy = log.with_name("copy")
    copy.write_bytes(log.read_bytes())
    copy.replace(log)
    add(log, b"new\n")
    with closing(follower(log, spot)) as source:
        assert list(everything(source)) == [(0, spot.offset, b"new")]


def test_the_place_in_a_new_file_is_told_before_anything_of_it_is(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        log.rename(log.with_name("alerts.jsonl.1"))
        add(log, b"two\n")
        batches = [source.next_batch(100, 0.5, NEVER) for _ in range(2)]
    assert batches[0] is not None
    assert batches[1] is not None
    assert (batches[0].end.generation, batches[0].end.offset, batches[0].end.inode) == (1, 0, log.stat().st_ino)
    assert [line.text for line in batches[1].lines] == [b"two"]


def test_files_that_were_rotated_twice_while_nobody_followed_are_all_read(log: Path) -> None:
    add(log, b"one\ntwo\n")
    with closing(follower(log)) as source:
        batch = source.next_batch(1, 1.0, NEVER)
    assert batch is not None
    log.rename(log.with_name("alerts.jsonl.2"))
    older(log.with_name("alerts.jsonl.2"), 100)
    add(log.with_name("alerts.jsonl.1"), b"three\n")
    older(log.with_name("alerts.jsonl.1"), 50)
    add(log, b"four\n")
    add(log.with_name("alerts.jsonl.bak"), b"none of rotation's\n")
    with closing(follower(log, batch.end)) as source:
        assert list(everything(source)) == [(0, 4, b"two"), (1, 0, b"three"), (2, 0, b"four")]


def test_a_file_that_was_packed_before_its_turn_is_remarked_upon(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        assert list(everything(source)) == [(0, 0, b"one")]
        log.rename(log.with_name("alerts.jsonl.2"))
        older(log.with_name("alerts.jsonl.2"), 100)
        add(log.with_name("alerts.jsonl.1.gz"), b"\x1f\x8b")
        add(log, b"three\n")
        batches = [source.next_batch(9, 0.2, NEVER) for _ in range(2)]
    lines = [line for batch in batches if batch for line in batch.lines]
    assert [(line.generation, line.offset, line.text) for line in lines] == [(1, NOWHERE, b""), (1, 0, b"three")]
    assert lines[0].fault == "not read, because it was packed before its turn came: alerts.jsonl.1.gz"


class CreatedLate(type(Path())):  # type: ignore[misc]
    """The path of a log that rotation creates anew just after somebody found it missing."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        try:
            return os.stat(self, follow_symlinks=follow_symlinks)
        except FileNotFoundError:
            add(Path(self), b"two\n")
            raise


def test_a_file_that_rotation_creates_as_it_is_looked_for_is_followed(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(CreatedLate(log))) as source:
        log.rename(log.with_name("alerts.jsonl.1"))
        assert list(everything(source)) == [(0, 0, b"one"), (1, 0, b"two")]


class PackedLate(FileFollower):
    """Rotation packs the file whose turn it is just after it was found."""

    def _successor(self) -> tuple[Path, str]:
        found, fault = super()._successor()
        if found != self.path:
            found.rename(f"{found}.gz")
        return found, fault


def test_a_file_that_is_packed_as_its_turn_comes_is_remarked_upon(log: Path) -> None:
    add(log, b"one\n")
    with closing(PackedLate(log, poll_s=0.01, grace_s=0.05)) as source:
        assert list(everything(source)) == [(0, 0, b"one")]
        log.rename(log.with_name("alerts.jsonl.2"))
        older(log.with_name("alerts.jsonl.2"), 100)
        add(log.with_name("alerts.jsonl.1"), b"two\n")
        add(log, b"three\n")
        assert list(everything(source)) == [(1, NOWHERE, b"!"), (1, 0, b"three")]


def test_what_is_there_in_place_of_the_file_and_cannot_be_followed_ends_it(log: Path) -> None:
    with closing(follower(log)) as source:
        log.rename(log.with_name("alerts.jsonl.1"))
        os.mkfifo(log)
        with pytest.raises(InputError, match="no regular file"):
            list(everything(source))


def test_a_file_that_was_replaced_while_nobody_followed_is_remarked_upon_first(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        assert len(list(everything(source))) == 1
        spot = source.spot
    log.write_bytes(b"other\nlines\n")  # the same inode, longer than before
    with closing(follower(log, spot)) as source:
        assert list(everything(source)) == [(1, NOWHERE, b"!"), (1, 0, b"other"), (1, 6, b"lines")]


def test_a_batch_has_at_most_as_many_lines_as_asked_and_reads_little_more(log: Path) -> None:
    add(log, (b"x" * 99 + b"\n") * 50_000)
    with closing(follower(log)) as source:
        batch = source.next_batch(3, 5.0, NEVER)
        assert batch is not None
        assert len(batch.lines) == 3
        assert source._splitter.end <= CHUNK_BYTES
        assert source.behind() == 5_000_000 - 300


def test_a_batch_that_has_begun_does_not_wait_for_more_than_it_should(log: Path) -> None:
    add(log, b"one\n")
    with closing(follower(log)) as source:
        begun = time.monotonic()
        batch = source.next_batch(10, 0.2, NEVER)
        assert batch is not None
        assert 0.2 <= time.monotonic() - begun < 2.0


def test_somebody_who_waits_is_woken_to_stop(log: Path) -> None:
    stop = Stop()
    with closing(FileFollower(log, poll_s=60.0)) as source:
        threading.Timer(0.1, stop.set).start()
        begun = time.monotonic()
        assert source.next_batch(10, 1.0, stop) is None
        assert time.monotonic() - begun < 5.0


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, fault in (("pipe", "no regular file; .* - to read from a pipe"), ("absent", "no such file")):
        with pytest.raises(InputError, match=fault):
            FileFollower(tmp_path / name)
