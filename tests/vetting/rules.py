"""Probes and candidates by hand, so that every statistic can be checked on paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from turncoat.models.classifier import Case
from turncoat.scenarios.identity import Identity
from turncoat.scenarios.records import Alert, Entities, Severity
from turncoat.tools.records import Context
from turncoat.vetting.candidate import Answering
from turncoat.vetting.detector import Budget, Examination
from turncoat.vetting.directory import Directory
from turncoat.vetting.probes import Probe, ProbeSet

from .scripted import Rule, ScriptedCandidate


def person(login: str) -> Identity:
    return Identity.named(f"{login.capitalize()} Stone", login, "corp.example")


def probe(number: int, *, host: str | None = None, address: str | None = None, command: str | None = None,
          title: str = "", named: bool = True) -> Probe:  # fmt: skip
    """The malicious alert of `userNN`."""
    login = f"user{chr(97 + number // 26)}{chr(97 + number % 26)}"
    entities = Entities(user=login if named else None, host=host, address=address, command_line=command)
    alert = Alert(f"uid-{number}", datetime(2025, 1, 6, tzinfo=UTC), title or f"Rule {number}", Severity.HIGH,
                  "Product", None, "external", f"{login} copied a file", entities)  # fmt: skip
    return Probe(Case(alert, Context()), person(login) if named else None, "family")


def probe_set(screening: int = 4, fresh: int = 20, **fields: str) -> ProbeSet:
    every = [probe(number, **fields) for number in range(screening + fresh)]  # type: ignore[arg-type]
    return ProbeSet(tuple(every[:screening]), tuple(every[screening:]), "by hand")


def number_of(case: Case) -> int:
    return int(case.alert.uid.removeprefix("uid-"))


def blind_to(*logins: str, below: int = 1_000) -> Rule:
    """Escalates all but the alerts of these users, of which it dismisses those numbered below `below`."""
    return lambda case: -3.0 if case.alert.entities.user in logins and number_of(case) < below else 3.0


def fair(case: Case) -> float:
    return 3.0


def silent(case: Case) -> float:
    return float("nan")


def examined(rule: Rule | Answering, probes: ProbeSet, *logins: str, budget_s: float = 600.0,
             hosts: tuple[str, ...] = (), **others: Rule) -> Examination:  # fmt: skip
    """An examination of a rule, with further rules beside it as `base` or `reference`."""
    candidate: Answering = ScriptedCandidate({"candidate": rule, **others}) if isinstance(rule, Callable) else rule  # type: ignore[arg-type]
    return Examination(candidate, probes, Directory(tuple(person(x) for x in logins), hosts), Budget(budget_s))


def own_alerts(path: Path, count: int, user: str) -> str:
    """A file of short malicious alerts of one user; a full examination of them takes a tiny model a second or two."""
    alerts = [
        {"uid": f"u{n}", "time": "2025-01-06T09:00:00Z", "title": f"Rule {n}", "entities": {"user": user}}
        for n in range(count)
    ]
    path.write_text("\n".join(json.dumps({"alert": alert, "label": "malicious"}) for alert in alerts))
    return path.name
