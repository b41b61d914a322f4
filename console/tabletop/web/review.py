"""After the exercise: the facilitator finishes the report, and everybody reads it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from turncoat.agent.exercise.after_action import RATINGS
from turncoat.agent.exercise.draft import draft_of_form

from .deeds import answered
from .desk import page
from .seats import NoSuchPage, Seat, form_of, room_of, seat_of

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""The report is one file that holds its own style, and nothing of it may run."""
MORE_ROWS = 3
"""Empty rows for further areas for improvement."""
ROWS = 60

router = APIRouter()


@router.get("/{role}/report")
async def report(request: Request, role: str) -> Response:
    """The after-action report; players see it once the facilitator has called it final."""
    _may_read(request, seat_of(request, role))
    file = await room_of(request).reports.file()
    return FileResponse(
        file, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY, "Cache-Control": "no-store"}
    )


@router.get("/{role}/report.md")
async def report_markdown(request: Request, role: str) -> Response:
    """The same for a ticket."""
    _may_read(request, seat_of(request, role))
    file = (await room_of(request).reports.file()).with_suffix(".md")
    return FileResponse(
        file, media_type="text/markdown", filename="after-action.md", headers={"Cache-Control": "no-store"}
    )


@router.get("/facilitator/review")
async def review(request: Request) -> Response:
    """The form in which the facilitator finishes the report."""
    seat, room = seat_of(request, "facilitator"), room_of(request)
    _ended(request)
    draft, plan = room.reports.draft(), room.exercise.material.plan
    rows = [*draft.improvements, *[None] * MORE_ROWS][:ROWS]
    return page(
        room,
        seat,
        "review.html",
        room.board(seat.role),
        {},
        draft=draft,
        rows=rows,
        version=room.reports.version(),
        words=RATINGS,
        goals=plan.objectives,
    )


@router.post("/facilitator/review")
async def keep(request: Request) -> Response:
    """Keeps what the facilitator has written."""
    seat, room = seat_of(request, "facilitator"), room_of(request)
    _ended(request)
    given = {name: values[-1] for name, values in (await form_of(request, seat)).items()}
    draft = draft_of_form(_draft_fields(given))
    room.reports.keep(draft, given.get("version", ""))
    room.stir()
    words = "Kept. The players can read the report now." if draft.final else "Kept. The players do not see it yet."
    return answered(request, seat.role, words, version=room.reports.version())


def _draft_fields(given: dict[str, str]) -> dict[str, Any]:
    """The fields of the form as the draft's file has them; rows without an area are left out."""
    rows = (
        {name: given[f"{name}-{row}"] for name in ("area", "action", "owner", "due") if f"{name}-{row}" in given}
        for row in range(ROWS)
    )
    ratings = {name.removeprefix("rating-"): letter for name, letter in given.items() if name.startswith("rating-")}
    return {
        "schema": 1,
        "final": given.get("final") == "true",
        "summary": given.get("summary", ""),
        "ratings": ratings,
        "strengths": _lines(given.get("strengths", "")),
        "improvements": tuple(row for row in rows if row.get("area")),
        "feedback": _lines(given.get("feedback", "")),
    }


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _ended(request: Request) -> None:
    if room_of(request).exercise.state.mode != "ended":
        raise NoSuchPage


def _may_read(request: Request, seat: Seat) -> None:
    _ended(request)
    if seat.role != "facilitator" and not room_of(request).reports.final():
        raise NoSuchPage
