"""Wires a triage that goes on and on: a growing file or standard input, the variants, a sink, the state folder, signals."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from turncoat.agent.position import StateFolder, Tally
from turncoat.agent.records import Settings
from turncoat.agent.sinks import CloudSink, SinkOptions, open_sink
from turncoat.agent.spool import DeliveryReport
from turncoat.agent.triage import NoCloud
from turncoat.agent.triage_stream import BATCH, WAIT_S, triage_stream
from turncoat.models.variants import open_variants
from turncoat.scenarios.errors import InputError
from turncoat.scenarios.formats.follow import FileFollower
from turncoat.scenarios.formats.line_parsers import line_format
from turncoat.scenarios.formats.splitting import Source
from turncoat.scenarios.formats.stopping import Stop
from turncoat.scenarios.formats.stream import StreamReader

from .output import print_json_line
from .run_order import unused_sink_options
from .status import StatusLine

STANDARD_INPUT = "-"
_RATE_BATCHES = 30
"""Batches over which the speed is taken: that of last night says nothing about now."""


@dataclass(frozen=True)
class FollowOrder:
    """What is to be followed, and where things go."""

    path: str
    """A file, or `-`."""
    format: str
    variants: list[str]
    base: str
    state: str = ""
    """Folder; empty: nothing outlives the process, decisions are printed, nothing is sent anywhere."""
    sink: str = ""
    """Name in `SINKS`; empty for the queue in the state folder."""
    options: SinkOptions | None = None
    batch: int = BATCH
    wait_s: float = WAIT_S
    limit: int = 0


@dataclass(frozen=True)
class Followed:
    """How it ended."""

    tally: Tally
    """Of the state folder, earlier processes included."""
    here: int
    """Alerts of this process."""
    seconds: float
    delivery: DeliveryReport | None
    """Of a sink that delivers to somewhere else."""
    state: str
    unasked: int = 0
    """Alerts that a second model was not asked about."""


def follow(order: FollowOrder, status: StatusLine) -> Followed:
    """Triages until the stream ends, the limit is reached, or SIGINT or SIGTERM comes; a second SIGINT breaks off.

    Raises:
        InputError: Unknown format, variant or sink, a missing path, a sink without a state folder.
        RunError: The state folder is in use, belongs to another source, or was tampered with.
        OSError: Something could not be written or delivered; started again, it goes on where it was.
    """
    line_format(order.format)
    if order.sink and not order.state:
        raise InputError.at("--sink", "needs a folder that remembers what was sent", "name one with --state")
    if ignored := list(unused_sink_options(order.sink or "queue", order.options or SinkOptions())):
        raise InputError(*ignored)
    with ExitStack() as things, _told_to_stop() as stop:
        folder = Path(order.state or things.enter_context(tempfile.TemporaryDirectory(prefix="turncoat-")))
        state = things.enter_context(StateFolder.open(folder, _identity(order)))
        source = things.enter_context(closing(_source(order, state)))
        sink = things.enter_context(closing(_sink(order, folder)))
        status.show("loading the models")
        variants = open_variants(order.variants, order.base)
        watch = _Watch(status, source, sink, state.tally)
        status.show(f"following {source.name}")
        rows = triage_stream(
            source, order.format, variants, Settings(), sink, state,
            batch=order.batch, wait_s=order.wait_s, limit=order.limit, stop=stop, on_batch=watch.show,
        )  # fmt: skip
        for row in rows:
            if not order.state:
                print_json_line(row)
        seconds = time.monotonic() - watch.begun
        status.show("handing over what is left to deliver")
    return Followed(state.tally, watch.here, seconds, _delivery(sink), order.state, getattr(sink, "unasked", 0))


def summary_lines(followed: Followed) -> Iterator[str]:
    """The end in a few words, plain text."""
    tally = followed.tally
    speed = followed.here / followed.seconds if followed.seconds > 0 else 0.0
    yield f"{followed.here:,} alerts in {followed.seconds:,.1f} s ({speed:,.1f} a second)"
    yield (
        f"{tally.lines:,} in all: {tally.escalated:,} escalated ({tally.forced:,} forced, {tally.unreadable:,} of them "
        f"unreadable), {tally.dismissed:,} dismissed, {tally.reviewed:,} for review"
    )
    if followed.delivery is not None:
        sent = followed.delivery
        yield f"sent: {sent.delivered:,} delivered, {sent.queued:,} waiting, {sent.undeliverable:,} refused"
    if followed.unasked:
        yield f"second opinion: {followed.unasked:,} not asked for, while the endpoint rested after silence"
    if followed.state:
        yield f"State: {followed.state} (started again with the same --state, it goes on from here)"


def _identity(order: FollowOrder) -> str:
    path = STANDARD_INPUT if order.path == STANDARD_INPUT else os.path.abspath(order.path)
    return f"{order.format} {path}".encode("utf-8", "replace").decode()


def _source(order: FollowOrder, state: StateFolder) -> Source:
    if order.path != STANDARD_INPUT:
        return FileFollower(Path(order.path), state.spot)
    if sys.stdin is None:
        raise InputError.at("-", "standard input is closed", "pipe alerts into it, or name a file")
    leftover = state.pending.leftover(state.spot) if state.spot else b""
    reader = StreamReader(sys.stdin.fileno(), spot=state.spot, leftover=leftover, keep=state.pending.keep)
    state.pending.begin(reader.spot, leftover)
    return reader


def _sink(order: FollowOrder, folder: Path) -> CloudSink:
    return open_sink(order.sink or "queue", folder, order.options) if order.state else NoCloud()


@contextmanager
def _told_to_stop() -> Iterator[Stop]:
    """A flag that SIGINT and SIGTERM set. After the first of them the next SIGINT is a Ctrl-C as ever."""
    stop = Stop()

    def told(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # first, so that the way out is open whatever comes
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watch:
    """Turns the tally after each batch into one line of progress."""

    def __init__(self, status: StatusLine, source: Source, sink: CloudSink, tally: Tally) -> None:
        self._status, self._source, self._sink = status, source, sink
        self.begun, self.here = time.monotonic(), 0
        self._lines_before = tally.lines
        self._ends: deque[tuple[float, int]] = deque([(self.begun, tally.lines)], maxlen=_RATE_BATCHES)

    def show(self, tally: Tally) -> None:
        now = time.monotonic()
        self.here = tally.lines - self._lines_before
        since, lines = self._ends[0]
        self._ends.append((now, tally.lines))
        rate = (tally.lines - lines) / max(now - since, 1e-3)
        waiting = f", {self._source.behind() / 1024:,.0f} KiB behind"
        sent = _delivery(self._sink)
        unsent = f", {sent.queued:,} unsent" if sent else ""
        if sent and sent.undeliverable:
            unsent += f", {sent.undeliverable:,} refused"
        self._status.show(
            f"{tally.lines:,} alerts, {rate:,.1f} a second{waiting}; {tally.escalated:,} escalated "
            f"({tally.forced:,} forced){unsent}"
        )


def _delivery(sink: CloudSink) -> DeliveryReport | None:
    report = getattr(sink, "report", None)
    return report if isinstance(report, DeliveryReport) else None
