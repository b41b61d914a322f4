"""Holds investigations against the truth. The only module of this floor that may know what is so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from turncoat.scenarios.errors import RunError
from turncoat.scenarios.records import AlertStream, GroundTruth

from .records import Investigation, Outcome


def score(
    investigations: Iterable[Investigation],
    truths: Sequence[GroundTruth],
    streams: Mapping[str, AlertStream],
) -> list[Outcome]:
    """Joins rows and truth by uid.

    Args:
        investigations: Rows of one replay.
        truths: One per alert; the same for every principal.
        streams: Principal -> the stream that was replayed under that name.

    Returns:
        One outcome per row, in the same order.

    Raises:
        RunError: A row concerns an alert, or a principal, that the scenario does not have; two truths share a uid.
    """
    known = {truth.uid: truth for truth in truths}
    if len(known) != len(truths):
        raise RunError("two truths share a uid; the campaign must give each step its own key")
    alerts = {(alert.uid, name): alert for name, stream in streams.items() for alert in stream.alerts}
    outcomes = []
    for row in investigations:
        if row.uid not in known or (row.uid, row.principal) not in alerts:
            raise RunError(f"the row of {row.uid} under {row.principal} belongs to another scenario or seed")
        truth = known[row.uid]
        asked = {e.tool for e in row.evidence if not e.failed}
        outcomes.append(
            Outcome(
                alert=alerts[row.uid, row.principal],
                investigation=row,
                malicious=truth.malicious,
                phase=truth.phase,
                step=truth.step,
                lookalike=truth.lookalike,
                expect_escalation=truth.expect_escalation,
                injected=truth.injected,
                family=truth.family,
                uncited=tuple(tool for tool in truth.must_cite if tool not in asked),
            )
        )
    return outcomes
