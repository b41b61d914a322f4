"""Facilitator's guide and players' handout, made from the scenario before anything is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from turncoat.agent.exercise.forms import FORMS, allowed
from turncoat.agent.exercise.records import PLAYERS
from turncoat.agent.exercise.rundown import clock_minutes, rundown, waiting
from turncoat.scenarios.clock import Calendar
from turncoat.scenarios.exercise import ExercisePlan
from turncoat.scenarios.schema import Campaign
from turncoat.tools.toolbox import TOOLS

from .pages import html_page, markdown_page

_PAGES: Mapping[str, Callable[..., str]] = {"html": html_page, "md": markdown_page}


def guide_text(campaign: Campaign, plan: ExercisePlan, kind: str) -> str:
    """The guide: what to say and when, what to ask, what success looks like. Tells the whole attack.

    Args:
        campaign: What happens.
        plan: Its exercise.
        kind: `html` or `md`.
    """
    told = _common(campaign, plan) | {
        "rundown": rundown(campaign, plan, campaign.seed),
        "waiting": waiting(plan),
        "clock_minutes": clock_minutes(campaign, plan),
        "phases": {phase.id: phase.title for phase in campaign.phases},
        "lessons": plan.lessons or campaign.lessons,
    }
    return _PAGES[kind]("guide", Calendar.of(campaign).zone, told)


def handout_text(campaign: Campaign, plan: ExercisePlan, kind: str) -> str:
    """The handout: what players know at the beginning. Of the campaign it reads the clock alone.

    Args:
        campaign: What happens.
        plan: Its exercise.
        kind: `html` or `md`.
    """
    calendar = Calendar.of(campaign)
    told = {
        "plan": plan,
        "zone": campaign.clock.timezone,
        "begins": calendar.moment(plan.clock.begins),
        "ends": calendar.moment(plan.clock.ends),
        "briefs": _briefs(plan),
        "actions": _actions(plan),
        "tools": sorted(TOOLS.values(), key=lambda tool: tool.name),
    }
    return _PAGES[kind]("handout", calendar.zone, told)


def _common(campaign: Campaign, plan: ExercisePlan) -> dict[str, Any]:
    return {"campaign": campaign, "plan": plan, "briefs": _briefs(plan), "zone": campaign.clock.timezone}


def _briefs(plan: ExercisePlan) -> list[tuple[str, str]]:
    return [(role, getattr(plan.briefs, role)) for role in PLAYERS]


def _actions(plan: ExercisePlan) -> list[tuple[str, str, list[str], str]]:
    """(action, what it does, who may, simulated time that it takes)."""
    costs = {
        "ask": "what the tool takes",
        "audit": f"{plan.costs.audit_per_alert} an alert",
        "isolate": plan.costs.isolate,
        "disable": plan.costs.disable,
        "preserve": plan.costs.preserve,
        "swap": plan.costs.swap,
        "call": f"HR {plan.replies.hr.takes}, legal {plan.replies.legal.takes}",
    }
    kinds = dict.fromkeys(kind for role in PLAYERS for kind in allowed(role))
    return [
        (kind, (FORMS[kind].__doc__ or "").strip().splitlines()[0], [r for r in PLAYERS if kind in allowed(r)],
         costs.get(kind, "at once"))
        for kind in kinds
    ]  # fmt: skip
