"""What a source of lines has at this moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from turncoat.scenarios.formats.splitting import Batch, Source
from turncoat.scenarios.formats.stopping import Stop


def now(source: Source, most: int = 100) -> Batch | None:
    """What a source has at this moment: whoever waits for nothing is told to stop."""
    stop = Stop()
    timer = threading.Timer(0.15, stop.set)
    timer.start()
    try:
        return source.next_batch(most, 0.0, stop)
    finally:
        timer.cancel()


def everything(source: Source) -> Iterator[tuple[int, int, bytes]]:
    """(generation, offset, text) until nothing more comes for a while; of a fault the generation and the offset."""
    while (batch := now(source)) is not None:
        yield from ((line.generation, line.offset, b"!" if line.fault else line.text) for line in batch.lines)
