"""What a reader of outside alerts hands on: the alert, and apart from it what somebody says about it."""

from __future__ import annotations

from dataclasses import dataclass

from ..records import Alert


@dataclass(frozen=True, slots=True)
class LabelledAlert:
    """An alert that nobody here wrote. The label stands beside it and never in it."""

    alert: Alert
    label: bool | None = None
    """True: malicious (for a rule's test event: the rule fires). None: nobody said."""
    group: str = ""
    """Alerts that must fall on one side when a set is split, such as the id of the rule."""
    stratum: str = ""
    """By what figures are broken down, such as the log type."""
    place: str = ""
    """Where it was read: file and line or test number."""
