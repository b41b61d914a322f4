"""The after-action report: what the engine has computed and what the facilitator has written, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turncoat.agent.comparison import PrincipalFigures
from turncoat.agent.exercise.after_action import RATINGS, AfterAction, after_action
from turncoat.agent.exercise.draft import DRAFT_FILE, Draft, proposed, read_draft, write_draft
from turncoat.agent.exercise.material import Material
from turncoat.agent.exercise.records import Occurrence
from turncoat.agent.exercise.team import TEAM
from turncoat.scenarios.whole_file import write_whole

from .pages import clock, html_page, markdown_page
from .timeline_figure import timeline_figure

HTML_FILE, MARKDOWN_FILE = "after-action.html", "after-action.md"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report was written to."""

    html: Path
    markdown: Path
    final: bool
    """Whether the facilitator has called it final."""


def write_report(folder: Path, material: Material, events: Sequence[Occurrence]) -> ReportFiles:
    """Writes both forms of the report into the exercise's folder, with the draft that lies there.

    Raises:
        ScenarioError: The draft has mistakes.
        OSError: The folder cannot be written.
    """
    after = after_action(material, events)
    draft = read_draft(folder) or proposed(after)
    files = ReportFiles(folder / HTML_FILE, folder / MARKDOWN_FILE, draft.final)
    write_whole(files.html, report_html(after, draft))
    write_whole(files.markdown, report_markdown(after, draft))
    return files


def leave_draft(folder: Path, material: Material, events: Sequence[Occurrence]) -> Path | None:
    """The file of the draft, written as the figures propose it if there is none yet; one that is there is left alone.

    None while the exercise goes on: what the figures say then is not what they will say.
    """
    if read_draft(folder) is None:
        after = after_action(material, events)
        if after.state.mode != "ended":
            return None
        write_draft(folder, proposed(after))
    return folder / DRAFT_FILE


def report_html(after: AfterAction, draft: Draft) -> str:
    """One file, without network or script."""
    told = _told(after, draft) | {"figure": timeline_figure(after)}
    return html_page("after-action", after.material.calendar.zone, told)


def report_markdown(after: AfterAction, draft: Draft) -> str:
    """The same in Markdown."""
    return markdown_page("after-action", after.material.calendar.zone, _told(after, draft))


def _told(after: AfterAction, draft: Draft) -> dict[str, Any]:
    material = after.material
    return {
        "after": after,
        "draft": draft,
        "plan": material.plan,
        "campaign": material.campaign,
        "state": after.state,
        "times": after.times,
        "deployed": material.variant,
        "reference": material.reference,
        "headline": _headline(after),
        "ratings": [(rated, _rating(rated.objective.id, rated.proposed, draft)) for rated in after.objectives],
        "columns": _columns(after),
        "lessons": material.plan.lessons or material.campaign.lessons,
    }


def _rating(objective: str, suggested: str | None, draft: Draft) -> str:
    letter = draft.ratings.get(objective, suggested)
    return f"{letter}: {RATINGS[letter]}" if letter in RATINGS else "not rated"


def _headline(after: AfterAction) -> str:
    """The sentence that a reader remembers."""
    times, zone, model = after.times, after.material.calendar.zone, after.material.reference
    if times.begun is None:
        return "The exercise ended before the attack began."
    knew = f"You knew on {clock(times.known, zone)}." if times.known else "You did not know when the exercise ended."
    if times.reference_known is None:
        return f"{knew} The {model} model would not have told you{'' if times.known else ' either'}."
    return f"With the {model} model you would have known on {clock(times.reference_known, zone)}. {knew}"


def _columns(after: AfterAction) -> list[tuple[str, PrincipalFigures]]:
    names = {TEAM: "Your team", after.material.variant: f"{after.material.variant} model alone"}
    names[after.material.reference] = f"{after.material.reference} model alone"
    return [(names[name], figures) for name, figures in after.figures.items()]
