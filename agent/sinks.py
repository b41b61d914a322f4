"""Where an escalated alert goes: a queue in the run folder, a webhook, or the queue with a second opinion beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.records import Alert

from .outbound import Outbound
from .queue_sink import QueueSink
from .records import Investigation
from .second_opinion import SecondOpinionSink, endpoint
from .spool import Spool
from .webhook import WebhookSink

__all__ = ["SINKS", "SPOOL_FILE", "CloudSink", "QueueSink", "SinkOptions", "open_sink"]


SPOOL_FILE = "spool.sqlite"
"""In the run folder of a webhook: what was and what is still to be delivered."""


@runtime_checkable
class CloudSink(Protocol):
    """Takes what is escalated."""

    @property
    def name(self) -> str:
        """As in the registry."""
        ...

    def send(self, alert: Alert, investigation: Investigation) -> None:
        """Delivers once: sending the same uid, variant and principal again changes nothing.

        Raises:
            OSError: It could not be delivered. The run stops and delivers when it is resumed.
            RunError: The same, where a person can mend it.
        """
        ...

    def sync(self) -> None:
        """Waits until what was sent is delivered or on the disk: a power cut after it loses none of that.

        Raises:
            OSError: The disk failed; what was sent since the last time may be lost.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds; nothing is sent after it."""
        ...


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How to reach a sink outside the run folder. Belongs to no manifest: decisions do not depend on it."""

    url: str = field(default="", repr=False)
    """https, or http on loopback. Not shown: the path of a webhook is often its password."""
    token_env: str = field(default="", repr=False)
    """Name of the environment variable that holds the bearer token. Not shown: people give the token by mistake."""
    model: str = ""
    """What a second-opinion endpoint shall answer with."""
    timeout_s: float = 10.0
    """For one request from first to last byte."""
    attempts: int = 6
    """Tries for one alert before it waits for another occasion."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.timeout_s) and 0.0 < self.timeout_s <= 600.0):
            raise InputError.at("timeout_s", f"{self.timeout_s:g} is out of range", "give seconds above 0, at most 600")
        if not 1 <= self.attempts <= 100:
            raise InputError.at("attempts", f"{self.attempts} is out of range", "give 1 to 100")


def _queue(folder: Path, options: SinkOptions) -> CloudSink:
    del options
    return QueueSink(folder / "queue.jsonl")


def _to_webhook(options: SinkOptions) -> Outbound:
    return Outbound(options.url, token_env=options.token_env, timeout_s=options.timeout_s)


def _to_second_opinion(options: SinkOptions) -> Outbound:
    if not options.model.strip():
        raise InputError.at("model", "the second-opinion sink has no model to ask", "name one that the endpoint serves")
    return Outbound(endpoint(options.url), token_env=options.token_env, timeout_s=options.timeout_s)


def _webhook(folder: Path, options: SinkOptions) -> CloudSink:
    outbound = _to_webhook(options)
    return WebhookSink(Spool(folder / SPOOL_FILE), outbound, attempts=options.attempts)


def _second_opinion(folder: Path, options: SinkOptions) -> CloudSink:
    return SecondOpinionSink(folder, _to_second_opinion(options), options.model, attempts=options.attempts)


SINKS: dict[str, Callable[[Path, SinkOptions], CloudSink]] = {
    "queue": _queue,
    "second-opinion": _second_opinion,
    "webhook": _webhook,
}
"""Each opens its sink for a run folder."""


_OUTBOUND: dict[str, Callable[[SinkOptions], Outbound]] = {
    "second-opinion": _to_second_opinion,
    "webhook": _to_webhook,
}


def check_sink(name: str, options: SinkOptions | None = None) -> None:
    """That the sink of that name can be opened so; connects to nothing, and needs no folder yet.

    Raises:
        InputError: No sink has that name (the known ones are listed), or the options do not fit it.
    """
    _require_known(name)
    if name in _OUTBOUND:
        _OUTBOUND[name](options or SinkOptions()).close()


def open_sink(name: str, folder: Path, options: SinkOptions | None = None) -> CloudSink:
    """The sink of that name.

    Raises:
        InputError: As `check_sink`.
        RunError: What the run folder holds of it is not ours, or is in use.
    """
    _require_known(name)
    return SINKS[name](folder, options or SinkOptions())


def _require_known(name: str) -> None:
    if name not in SINKS:
        raise InputError.at("sink", f"unknown sink {name!r}", f"known are {', '.join(sorted(SINKS))}")
