"""The report of a room: finished by the facilitator, and only then read by the others."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from turncoat.agent.exercise.engine import Exercise

from ..agent.exercise.small_exercise import prepared
from .room_calls import Rig, rig, seated

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202egnp.exe"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Rig]:
    with Exercise.open(prepared(tmp_path)) as exercise:
        yield rig(exercise)


def played(room: Rig) -> None:
    """Two days on."""
    room.room.exercise.act("facilitator", "start")
    room.room.exercise.act("executive", "feedback", {"text": "SECRET-FEEDBACK", "rating": 2})
    room.room.exercise.act("facilitator", "skip", {"minutes": 1560})


def version_of(page: str) -> str:
    """Of the draft that a page of the review, or the answer to its form, shows."""
    found = re.search(r'id="v-version" value="([0-9a-f]+)"', page)
    assert found is not None
    return found.group(1)


def test_the_report_is_the_facilitators_until_it_is_final(room: Rig) -> None:
    played(room)

    async def play() -> tuple[list[int], list[str]]:
        async with seated(room, "facilitator") as boss, seated(room, "lead") as lead:
            early = await boss.get("/facilitator/report")
            await boss.do("end")
            form = await boss.get("/facilitator/review")
            before = await lead.get("/lead/report")
            given = {"summary": f"We found it late. {HOSTILE}", "strengths": "One\n\nTwo", "area-0": "Nobody looked",
                     "due-0": "2026-12-24", "owner-0": "Grace", "area-5": "Far down", "action-7": "no area",
                     "rating-find": "M"}  # fmt: skip
            given["version"] = version_of(form.text)
            kept = await boss.post("/facilitator/review", given)
            draft = await boss.get("/facilitator/report")
            still = await lead.get("/lead/report")
            given["version"] = version_of((await boss.get("/facilitator/review")).text)
            await boss.post("/facilitator/review", given | {"final": "true"})
            final, page = await lead.get("/lead/report"), await lead.get("/lead/")
            ticket = await lead.get("/lead/report.md")
            answers = (early, form, before, kept, draft, still, final, ticket)
            return [answer.status_code for answer in answers], [form.text, final.text, page.text, ticket.text,
                                                                final.headers["content-security-policy"]]  # fmt: skip

    statuses, (form, final, page, ticket, policy) = asyncio.run(play())
    assert statuses == [404, 200, 404, 303, 200, 404, 200, 200]
    assert "What is to be done" in form
    for words in ("We found it late.", "Nobody looked", "Grace", "Far down"):
        assert words in html.unescape(final), words
        assert words in ticket, words
    assert "<img" not in final
    assert "no area" not in final
    assert 'href="/lead/report"' in page
    assert policy.startswith("sandbox;")


def test_a_form_that_the_report_cannot_take_says_why_and_keeps_the_draft(room: Rig) -> None:
    async def play() -> tuple[int, str]:
        async with seated(room, "facilitator") as boss:
            await boss.do("end")
            answer = await boss.post("/facilitator/review", {"area-0": "x", "due-0": "tomorrow", "rating-find": "Z"})
            return answer.status_code, html.unescape(answer.text)

    status, text = asyncio.run(play())
    assert status == 422
    assert "ratings.find" in text
    assert "due" in text
    assert not (room.room.exercise.path / "after-action.yaml").exists()


def test_of_two_facilitators_the_second_does_not_write_over_the_first(room: Rig) -> None:
    played(room)

    async def play() -> list[tuple[int, str]]:
        async with seated(room, "facilitator") as one, seated(room, "facilitator") as other:
            await one.do("end")
            version = version_of((await one.get("/facilitator/review")).text)
            live = {"HX-Request": "true"}
            answers = [await one.post("/facilitator/review", {"summary": "first", "version": version}, **live)]
            answers.append(await other.post("/facilitator/review", {"summary": "second", "version": version}, **live))
            again = version_of(answers[0].text)  # the page that was answered goes on without being loaded again
            answers.append(await one.post("/facilitator/review", {"summary": "third", "version": again}, **live))
            return [(answer.status_code, answer.text) for answer in answers]

    (first, _), (second, refusal), (third, _) = asyncio.run(play())
    assert (first, second, third) == (200, 422, 200)
    assert "another page has kept a report" in refusal
    assert room.room.reports.draft().summary == "third"
