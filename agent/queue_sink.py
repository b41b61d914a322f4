"""The cloud as a file: escalated alerts in a queue in the run folder, and what any sink tells of one."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.formats.flatten import MAX_FIELDS
from turncoat.scenarios.records import Alert, Entities

from .journal import Journal, read_rows
from .records import Investigation, Key


class QueueSink:
    """Appends to a file of JSON lines, which another program may follow. Survives being reopened or cut off.

    The file may grow on and on. Of each row in it memory holds the key's digest, about 100 bytes, and nothing more.
    """

    name = "queue"

    def __init__(self, path: Path) -> None:
        """Reads through what is there. Raises RunError if the file is not a queue."""
        self._sent = digests_in(path)
        self._journal = Journal(path, read=False)

    def send(self, alert: Alert, investigation: Investigation) -> None:
        digest = digest_of(investigation.key)
        if digest in self._sent:
            return
        self._journal.append(escalation(alert, investigation))
        self._sent.add(digest)

    def sync(self) -> None:
        self._journal.sync()

    def close(self) -> None:
        self._journal.close()


def escalation(alert: Alert, investigation: Investigation) -> dict[str, Any]:
    """What an analyst in the cloud needs to go on."""
    verdict, decision = investigation.verdict, investigation.decision
    p_malicious = verdict.p_malicious if verdict else None
    return {
        "uid": investigation.uid,
        "variant": investigation.variant,
        "principal": investigation.principal,
        "time": alert.time.isoformat(),
        "escalated": decision.simulated_time.isoformat(),
        "title": alert.title,
        "severity": str(alert.severity),
        "product": alert.product,
        "technique": alert.technique,
        "activity": alert.activity,
        "entities": {
            slot: value for slot in Entities.__slots__ if (value := getattr(alert.entities, slot)) is not None
        },
        "raw": dict(islice(alert.raw.items(), MAX_FIELDS)),
        "forced": decision.forced,
        "reason": decision.reason,
        "p_malicious": p_malicious if p_malicious is not None and math.isfinite(p_malicious) else None,
        "evidence": [f"{e.tool}: {e.answer}" for e in investigation.evidence],
    }


def key_of(row: dict[str, Any], place: str) -> Key:
    """Which investigation a row of a run folder is about. Raises RunError if it does not say."""
    uid, variant, principal = (row.get(name) for name in ("uid", "variant", "principal"))
    if not (isinstance(uid, str) and isinstance(variant, str) and isinstance(principal, str)):
        raise RunError(f"{place}: names no uid, variant and principal; was the file changed by hand?")
    return (uid, variant, principal)


def digest_of(key: Key) -> bytes:
    """15 bytes of BLAKE2b: no two keys share one by chance or by design, and an object of 48 bytes holds them."""
    return hashlib.blake2b(json.dumps(key).encode(), digest_size=15).digest()


def digests_in(path: Path) -> set[bytes]:
    """The keys of a file's rows. It may be of any size; memory holds one row at a time and about 100 bytes for each key.

    Raises:
        RunError: A row names no key, or is none of ours.
    """
    return {digest_of(key_of(row, place)) for place, row in read_rows(path, endless=True)}
