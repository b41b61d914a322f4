"""Where an escalated alert goes. In a replay the cloud is a queue in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.records import Alert

from .journal import Journal
from .records import Investigation, Key


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
        """
        ...

    def close(self) -> None:
        """Gives back what it holds; nothing is sent after it."""
        ...


class QueueSink:
    """Appends to a file of JSON lines, which another program may follow. Survives being reopened or cut off."""

    name = "queue"

    def __init__(self, path: Path) -> None:
        """Raises RunError if the file is not a queue."""
        self._journal = Journal(path)
        self._sent: set[Key] = {_key(row, place) for place, row in self._journal.rows}
        self._journal.rows.clear()

    def send(self, alert: Alert, investigation: Investigation) -> None:
        if investigation.key in self._sent:
            return
        self._journal.append(_item(alert, investigation))
        self._sent.add(investigation.key)

    def close(self) -> None:
        self._journal.close()


def _item(alert: Alert, investigation: Investigation) -> dict[str, Any]:
    """What an analyst in the cloud needs to go on."""
    verdict, decision = investigation.verdict, investigation.decision
    return {
        "uid": investigation.uid,
        "variant": investigation.variant,
        "principal": investigation.principal,
        "time": alert.time.isoformat(),
        "escalated": decision.simulated_time.isoformat(),
        "title": alert.title,
        "severity": str(alert.severity),
        "user": alert.entities.user,
        "host": alert.entities.host,
        "forced": decision.forced,
        "reason": decision.reason,
        "p_malicious": verdict.p_malicious if verdict else None,
        "evidence": [f"{e.tool}: {e.answer}" for e in investigation.evidence],
    }


def _key(row: dict[str, Any], place: str) -> Key:
    uid, variant, principal = (row.get(name) for name in ("uid", "variant", "principal"))
    if not (isinstance(uid, str) and isinstance(variant, str) and isinstance(principal, str)):
        raise RunError(f"{place}: names no uid, variant and principal; was the file changed by hand?")
    return (uid, variant, principal)


SINKS: dict[str, Callable[[Path], CloudSink]] = {"queue": lambda folder: QueueSink(folder / "queue.jsonl")}
"""Each opens its sink for a run folder."""


def open_sink(name: str, folder: Path) -> CloudSink:
    """The sink of that name.

    Raises:
        InputError: No sink has that name; the known ones are listed.
    """
    if name not in SINKS:
        raise InputError.at("sink", f"unknown sink {name!r}", f"known are {', '.join(sorted(SINKS))}")
    return SINKS[name](folder)
