"""What one person sees who plays every role: what any player may know, and until the end nothing beyond."""

from __future__ import annotations

from dataclasses import replace

from turncoat.agent.exercise.engine import Exercise
from turncoat.agent.exercise.records import PLAYERS
from turncoat.agent.exercise.view_records import AlertView, InjectView, LogLine, PlayerView


def one_player_view(exercise: Exercise) -> PlayerView:
    """The lead's view, with the notices and the log of all players. The facilitator's view has no part in it."""
    views = [exercise.view(role) for role in PLAYERS]
    injects: dict[int, InjectView] = {inject.seq: inject for view in views for inject in view.injects}
    log: dict[int, LogLine] = {line.seq: line for view in views for line in view.log}
    lead = next(view for view in views if view.role == "lead")
    return replace(
        lead,
        injects=tuple(injects[seq] for seq in sorted(injects, reverse=True)),
        log=tuple(log[seq] for seq in sorted(log)),
    )


def alert_of(view: PlayerView, uid: str | None) -> AlertView | None:
    """The alert of that uid, if it is before the team."""
    return next((alert for alert in view.alerts if alert.uid == uid), None)
